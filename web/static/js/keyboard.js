// Where a phone's keyboard covers the page instead of making it smaller (Safari), the page ends above it.
import { keepUp } from "./follow.js";

export function stayAboveKeyboard() {
  const seen = window.visualViewport;
  seen?.addEventListener("resize", () => {
    const isCovered = seen.scale === 1 && seen.height < innerHeight;
    document.documentElement.style.setProperty("--seen", isCovered ? `${seen.height}px` : "");
    keepUp();
  });
}
