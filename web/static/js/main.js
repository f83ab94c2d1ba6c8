// What makes every page pleasant; forms and links do without.
import { ChatStream } from "./stream.js";
import { CopyText } from "./copy.js";
import { localTimes } from "./times.js";
import { closeMenus } from "./menus.js";

customElements.define("chat-stream", ChatStream);
customElements.define("copy-text", CopyText);
localTimes(document);
closeMenus();
