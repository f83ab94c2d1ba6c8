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

// Every part keeps its element; only what is inside changes, so the field and its focus stay. Goes to the end unless it
// is to `stay`.
export function swapPage({ url, page }, { stay = false } = {}) {
  for (const part of document.querySelectorAll("[data-swap]")) {
    const fresh = page.querySelector(`[data-swap="${part.dataset.swap}"]`);
    if (fresh) part.replaceChildren(...document.importNode(fresh, true).childNodes);
  }
  for (const id of ["composer", "stop"]) {
    const action = page.getElementById(id)?.getAttribute("action");
    if (action) document.getElementById(id).setAttribute("action", action);
  }
  document.title = page.title;
  if (new URL(url).pathname !== location.pathname) history.pushState(null, "", url);
  localTimes(document.getElementById("main"));
  if (!stay) scrollToEnd();
}
