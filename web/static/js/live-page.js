// Shows the page anew every second while something on it goes on, wherever it is not being written in.
import { localTimes } from "./times.js";

const EVERY_MS = 1000;

export class LivePage extends HTMLElement {
  #timer = 0;

  connectedCallback() {
    this.#wait();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  #wait() {
    if (this.querySelector("[data-live=true]")) this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }

  async #look() {
    try {
      const response = await fetch(this.dataset.url);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("live-page");
      const isUsed = this.contains(document.activeElement) || this.querySelector("details[open]");
      if (response.ok && fresh && !isUsed) {
        this.replaceChildren(...document.importNode(fresh, true).childNodes);
        localTimes(this);
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch rejects with TypeError when the network fails
    }
    this.#wait();
  }
}
