// One Enter sends the whole sentence exactly once, also while a Hangul syllable is still being composed.
//
// Browsers report the same key press differently:
//   Chrome   keydown 229 (composing), compositionend, sometimes keydown 13 after it
//   Firefox  keydown 229 (composing), compositionend; or compositionend, keydown 13
//   Safari   compositionend, keydown 229 (not composing)
// While Hangul composes, Enter means "send": we remember it and send what stands in the field once the syllable
// is settled. For Japanese and Chinese, Enter confirms the conversion and never sends.

const HANGUL = /^[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\s\d\p{P}]*$/u;
const ENDED_JUST_NOW_MS = 60;
const COMMIT_MS = 400; // an input method that does not commit by itself is made to

export class HangulEnter {
  #field; #send; #isSuspended;
  #isComposing = false; #isHangul = false; #isPending = false; #endedAt = -Infinity;
  #sending = 0; #committing = 0;

  // `send()` is called with the field settled. `isNewLine(event)`: this Enter starts a new line.
  constructor(field, send, isNewLine) {
    this.#field = field;
    this.#send = send;
    this.#isSuspended = isNewLine;
    field.addEventListener("compositionstart", () => { this.#isComposing = true; this.#isHangul = false; });
    field.addEventListener("compositionupdate", (event) => this.#look(event.data));
    field.addEventListener("compositionend", (event) => this.#ended(event));
    field.addEventListener("keydown", (event) => this.#keydown(event));
    field.addEventListener("beforeinput", (event) => {
      const isBreak = event.inputType === "insertLineBreak" || event.inputType === "insertParagraph";
      if (isBreak && (this.#isPending || this.#sending)) event.preventDefault();
    });
  }

  get isComposing() { return this.#isComposing; }

  // Send as soon as nothing is being composed any more.
  sendWhenSettled() {
    if (!this.#isComposing) return this.#schedule();
    this.#isPending = true;
    this.#committing ||= setTimeout(() => { this.#committing = 0; this.#commit(); }, COMMIT_MS);
  }

  #look(data) {
    if (data) this.#isHangul = HANGUL.test(data);
  }

  #ended(event) {
    this.#look(event.data);
    this.#isComposing = false;
    this.#endedAt = event.timeStamp;
    if (this.#isPending) this.#schedule();
  }

  #keydown(event) {
    const isEnter = event.key === "Enter" || event.code === "Enter" || event.code === "NumpadEnter" || event.keyCode === 13;
    if (!isEnter || this.#isSuspended(event)) return;
    if (event.isComposing || this.#isComposing) {
      if (!this.#isHangul) return;
      event.preventDefault();
      this.sendWhenSettled();
      return;
    }
    const endedJustNow = event.timeStamp - this.#endedAt < ENDED_JUST_NOW_MS;
    if (event.keyCode === 229 && endedJustNow && !this.#isHangul) return;
    event.preventDefault();
    this.#schedule();
  }

  // A macrotask later the field holds the settled text in every browser.
  #schedule() {
    this.#isPending = false;
    clearTimeout(this.#committing);
    this.#committing = 0;
    this.#sending ||= setTimeout(() => { this.#sending = 0; this.#send(); });
  }

  #commit() {
    if (!this.#isComposing) return;
    this.#field.blur();
    this.#field.focus();
    if (this.#isComposing) { this.#isComposing = false; this.#schedule(); }
  }
}
