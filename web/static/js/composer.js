// The composer: grows with its text, sends by Enter, and keeps what was typed until the server has it.
import { HangulEnter } from "./hangul-enter.js";
import { pictureAt } from "./picture-sources.js";
import { UNFINISHED } from "./stream.js";
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

  async #submit() {
    if (this.#isSending) return;
    const later = this.querySelector("[data-later]");
    this.#setSending(true);
    if (later.hidden) this.dispatchEvent(new CustomEvent("question-sent", { bubbles: true }));
    try {
      if (this.#pictures?.isUploading && !await this.#pictures.settled()) return this.#say(this.dataset.refusedSentence);
      const [sent, sentPictures] = [this.#field.value, this.#pictures?.stored];
      const answer = await post(this.#form, later.hidden ? null : later);
      if (answer.ok) {
        const more = this.#field.value;
        this.#field.value = more.startsWith(sent) ? more.slice(sent.length) : "";
        this.#pictures?.clear(sentPictures);
        swapPage(answer);
        this.#tellTextThatCame();
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

  // A quick answer, or its beginning, comes with the page; the stream tells what it brings itself.
  #tellTextThatCame() {
    const turn = [...document.querySelectorAll("article.turn")].at(-1);
    if (!turn?.querySelector("[data-role=assistant]").textContent.trim()) return;
    this.dispatchEvent(new CustomEvent("answer-text", { bubbles: true, detail: turn.id.slice("turn-".length) }));
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
    const isOver = !document.querySelector(UNFINISHED);
    const buttons = [...this.querySelectorAll(".composer-buttons button")];
    const hadFocus = buttons.includes(document.activeElement);
    for (const button of buttons) button.hidden = isOver !== button.matches("[data-send]");
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
    if (example.href) {
      event.preventDefault();
      this.#show(example.href);
    }
    this.#field.value = example.dataset.example || example.textContent;
    this.#grow();
    this.#field.focus();
  }

  async #show(address) {
    try {
      this.#pictures.add([await pictureAt(address)]);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      this.#say(this.dataset.offlineSentence);
    }
  }

  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.rows = Math.min(10, this.#field.value.split("\n").length);
  }
}
