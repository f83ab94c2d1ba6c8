// Follows one answer over Server-Sent Events until it is over. The answer goes on without us; we may come and go.
import { Answer, fragment } from "./answer.js";
import { keepUp } from "./follow.js";

const LONGEST_WAIT_MS = 15_000;
export const UNFINISHED = "[role=log] .answer:is([data-state=queued], [data-state=running])";

export class ChatStream extends HTMLElement {
  #source = null; #answer; #position; #failures = 0; #retry = 0;

  connectedCallback() {
    this.#answer = new Answer(this.querySelector("[data-role=assistant]"));
    this.#position = this.dataset.position;
    this.#tell();
    document.addEventListener("answer-state", this);
    this.handleEvent();
  }

  // Of the answers of a conversation only the first that is not over needs a connection, of which browsers have few.
  handleEvent() {
    const isBehind = this.closest(".transcript") && !this.contains(document.querySelector(UNFINISHED));
    if (this.#source || this.#retry || isBehind) return;
    this.#connect();
  }

  disconnectedCallback() {
    document.removeEventListener("answer-state", this);
    this.#close();
  }

  #connect() {
    const source = new EventSource(`${this.dataset.url}?from=${encodeURIComponent(this.#position)}`);
    this.#source = source;
    source.addEventListener("open", () => { this.#failures = 0; });
    source.addEventListener("state", (event) => this.#onState(JSON.parse(event.data)));
    source.addEventListener("text", (event) => this.#onText(event));
    source.addEventListener("evidence", (event) => this.#onEvidence(JSON.parse(event.data)));
    source.addEventListener("done", (event) => this.#onDone(JSON.parse(event.data)));
    source.addEventListener("reconnect", () => this.#again());
    source.addEventListener("error", () => {
      this.#note(this.dataset.reconnecting);
      if (source.readyState === EventSource.CLOSED) this.#again(); // refused: the browser has given up, we have not
    });
  }

  #again() {
    this.#close();
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #close() {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #onState({ state, note }) {
    this.#answer.state = state;
    this.#note(note);
    this.#tell();
    keepUp();
  }

  #onText(event) {
    this.#answer.add(JSON.parse(event.data));
    this.#position = event.lastEventId;
    this.#showText();
    keepUp();
  }

  #showText() {
    this.dispatchEvent(new CustomEvent("answer-text", { bubbles: true, detail: this.dataset.url.split("/").at(-1) }));
  }

  #onEvidence({ html }) {
    this.closest(".turn").querySelector("[data-evidence]").replaceChildren(fragment(html));
    keepUp();
  }

  #onDone({ state, html, note, can_go_on: canGoOn = false }) {
    document.removeEventListener("answer-state", this);
    this.#close();
    this.#answer.end(state, html);
    if (html) this.#showText(); // all of a quick answer may come here
    this.querySelector(".answer").toggleAttribute("data-cut", canGoOn);
    const line = this.#note(note);
    this.append(line); // while waiting the line stands above the answer, afterwards below it
    this.#tell();
    keepUp();
  }

  #note(sentence) {
    const line = this.querySelector("[data-note]");
    if (line.textContent !== sentence) line.textContent = sentence;
    line.hidden = !sentence;
    return line;
  }

  // For the composer, and for people who listen: one status line, spoken once per state.
  #tell() {
    const status = document.querySelector("[data-status]");
    const sentence = status?.dataset[this.#answer.state] ?? "";
    if (status && status.textContent !== sentence) status.textContent = sentence;
    this.closest("[role=log]")?.setAttribute("aria-busy", String(Boolean(document.querySelector(UNFINISHED))));
    this.dispatchEvent(new CustomEvent("answer-state", { bubbles: true }));
  }
}
