// Following a growing answer: only while the reader is at the end. Never moves what someone is reading.
const NEAR_PX = 48;
let isFollowing = true;

const sheet = () => document.getElementById("main");

export function scrollToEnd() {
  const main = sheet();
  if (!main?.querySelector("[role=log]")) return;
  isFollowing = true;
  main.scrollTop = main.scrollHeight;
}

// Call after text was added.
export function keepUp() {
  if (isFollowing) scrollToEnd();
}

export function followConversation() {
  sheet()?.addEventListener("scroll", ({ currentTarget: main }) => {
    isFollowing = main.scrollHeight - main.scrollTop - main.clientHeight < NEAR_PX;
  }, { passive: true });
  isFollowing = !location.hash; // a link to a turn stays there
  keepUp();
}
