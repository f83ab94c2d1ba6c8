// Copies the field inside it with one press. Without this the field selects itself, and a link saves it as a file.
class CopyText extends HTMLElement {
  connectedCallback() {
    const field = this.querySelector("input");
    const button = this.querySelector("[data-copy]");
    field.addEventListener("focus", () => field.select());
    if (!navigator.clipboard) return; // only where the page came over https or from this machine
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(field.value);
      button.textContent = button.dataset.copied;
      this.querySelector("[role=status]").textContent = button.dataset.copied;
    });
  }
}

customElements.define("copy-text", CopyText);
