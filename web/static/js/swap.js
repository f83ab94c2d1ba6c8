// Posts a form as the browser would, and puts the parts of the page that came back in place of the old ones.
import { localTimes } from "./times.js";
import { scrollToEnd } from "./follow.js";

// Resolves to {ok, url, page} whatever the status; rejects with TypeError if the network fails.
export async function post(form, submitter = null) {
  const action = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
  const response = await fetch(action, { method: "POST", body: new URLSearchParams(new FormData(form, submitter)) });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return { ok: response.ok, url: response.url, page };
}

export function sentenceOf(page) {
  return page.querySelector("[data-sentence]")?.textContent.trim() ?? "";
}

// Only the turns that changed, so that a long conversation is not laid out anew for one of them.
function swapTurns(log, fresh, stay) {
  const turns = [...fresh.children];
  const at = stay ? turns.findIndex(({ id }) => id === stay.to) : -1;
  let next = at < 0 ? log.firstElementChild : stay.from;
  for (const turn of turns.slice(Math.max(0, at))) {
    const old = turn.id ? document.getElementById(turn.id) : null;
    if (!old?.isEqualNode(turn)) {
      const made = document.importNode(turn, true);
      if (stay) made.style.contentVisibility = "visible"; // at its own height at once: nothing moves around it
      log.insertBefore(made, next);
      if (old) old.id = ""; // its id goes with the new one, and it with what is left over
      continue;
    }
    while (next && next !== old) next = taken(next);
    next = old.nextElementSibling;
  }
  while (next) next = taken(next);
  log.ariaBusy = fresh.ariaBusy;
}

// Takes it out of the page; what stood behind it.
function taken(element) {
  const next = element.nextElementSibling;
  element.remove();
  return next;
}

// Every part keeps its element; only what is inside changes, so the field and its focus stay. Goes to the end, or
// with `stay` only puts the new turn with the id `to`, and what follows it, in the place of the turn `from`.
export function swapPage({ url, page }, stay = null) {
  localTimes(page);
  for (const part of document.querySelectorAll("[data-swap]")) {
    const fresh = page.querySelector(`[data-swap="${part.dataset.swap}"]`);
    const logs = [part, fresh].map((each) => each?.querySelector("[role=log]"));
    if (logs.every(Boolean)) swapTurns(...logs, stay);
    else if (fresh) part.replaceChildren(...document.importNode(fresh, true).childNodes);
  }
  for (const id of ["composer", "stop"]) {
    const action = page.getElementById(id)?.getAttribute("action");
    if (action) document.getElementById(id).setAttribute("action", action);
  }
  document.title = page.title;
  if (new URL(url).pathname !== location.pathname) history.pushState(null, "", url);
  if (!stay) scrollToEnd();
}
