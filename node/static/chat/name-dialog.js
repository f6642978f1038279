// The dialog that asks for a name.

import { $, setText } from "./dom.js";

export class NameDialog {
  /** Resolves with the name, empty for a guest, or with null if the user cancels. */
  ask(identity) {
    const dialog = $("who");
    if (dialog.open) return Promise.resolve(null);
    $("who-name").value = identity?.username ?? "";
    setText($("who-yes"), identity ? "Save" : "Join");
    setText($("who-no"), identity ? "Cancel" : "Join as a guest");
    dialog.returnValue = "";
    dialog.showModal();
    $("who-name").select();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(readAnswer(dialog.returnValue, identity)), { once: true });
    });
  }
}

function readAnswer(answer, identity) {
  if (answer === "yes") return $("who-name").value.trim() || identity?.username || "";
  return answer === "no" && !identity ? "" : null;
}
