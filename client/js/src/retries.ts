// When to connect again, and when to repeat a command: with full jitter, and not before the node said. No I/O, no clock.

import { ClientError, ConnectionLost } from "./errors.js";

/** Seconds until the next connection, with full jitter. */
const BACKOFF_BASE = 0.5;
const BACKOFF_CAP = 15;
/** After a session that lasted longer, in seconds, the back-off starts anew. */
const STABLE_SECONDS = 10;
/** Seconds until a command is repeated that the node could not carry out, with full jitter. */
const REPEAT_BASE = 0.2;
const REPEAT_CAP = 2;

/** Errors after which a command was certainly not carried out. */
export const NO_EFFECT = new Set(["rate_limited", "not_joined"]);
/** Errors after which the same command may succeed. */
export const TEMPORARY = new Set([...NO_EFFECT, "unavailable"]);

/** Seconds to wait before retry number `attempt` (from 0): uniform over [0, min(cap, base * 2 ** attempt)]. */
export function fullJitter(attempt: number, base: number, cap: number): number {
  return Math.random() * Math.min(cap, base * 2 ** Math.min(attempt, 32));
}

/** Seconds until a command is repeated: not before the node said, and spread, since others were refused too. */
export function secondsUntilRepeat(attempt: number, retryAfter?: number | null): number {
  return (retryAfter ?? 0) + fullJitter(attempt, REPEAT_BASE, REPEAT_CAP);
}

export function sleep(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** The attempts of one client. `maxAttempts`: after so many failures in a row it gives up. */
export class Retries {
  #failures = 0;

  constructor(readonly maxAttempts: number) {}

  /** The next attempt is the first one. */
  reset(): void {
    this.#failures = 0;
  }

  /** The seconds until the next attempt, after a session of `lasted` seconds, or the error that ends the client. */
  next(lost: ConnectionLost, lasted: number): number | ClientError {
    if (lasted > STABLE_SECONDS) this.#failures = 0;
    const jitter = fullJitter(this.#failures, BACKOFF_BASE, BACKOFF_CAP);
    this.#failures += 1;
    if (this.#failures >= this.maxAttempts) {
      return new ClientError(`the connection failed (${this.#failures} in a row): ${lost.message}`);
    }
    // The first retry follows the node. A node that refuses again and again can't cause a tight loop.
    return lost.retryAfter === null ? jitter : this.#failures === 1 ? lost.retryAfter : Math.max(lost.retryAfter, jitter);
  }
}
