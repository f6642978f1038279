// The user of a node that asks for tokens: who it is, the token says. When a node refuses it, the page asks for another.

import { describeFailure } from "./failures.js";
import { LoginDialog } from "./login-dialog.js";
import { TokenExpiry } from "./token-expiry.js";
import { describeEnd, describeRefreshFailure } from "./token-refusals.js";
import { describeMistake, TabToken } from "./token.js";

export class TokenUser {
  query = {};
  #token = new TabToken();
  #dialog = new LoginDialog();
  #expiry = new TokenExpiry({ refresh: (token) => this.#refresh(token) });
  #session = null;
  #handledState = null; // of the session: each end of it is handled once
  #onIdentity;
  #onToken;

  /** `onIdentity(identity)`: a node has said who the user is. `onToken()`: connect with another token. */
  constructor({ onIdentity, onToken }) {
    this.#onIdentity = onIdentity;
    this.#onToken = onToken;
  }

  get isKnown() {
    return this.#token.value !== null;
  }

  get token() {
    return this.#token.value;
  }

  /** Asks for a token unless the tab has one. `given` is that of the page's address, or null. */
  async start(given) {
    if (given !== null) this.takeToken(given);
    else if (!this.isKnown) await this.#login({ problem: null, isRequired: true });
  }

  /** The user wants to use another token. */
  change() {
    return this.#login({ problem: null, isRequired: !this.isKnown });
  }

  /** Uses a token that came with the address of the page. */
  takeToken(token) {
    const mistake = describeMistake(token);
    if (mistake !== null) this.#login({ problem: `The address of this page has no good token. ${mistake}`, isRequired: !this.isKnown });
    else if (this.#dialog.isOpen) this.#dialog.answer(token);
    else this.#use(token);
  }

  /** Shows who the user is and how long the token is valid, and asks for another token if a node has refused this one. */
  handleChange(session) {
    this.#session = session;
    const { state, me, expiresAt } = session;
    if (me.userId !== null) this.#onIdentity({ ...me, change: "Use another token" });
    this.#expiry.update(state.name === "ended" ? null : expiresAt);
    if (state === this.#handledState) return;
    this.#handledState = state;
    const end = state.name === "ended" ? describeEnd(state) : null;
    if (end === null) return;
    if (end.isTokenUseless) this.#token.forget();
    this.#login({ problem: end.problem, isRequired: end.isTokenUseless });
  }

  async #login(question) {
    if (this.#dialog.isOpen) {
      this.#dialog.update(question);
      return;
    }
    const token = await this.#dialog.ask(question);
    if (token !== null) this.#use(token);
  }

  #use(token) {
    this.#token.set(token);
    this.#onToken();
  }

  async #refresh(token) {
    try {
      await this.#session.refreshToken(token);
    } catch (error) {
      return describeRefreshFailure(describeFailure(error));
    }
    this.#token.set(token);
    return null;
  }
}
