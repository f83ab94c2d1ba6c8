// What can be done with a turn, without leaving the page.
import { post, sentenceOf, swapPage } from "./swap.js";

export function handleTurns() {
  document.addEventListener("submit", onSubmit);
  document.addEventListener("click", onClick);
}

function onSubmit(event) {
  const form = event.target;
  if (!form.matches("#turns, .turn form")) return;
  event.preventDefault();
  return whileOnline(() => "editForm" in form.dataset ? sendEdit(form) : act(form, event.submitter));
}

function onClick(event) {
  const link = event.target.closest?.("[data-edit], [data-cancel], [data-copy], [data-quote]");
  const turn = link?.closest(".turn");
  if (!turn || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if ("copy" in link.dataset && !navigator.clipboard) return; // the link shows the text
  event.preventDefault();
  if ("edit" in link.dataset) return whileOnline(() => openEdit(turn, link.href));
  if ("cancel" in link.dataset) return closeEdit(turn);
  if ("copy" in link.dataset) return whileOnline(() => copy(turn, link));
  return whileOnline(() => quote(turn, link));
}

async function act(form, button) {
  const [, turnId, deed] = button.formAction.match(/turns\/([^/]+)\/(.+)$/);
  const words = document.querySelector(`#turn-${turnId} .question`)?.textContent;
  const answer = await post(form, button);
  if (!answer.ok) return say(sentenceOf(answer.page));
  const field = document.getElementById("message");
  if (deed === "take-back" && !field.value) field.value = words;
  const isHere = /^(show|pin|vote)/.test(deed);
  swapPage(answer, isHere ? { from: button.closest(".turn"), to: `turn-${turnId}` } : null);
  const turn = document.getElementById(`turn-${turnId}`);
  const again = deed === "show" ? turn?.querySelector(".among button:not(:disabled)") : turn?.querySelector(`[formaction$="${deed}"]`);
  (again ?? field).focus({ preventScroll: true });
}

async function openEdit(turn, address) {
  const page = new DOMParser().parseFromString(await (await fetch(address)).text(), "text/html");
  const form = page.querySelector("[data-edit-form]");
  const question = turn.querySelector(".question");
  if (!form || question.hidden) return;
  question.hidden = true;
  question.after(document.importNode(form, true));
  const field = turn.querySelector("textarea");
  field.focus();
  field.setSelectionRange(field.value.length, field.value.length);
}

function closeEdit(turn) {
  turn.querySelector("[data-edit-form]").remove();
  turn.querySelector(".question").hidden = false;
  turn.querySelector("[data-edit]").focus();
}

async function sendEdit(form) {
  const answer = await post(form);
  if (answer.ok) {
    swapPage(answer);
    return document.getElementById("message").focus({ preventScroll: true });
  }
  const error = form.querySelector("[data-sentence]");
  error.textContent = sentenceOf(answer.page);
  error.hidden = false;
}

async function copy(turn, link) {
  const text = link.dataset.copy === "text" ? turn.querySelector(".answer").innerText : await textAt(link.href);
  await navigator.clipboard.writeText(text);
  const status = document.querySelector("[data-status]");
  status.textContent = status.dataset.copied;
  link.dataset.done = "";
  link.addEventListener("pointerleave", () => delete link.dataset.done, { once: true });
}

// What is selected in the answer, or all of it, goes before what is being written.
async function quote(turn, link) {
  const selection = getSelection();
  const isInside = !selection.isCollapsed && turn.querySelector(".answer").contains(selection.getRangeAt(0).commonAncestorContainer);
  const text = isInside ? selection.toString() : await textAt(link.href.replace(/\?quote=.*/, `/turns/${turn.id.slice(5)}/answer`));
  const field = document.getElementById("message");
  const lines = text.trim().split("\n").map((line) => `> ${line}`.trimEnd());
  field.value = `${lines.join("\n")}\n\n${field.value}`;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
}

const textAt = async (address) => (await fetch(address)).text();

const say = (sentence) => document.querySelector("chat-composer").dispatchEvent(new CustomEvent("composer-notice", { detail: sentence }));

async function whileOnline(deed) {
  try {
    await deed();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // fetch rejects with TypeError when the network fails
    say(document.querySelector("chat-composer").dataset.offlineSentence);
  }
}
