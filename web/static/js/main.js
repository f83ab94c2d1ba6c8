// What makes every page pleasant. All of it also works without: forms, redirects and links.
import { ChatStream } from "./stream.js";
import { CopyText } from "./copy.js";
import { localTimes } from "./times.js";
import { closeMenus } from "./menus.js";

customElements.define("chat-stream", ChatStream);
customElements.define("copy-text", CopyText);
localTimes(document);
closeMenus();
