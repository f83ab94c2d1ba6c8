// Of a conversation.
import { ChatComposer } from "./composer.js";
import { ChosenPictures } from "./chosen-pictures.js";
import { measureFirstText } from "./first-text.js";
import { followConversation } from "./follow.js";
import { stayAboveKeyboard } from "./keyboard.js";
import { handleTurns } from "./turns.js";
import { openPictures } from "./viewer.js";

followConversation();
openPictures();
measureFirstText();
stayAboveKeyboard();
handleTurns();
customElements.define("chosen-pictures", ChosenPictures);
customElements.define("chat-composer", ChatComposer);
