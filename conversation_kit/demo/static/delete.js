// Asks before a message is deleted: there is no way back, and everybody loses it.

import {find, say} from "./dom.js";

export function askToDelete(text, onConfirmed) {
  const dialog = find("#delete");
  say(find("#delete-text"), text);
  find("#delete-cancel").onclick = () => dialog.close();
  find("#delete-form").onsubmit = onConfirmed;
  dialog.showModal();
}
