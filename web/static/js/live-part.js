// A part of a page that the server draws anew every few seconds. Whoever has the focus in it is left alone.
const EVERY_MS = 2000;

export class LivePart extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    this.#timer = setInterval(() => this.#draw(), EVERY_MS);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  async #draw() {
    if (document.hidden || this.contains(document.activeElement)) return;
    try {
      const response = await fetch(this.dataset.url);
      if (!response.ok || response.redirected) return;
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (!this.contains(document.activeElement)) this.replaceChildren(...document.importNode(page.body, true).childNodes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network fails: what was seen stays
    }
  }
}
