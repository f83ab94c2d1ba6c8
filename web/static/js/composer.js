// The composer: grows with its text, sends by Enter, and keeps what was typed until the server has it.
import { HangulEnter } from "./hangul-enter.js";
import { post, sentenceOf, swapPage } from "./swap.js";

const TOUCH = matchMedia("(hover: none) and (pointer: coarse)");

export class ChatComposer extends HTMLElement {
  #form; #field; #pictures; #enter; #isSending = false; #listening;

  connectedCallback() {
    this.#form = this.querySelector("form.composer");
    this.#field = this.querySelector("textarea");
    this.#pictures = this.querySelector("chosen-pictures");
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.#enter = new HangulEnter(this.#field, () => this.#submit(), (event) =>
      event.shiftKey || event.altKey || (TOUCH.matches && !event.ctrlKey && !event.metaKey));
    this.#field.addEventListener("input", () => { this.#grow(); this.#say(""); }, { signal });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter.sendWhenSettled();
    }, { signal });
    this.addEventListener("composer-notice", (event) => this.#say(event.detail), { signal });
    this.querySelector("#stop").addEventListener("submit", (event) => this.#stop(event), { signal });
    document.addEventListener("answer-state", () => this.#showState(), { signal });
    document.addEventListener("click", (event) => this.#fill(event), { signal });
    window.addEventListener("popstate", () => location.reload(), { signal });
    this.#grow();
    if (document.querySelector("[role=log]")) this.#showState(); // an answer may have ended before this was here
  }

  disconnectedCallback() {
    this.#listening.abort();
  }

  get #isBusy() { return this.querySelector("[data-send]").hidden; }

  async #submit() {
    if (this.#isSending) return;
    if (this.#isBusy) return this.#say(this.#field.value.trim() || this.#pictures?.stored.length ? this.dataset.busySentence : "");
    this.#setSending(true);
    this.dispatchEvent(new CustomEvent("question-sent", { bubbles: true }));
    try {
      if (this.#pictures?.isUploading && !await this.#pictures.settled()) return this.#say(this.dataset.refusedSentence);
      const [sent, sentPictures] = [this.#field.value, this.#pictures?.stored];
      const answer = await post(this.#form);
      if (answer.ok) {
        const more = this.#field.value;
        this.#field.value = more.startsWith(sent) ? more.slice(sent.length) : "";
        this.#pictures?.clear(sentPictures);
        swapPage(answer);
        this.#grow();
      }
      this.#say(answer.ok ? "" : sentenceOf(answer.page));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch rejects with TypeError when the network fails
      this.#say(this.dataset.offlineSentence);
    } finally {
      this.#setSending(false);
      if (!TOUCH.matches) this.#field.focus();
    }
  }

  async #stop(event) {
    event.preventDefault();
    try {
      const answer = await post(event.target);
      if (!answer.ok) this.#say(sentenceOf(answer.page));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      this.#say(this.dataset.offlineSentence);
    }
  }

  #setSending(isSending) {
    this.#isSending = isSending;
    this.#form.setAttribute("aria-busy", String(isSending));
  }

  #showState() {
    const isOver = !document.querySelector("[role=log] .answer:is([data-state=queued], [data-state=running])");
    const [send, stop] = [this.querySelector("[data-send]"), this.querySelector("[data-stop]")];
    const hadFocus = document.activeElement === send || document.activeElement === stop;
    send.hidden = !isOver;
    stop.hidden = isOver;
    if (hadFocus) this.#field.focus();
  }

  #say(sentence) {
    const error = this.querySelector("#message-error");
    error.textContent = sentence;
    error.hidden = !sentence;
    this.#field.toggleAttribute("aria-invalid", Boolean(sentence));
  }

  #fill(event) {
    if (event.target.closest?.("[data-defaults]")) {
      event.preventDefault(); // they hold from the next question on, like everything there
      for (const field of this.querySelectorAll(".settings [name]")) field.value = "";
      return;
    }
    const example = event.target.closest?.("[data-example]");
    if (!example) return;
    this.#field.value = example.textContent;
    this.#grow();
    this.#field.focus();
  }

  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.rows = Math.min(10, this.#field.value.split("\n").length);
  }
}
