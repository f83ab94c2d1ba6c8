// The pictures that will go with the next message. Each is uploaded as soon as it is chosen, dropped or pasted, and then
// stands in the form as its id. Without this, the file field goes with the form.
import { takeDropped, takePasted } from "./picture-sources.js";
import { upload } from "./upload.js";

export class ChosenPictures extends HTMLElement {
  #list; #listening; #last; #uploads = new Map(); // a chip to the promise of its upload: true if it was stored

  connectedCallback() {
    this.#list = this.querySelector("[data-chips]");
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const input = this.querySelector("input[type=file]");
    input.removeAttribute("name"); // files go by themselves
    input.addEventListener("change", () => {
      this.add([...input.files]);
      input.value = ""; // so that the same file can be chosen again
    }, { signal });
    this.#list.addEventListener("keydown", (event) => this.#leaveField(event), { signal });
    takeDropped(this.querySelector("[data-drop]"), (files) => this.add(files), signal);
    takePasted((files) => this.add(files), signal);
    for (const chip of this.#list.children) this.#makeRemovable(chip, new AbortController());
    this.#number();
  }

  disconnectedCallback() {
    this.#listening.abort();
  }

  get isUploading() { return this.#uploads.size > 0; }
  get stored() { return [...this.#list.querySelectorAll("[data-state=stored]")]; }

  // For a message that waits: resolves when nothing is being uploaded any more, to false if a picture was refused meanwhile.
  async settled() {
    const places = [this.querySelector("[data-waiting]"), document.querySelector("[data-status]")]; // seen, and heard
    const say = (words) => { for (const place of places) place.textContent = words; };
    say(this.dataset.waitingWords);
    let isWhole = true;
    while (this.isUploading) isWhole = (await Promise.all(this.#uploads.values())).every(Boolean) && isWhole;
    say("");
    return isWhole;
  }

  add(files) {
    const room = Number(this.dataset.most) - this.#list.querySelectorAll(":scope > :not([data-state=refused])").length;
    for (const file of files.slice(0, room)) this.#begin(file);
    this.#number();
    this.#notify(files.length > room ? this.dataset.tooManyWords : "");
  }

  // After a message was sent: its pictures, and those that could not be.
  clear(sent) {
    for (const chip of [...sent, ...this.#list.querySelectorAll("[data-state=refused]")]) chip.remove();
    this.#number();
  }

  #begin(file) {
    const chip = this.querySelector("[data-chip-template]").content.firstElementChild.cloneNode(true);
    const leaving = new AbortController();
    this.#makeRemovable(chip, leaving);
    this.#list.append(chip);
    const isShown = preview(file, chip.querySelector("canvas"));
    // One after another: the server takes only a few large bodies of one person at once.
    this.#last = Promise.resolve(this.#last)
      .then(() => this.#upload(file, chip, leaving.signal, isShown))
      .finally(() => this.#uploads.delete(chip));
    this.#uploads.set(chip, this.#last);
  }

  async #upload(file, chip, signal, isShown) {
    const fields = { csrf_token: this.closest("form").elements.csrf_token.value, picture: file };
    const progress = chip.querySelector("progress");
    if (signal.aborted) return true;
    if (file.size > this.dataset.mostBytes) return this.#refuse(chip, file, this.dataset.tooLargeWords);
    try {
      const answer = await upload(this.dataset.url, fields, (share) => { progress.value = share; }, signal);
      if (!answer) return true; // it was taken out again
      if (!answer.isStored) return this.#refuse(chip, file, answer.body?.message);
      this.#store(chip, answer.body, await isShown);
      return true;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      return this.#refuse(chip, file);
    }
  }

  #store(chip, { id, thumbnail_url: thumbnailUrl }, isShown) {
    const [picture, alt] = [chip.querySelector("[name=picture]"), chip.querySelector("[data-alt]")];
    picture.value = id;
    picture.disabled = false;
    alt.name = `alt.${id}`;
    chip.dataset.state = "stored";
    if (isShown) return;
    const thumbnail = document.createElement("img"); // the server reads more kinds of pictures than browsers do
    thumbnail.alt = "";
    thumbnail.src = thumbnailUrl;
    chip.querySelector("canvas").replaceWith(thumbnail);
  }

  #refuse(chip, file, sentence = this.dataset.failedWords) {
    chip.dataset.state = "refused";
    chip.querySelector("[role=alert]").textContent = `${file.name}: ${sentence}`;
    this.#number();
    return false;
  }

  #makeRemovable(chip, leaving) {
    chip.querySelector("[data-remove]").addEventListener("click", () => {
      const next = (chip.nextElementSibling ?? chip.previousElementSibling)?.querySelector("[data-remove]");
      leaving.abort();
      chip.remove();
      this.#number();
      this.#notify("");
      (next ?? this.querySelector("input[type=file]")).focus();
    });
  }

  #number() {
    for (const [index, chip] of [...this.#list.children].entries()) {
      const say = (name) => this.dataset[`${name}Words`].replace("{number}", index + 1);
      chip.querySelector("[data-remove]").ariaLabel = say("remove");
      chip.querySelector("[data-alt]").ariaLabel = say("alt");
      chip.querySelector("progress").ariaLabel = say("progress");
    }
  }

  // Enter in a description leads to the message; it does not send it.
  #leaveField(event) {
    if (event.key !== "Enter" || !event.target.matches("[data-alt]")) return;
    if (!event.isComposing) this.closest("form").elements.message.focus();
    event.preventDefault();
  }

  #notify(sentence) {
    this.dispatchEvent(new CustomEvent("composer-notice", { bubbles: true, detail: sentence }));
  }
}

// The middle of the picture, if the browser can read it. On a canvas, so that the page's policy allows no blob: images.
async function preview(file, canvas) {
  try {
    const bitmap = await createImageBitmap(file);
    const side = Math.min(bitmap.width, bitmap.height);
    const [x, y] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
    canvas.getContext("2d").drawImage(bitmap, x, y, side, side, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return true;
  } catch {
    return false;
  }
}
