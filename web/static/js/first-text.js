// Tells the server how long people wait: from sending a question to its first text on the screen.
export function measureFirstText() {
  let sentAt = null;
  document.addEventListener("question-sent", () => { sentAt = performance.now(); });
  document.addEventListener("answer-text", ({ detail: generationId }) => {
    if (sentAt === null || document.hidden) return sentAt = null; // a hidden page draws nothing
    const begun = sentAt;
    sentAt = null;
    requestAnimationFrame(() => requestAnimationFrame(() => tell((performance.now() - begun) / 1000, generationId))); // it is drawn
  });
}

function tell(seconds, generationId) {
  const token = document.querySelector("input[name=csrf_token]")?.value;
  const told = { csrf_token: token, seconds: seconds.toFixed(4), generation_id: generationId };
  if (token) navigator.sendBeacon("/first-text", new URLSearchParams(told));
}
