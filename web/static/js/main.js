// What makes every page pleasant; forms and links do without.
import { ChatStream } from "./stream.js";
import { localTimes } from "./times.js";
import { closeMenus } from "./menus.js";

customElements.define("chat-stream", ChatStream);
localTimes(document);
closeMenus();
