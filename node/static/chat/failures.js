// Why a command has failed: an error code of the node, or `disconnected` or `no_answer`.

import { ClientError, CommandRefused, NoAnswer, Unconfirmed } from "./tannoy-client.js";

/** Error codes after which the same command may succeed later. */
export const TEMPORARY = new Set(["unavailable", "rate_limited", "disconnected", "no_answer", "internal", "not_joined"]);

export function describeFailure(error) {
  if (error instanceof CommandRefused) return { code: error.code, message: error.message };
  if (error instanceof NoAnswer || error instanceof Unconfirmed) return { code: "no_answer", message: "the node did not answer" };
  if (error instanceof ClientError) return { code: "disconnected", message: "the connection was lost" };
  throw error;
}
