// Shows a picture of the conversation whole, over the page. Without this its link opens it.
export function openPictures() {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const shown = new Image();
  viewer.append(shown);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[data-picture]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    shown.alt = link.querySelector("img").alt;
    shown.src = link.href;
    viewer.showModal();
  });
  viewer.addEventListener("click", () => viewer.close());
}
