// The dialog that asks for a token. The token leaves the page's DOM as soon as the dialog is closed.

import { $, setText } from "./dom.js";
import { cleanToken, describeMistake } from "./token.js";

export class LoginDialog {
  #resolve = null; // of the promise that `ask` has returned; null while the dialog is closed
  #isRequired = true;

  constructor() {
    $("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (event.submitter === $("login-cancel")) this.answer(null);
      else this.#submit();
    });
    $("login").addEventListener("cancel", (event) => {
      event.preventDefault();
      if (!this.#isRequired) this.answer(null);
    });
    $("login").addEventListener("close", () => this.#handleClose());
  }

  get isOpen() {
    return this.#resolve !== null;
  }

  /** Resolves with a token, or with null if the user cancels. That is possible if the token is not `isRequired`. */
  ask({ problem, isRequired }) {
    $("login").showModal();
    this.update({ problem, isRequired });
    return new Promise((resolve) => { this.#resolve = resolve; });
  }

  /** Changes the sentence on what is wrong, null for none, while the dialog is open. */
  update({ problem, isRequired }) {
    this.#isRequired = isRequired;
    $("login-cancel").hidden = isRequired;
    this.#showProblem(problem);
  }

  /** Closes the dialog with this token, as if the user had pasted it, or with null. */
  answer(token) {
    const resolve = this.#resolve;
    this.#resolve = null;
    $("login-token").value = "";
    $("login").close();
    resolve(token);
  }

  #submit() {
    const token = cleanToken($("login-token").value);
    const mistake = describeMistake(token);
    if (mistake === null) this.answer(token);
    else this.#showProblem(mistake);
  }

  #showProblem(problem) {
    $("login-problem").hidden = problem === null;
    setText($("login-problem"), problem ?? "");
    $("login-token").focus();
    $("login-token").select();
  }

  /** A browser closes any dialog at the second Escape, whatever `cancel` says. */
  #handleClose() {
    if (this.#resolve === null || $("login").open) return;
    if (this.#isRequired) $("login").showModal();
    else this.answer(null);
  }
}
