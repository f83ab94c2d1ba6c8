// Of a conversation.
import { ChatComposer } from "./composer.js";
import { ChosenPictures } from "./chosen-pictures.js";
import { measureFirstText } from "./first-text.js";
import { followConversation } from "./follow.js";
import { handleTurns } from "./turns.js";
import { openPictures } from "./viewer.js";

followConversation();
openPictures();
measureFirstText();
handleTurns();
customElements.define("chosen-pictures", ChosenPictures);
customElements.define("chat-composer", ChatComposer);
