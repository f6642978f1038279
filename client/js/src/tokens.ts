// The token of a client: a string, or a function that returns one and is asked again before it expires, or then.

import { ConnectionLost, TokenRefused } from "./errors.js";

/** The close code of a token that a node refuses. */
const BAD_TOKEN = 4501;
/** Milliseconds after which a function for tokens that has not answered has failed: a `fetch` may wait for ever. */
const ASK_MS = 30_000;

/** A promise that rejects is a failed attempt to connect, after which it is asked again, unless with a TokenRefused. */
export type TokenProvider = () => string | Promise<string>;
export type Token = string | TokenProvider;

/** The connections of one client share it: however many of them need a new token, the provider is asked once. */
export class TokenSource {
  #provider: TokenProvider | null;
  #token: string | null;
  #asking: Promise<string> | null = null;

  /** Throws TokenRefused for an empty or blank token. */
  constructor(token: Token | null | undefined) {
    this.#provider = typeof token === "function" ? token : null;
    this.#token = this.#provider || token == null ? null : checkToken(token);
  }

  get isRenewable(): boolean {
    return this.#provider !== null;
  }

  /** Whether the client presents a token at all. */
  get exists(): boolean {
    return this.isRenewable || this.#token !== null;
  }

  /** The present token; null if the client has none. Rejects with a ConnectionLost, of which TokenRefused is final. */
  async get(): Promise<string | null> {
    return this.#token ?? (this.#provider && this.#askOnce(this.#provider));
  }

  /** A token in place of this one, which holds still. */
  async renew(token: string | null): Promise<string> {
    if (this.#token !== null && this.#token !== token) return this.#token; // another connection has asked
    return this.#askOnce(this.#provider!);
  }

  /** A node refused this token. It is asked for once, if several connections say so. */
  discard(token: string | null): void {
    if (this.isRenewable && token === this.#token) this.#token = null;
  }

  #askOnce(provider: TokenProvider): Promise<string> {
    return (this.#asking ??= this.#ask(provider).finally(() => {
      this.#asking = null;
    }));
  }

  async #ask(provider: TokenProvider): Promise<string> {
    let timer;
    const late = new Promise<never>((_, reject) => (timer = setTimeout(() => reject("no answer"), ASK_MS)));
    try {
      const token = await Promise.race([late, provider()]);
      return (this.#token = checkToken(token));
    } catch (error) {
      throw error instanceof TokenRefused ? error : new ConnectionLost(`no token: ${error}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

function checkToken(token: unknown): string {
  if (typeof token === "string" && token.trim()) return token;
  throw new TokenRefused(`not a token: "${token}"`, BAD_TOKEN);
}
