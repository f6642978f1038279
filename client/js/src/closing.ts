// What the end of a connection means to a client: docs/protocol.md §5. No I/O.

import { ConnectionLost, FINAL_ERRORS, SessionEnded } from "./errors.js";
import type { Frame } from "./frames.js";

/** The close code of RFC 6455 for a connection that ended without a close frame. */
export const NO_CLOSE_FRAME = 1006;
export const TOKEN_EXPIRED = 4401;
const FIRST_FINAL_CODE = 4500;
/** The client broke RFC 6455, or sent invalid UTF-8: it would do so again. */
const BROKEN_CLIENT = [1002, 1007];

/**
 * The error of a connection that has ended: by its `bye`, and without one by its close frame. A SessionEnded says not to
 * connect again. `refusal` is an `error` that came in place of `welcome`.
 */
export function describeEnd(code: number, reason: string, bye: Frame | null, refusal: Frame | null): ConnectionLost {
  const found: number = bye?.code ?? code;
  let text = `${found} ${bye?.reason ?? (reason || (code === NO_CLOSE_FRAME ? "no close frame" : ""))}`.trim();
  if (refusal) text += `: ${refusal.message}`;
  if (isFinal(found, bye)) return new (FINAL_ERRORS[found] ?? SessionEnded)(text, found);
  const retryAfter = bye?.retry_after;
  return new ConnectionLost(text, found, retryAfter >= 0 ? retryAfter : null);
}

function isFinal(code: number, bye: Frame | null): boolean {
  // No node closes with 1000 or 1001 and without `bye`: it is a proxy on the way that is stopped.
  return typeof bye?.reconnect === "boolean" ? !bye.reconnect : code >= FIRST_FINAL_CODE || BROKEN_CLIENT.includes(code);
}
