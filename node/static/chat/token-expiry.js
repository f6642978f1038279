// When the token expires: a quiet line, and shortly before a form that takes a newer token.
// The clock of this machine may differ from the node's, so the form may come early or late. What counts is the close 4401.

import { $, setText } from "./dom.js";
import { cleanToken, describeMistake } from "./token.js";

const ASK_BEFORE_MS = 60_000;
const TIMER_MAX_MS = 86_400_000; // a browser's timer runs for 24 days at most, and a token may be valid for years
const EXPIRES_SOON = "Your token expires in less than a minute. Paste a newer one to stay connected.";
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class TokenExpiry {
  #expiresAt = null; // RFC 3339
  #timer = 0;
  #isSending = false;
  #refresh;

  /** `refresh(token)` resolves with null, or with a sentence on why the token was not taken. */
  constructor({ refresh }) {
    this.#refresh = refresh;
    $("refresh").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** Shows when the token expires; null: there is none. */
  update(expiresAt) {
    if (expiresAt === this.#expiresAt) return;
    this.#expiresAt = expiresAt;
    $("token-expiry").hidden = expiresAt === null;
    setText($("token-expiry"), expiresAt === null ? "" : `Token valid until ${formatTime(new Date(expiresAt))}`);
    this.#start();
  }

  /** Hides the form until it is time for it. */
  #start() {
    clearTimeout(this.#timer);
    if ($("refresh").contains(document.activeElement)) $("text").focus();
    $("refresh").hidden = true;
    $("refresh-token").value = "";
    if (this.#expiresAt !== null) this.#check();
  }

  #check() {
    const left = Date.parse(this.#expiresAt) - Date.now() - ASK_BEFORE_MS;
    if (left > 0) {
      this.#timer = setTimeout(() => this.#check(), Math.min(left, TIMER_MAX_MS));
      return;
    }
    $("refresh").hidden = false;
    setText($("refresh-text"), EXPIRES_SOON);
  }

  async #submit() {
    if (this.#isSending) return;
    const token = cleanToken($("refresh-token").value);
    this.#isSending = true;
    const problem = describeMistake(token) ?? (await this.#refresh(token));
    this.#isSending = false;
    if (problem === null) {
      this.#start();
      return;
    }
    setText($("refresh-text"), problem);
    $("refresh-token").focus();
    $("refresh-token").select();
  }
}

function formatTime(at) {
  return at.toDateString() === new Date().toDateString() ? clock.format(at) : calendar.format(at);
}
