// What makes the pages pleasant. Everything here also works without it: forms, redirects and links.
import { ChatComposer } from "./composer.js";
import { ChosenPictures } from "./chosen-pictures.js";
import { ChatStream } from "./stream.js";
import { CopyText } from "./copy.js";
import { localTimes } from "./times.js";
import { measureFirstText } from "./first-text.js";
import { followConversation } from "./follow.js";
import { closeMenus } from "./menus.js";
import { openPictures } from "./viewer.js";

customElements.define("chosen-pictures", ChosenPictures);
customElements.define("chat-composer", ChatComposer);
customElements.define("chat-stream", ChatStream);
customElements.define("copy-text", CopyText);
localTimes(document);
followConversation();
closeMenus();
openPictures();
measureFirstText();
