// Replaces the token of a session before it expires, so that its connection stays.

import { call } from "./calls.js";
import type { ClientError } from "./errors.js";
import type { Link } from "./link.js";

/** Parts of the time until a token expires, between which it is replaced: at random, since many may begin together. */
const REFRESH_FROM = 0.75;
const REFRESH_TO = 0.9;
/** Seconds. A token that expires sooner is replaced when the node says that it has expired. */
const LIFE_MIN = 10;
/** Seconds: a timer of JavaScript takes no more than 2 ** 31 ms. A token that lives longer is looked at again then. */
const TIMER_MAX = 2_000_000;

/** Null: not ahead of the end, as also where the clock of this machine is fast. */
export function secondsUntilRefresh(secondsLeft: number): number | null {
  return secondsLeft < LIFE_MIN ? null : secondsLeft * (REFRESH_FROM + (REFRESH_TO - REFRESH_FROM) * Math.random());
}

/** Of one session, whose tokens come from a function. Each connection of it begins anew. */
export class TokenRefresh {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly link: Link) {}

  /** A connection is live. `expiresAt`: of its `welcome`, in RFC 3339. */
  begin(expiresAt: string | undefined): void {
    this.stop();
    if (expiresAt === undefined || !this.link.settings.tokens.isRenewable) return;
    const delay = secondsUntilRefresh((Date.parse(expiresAt) - Date.now()) / 1000);
    if (delay === null) return;
    const next = delay > TIMER_MAX ? () => this.begin(expiresAt) : () => void this.#refresh(expiresAt);
    this.#timer = setTimeout(next, Math.min(delay, TIMER_MAX) * 1000);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  async #refresh(expiresAt: string): Promise<void> {
    const { link } = this;
    const { tokens, timeout } = link.settings;
    const before = link.token;
    try {
      const token = await tokens.renew(before);
      // Another connection has begun, with another token; or the function has no newer one.
      if (before !== link.token || before === token) return;
      const answer = await call(link, { type: "refresh", token }, { timeout });
      link.token = token;
      this.begin(answer.expires_at);
    } catch (error) {
      if (!link.isLive) return;
      const { code, message } = error as ClientError;
      // Refused: the session ends with its token, and the next one begins with the new token.
      if (code) link.owner.handleFrame({ type: "error", code, message });
      else this.begin(expiresAt); // while the token holds, there is another try
    }
  }
}
