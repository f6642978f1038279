// What the page says when a node refuses a token, or a session that has one: docs/protocol.md §2 and §5.

const TOKEN_EXPIRED = 4401;
const BAD_TOKEN = 4501;
const FORBIDDEN = 4503;
const REFRESH_FAILURES = {
  token_expired: "This token has expired too.",
  disconnected: "The connection was lost. Send the token again when it is back.",
  no_answer: "The node did not answer. Send the token again.",
  too_large: "This token is larger than the node accepts on a connection.",
};

/**
 * Says why a session has ended, if that was for its token: `{problem, isTokenUseless}`, or null.
 * `refusal` is the error that came instead of `welcome`; null if the session had begun.
 */
export function describeEnd({ code, refusal }) {
  switch (code) {
    case TOKEN_EXPIRED:
      return {
        problem: refusal
          ? "This token has expired. Paste a newer one."
          : "Your token has expired. Paste a newer one: the messages that you miss will be shown.",
        isTokenUseless: true,
      };
    case BAD_TOKEN:
      return {
        problem: refusal ? `The token was not accepted: ${refusal.message}.` : "Your token has been revoked. Paste another one.",
        isTokenUseless: true,
      };
    case FORBIDDEN:
      return refusal?.code === "forbidden" ? { problem: `Not allowed: ${refusal.message}.`, isTokenUseless: false } : null;
    default:
      return null;
  }
}

/** Says why a `refresh` has failed with an error `{code, message}`. */
export function describeRefreshFailure({ code, message }) {
  return REFRESH_FAILURES[code] ?? `The token was not accepted: ${message}.`;
}
