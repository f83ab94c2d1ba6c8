// One answer in the page: finished blocks as HTML from the server, then the open block as text.
// Offsets count code points of the whole answer.

const length = (text) => { let count = 0; for (const _ of text) count += 1; return count; };
const cut = (text, count) => Array.from(text).slice(0, count).join("");
const skip = (text, count) => Array.from(text).slice(count).join("");

export class Answer {
  #element; #open; #openStart; #openLength;

  constructor(element) {
    this.#element = element;
    this.#open = element.querySelector(":scope > .open");
    const text = this.#open?.textContent ?? "";
    const blocks = element.querySelectorAll(":scope > .block");
    this.#openLength = length(text);
    this.#openStart = this.#open ? Number(this.#open.dataset.start) : Number(blocks.item(blocks.length - 1)?.dataset.end ?? 0);
  }

  get length() { return this.#openStart + this.#openLength; }
  get state() { return this.#element.dataset.state; }
  set state(state) { this.#element.dataset.state = state; }

  // Cut what is there to `offset`, append `text`, then turn what is finished into blocks.
  add({ offset, text, blocks }) {
    this.#cutTo(offset);
    if (text) this.#setOpen(this.#openText + text, this.#openLength + length(text));
    for (const block of blocks) this.#finish(block);
  }

  // The whole answer as the server rendered it.
  end(state, html) {
    this.#element.replaceChildren(fragment(html));
    this.#open = null;
    this.state = state;
  }

  get #openText() { return this.#open?.textContent ?? ""; }

  #cutTo(offset) {
    if (offset >= this.length) return;
    while (offset < this.#openStart) {
      const last = this.#element.querySelector(":scope > .block:nth-last-child(1 of .block)");
      this.#openStart = last ? Number(last.dataset.start) : 0;
      last?.remove();
      this.#setOpen("", 0);
    }
    this.#setOpen(cut(this.#openText, offset - this.#openStart), offset - this.#openStart);
  }

  #finish({ start, end, html }) {
    if (start < this.#openStart || end > this.length) return; // already here
    const block = document.createElement("div");
    block.className = "block";
    block.dataset.start = start;
    block.dataset.end = end;
    block.append(fragment(html));
    const rest = skip(this.#openText, end - this.#openStart);
    this.#element.insertBefore(block, this.#open);
    const restLength = this.length - end;
    this.#openStart = end;
    this.#setOpen(rest, restLength);
  }

  #setOpen(text, count) {
    this.#openLength = count;
    if (!text) {
      this.#open?.remove();
      this.#open = null;
      return;
    }
    if (!this.#open) {
      this.#open = document.createElement("div");
      this.#open.className = "open";
      this.#element.append(this.#open);
    }
    this.#open.textContent = text;
  }
}

// What the server rendered.
export function fragment(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}
