// The user of a node that asks for no tokens: whoever the user says to be. The name is kept in the browser.

import { NameDialog } from "./name-dialog.js";
import { loadIdentity, saveIdentity } from "./storage.js";

export class NamedUser {
  token = null;
  #identity = loadIdentity();
  #dialog = new NameDialog();
  #onIdentity;
  #onName;

  /** `onIdentity(identity)`: the user has said who it is. `onName()`: connect with another name. */
  constructor({ onIdentity, onName }) {
    this.#onIdentity = onIdentity;
    this.#onName = onName;
  }

  get isKnown() {
    return this.#identity !== null;
  }

  /** The parameters of the query that name the user. */
  get query() {
    return { user_id: this.#identity.userId, username: this.#identity.username };
  }

  /** Asks for a name unless the browser has one. */
  async start() {
    this.#identity ??= saveIdentity((await this.#dialog.ask(null)) ?? "", null);
    this.#showIdentity();
  }

  /** The user wants another name. */
  async change() {
    const name = await this.#dialog.ask(this.#identity);
    if (name === null) return;
    this.#identity = saveIdentity(name, this.#identity);
    this.#showIdentity();
    this.#onName();
  }

  takeToken() {}

  handleChange() {}

  #showIdentity() {
    this.#onIdentity({ ...this.#identity, change: "Change your name" });
  }
}
