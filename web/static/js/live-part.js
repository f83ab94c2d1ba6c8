// A part of a page that the server draws anew while something in it goes on. Whoever has the focus in it is left alone.
import { localTimes } from "./times.js";

const EVERY_MS = 1000;

class LivePart extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    this.#timer = setInterval(() => this.#draw(), EVERY_MS);
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
  }

  get #isUsed() {
    return this.contains(document.activeElement) || this.querySelector("details[open]");
  }

  async #draw() {
    if (document.hidden || this.#isUsed || this.querySelector("[data-live=false]")) return;
    try {
      const response = await fetch(this.dataset.url);
      if (!response.ok || response.redirected) return;
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("live-part") ?? page.body;
      if (this.#isUsed) return;
      this.replaceChildren(...document.importNode(fresh, true).childNodes);
      localTimes(this);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network fails: what was seen stays
    }
  }
}

customElements.define("live-part", LivePart);
