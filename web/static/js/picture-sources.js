// Files dragged onto the page or pasted into it, and pictures of our own.

// `target` is shown while files are over the page; what is let go anywhere is taken.
export function takeDropped(target, take, signal) {
  const listen = (type, on) => document.addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    on(event);
  }, { signal });
  listen("dragenter", () => { target.hidden = false; });
  listen("dragover", (event) => {
    target.hidden = false;
    event.dataTransfer.dropEffect = "copy";
  });
  listen("dragleave", (event) => { target.hidden = event.relatedTarget === null; }); // it left the window
  listen("drop", (event) => {
    target.hidden = true;
    take([...event.dataTransfer.files]);
  });
}

// Text wins where there is both: word processors put a picture of the text beside it.
export function takePasted(take, signal) {
  document.addEventListener("paste", (event) => {
    const { files, types } = event.clipboardData;
    if (!files.length || types.includes("text/plain") || event.target.matches("input")) return;
    event.preventDefault();
    take([...files]);
  }, { signal });
}

// Rejects with TypeError if the network fails.
export async function pictureAt(address) {
  const response = await fetch(address);
  const content = await response.blob();
  return new File([content], address.split("/").at(-1).split("?")[0], { type: content.type });
}
