// The token of this tab: in memory, and in the tab's session storage for a reload. Never in local storage, which all tabs
// share and which outlives them, and never in an address, which histories and logs keep.

const STORED_TOKEN = "tannoy.token";
const TOKEN_MAX_CHARACTERS = 8192;
const TOKEN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/; // another character would make `new WebSocket` throw

export class TabToken {
  #value = load();

  /** The token, or null. */
  get value() {
    return this.#value;
  }

  set(token) {
    this.#value = token;
    try {
      sessionStorage.setItem(STORED_TOKEN, token);
    } catch {
      // Storage may be disabled; then the token is asked for again after a reload.
    }
  }

  forget() {
    this.#value = null;
    try {
      sessionStorage.removeItem(STORED_TOKEN);
    } catch {
      // Nothing was stored.
    }
  }
}

/** Takes `token=…` out of the hash of the page's address. Returns it, or null if there is none. */
export function takeTokenFromAddress() {
  const fields = location.hash.replace(/^#/, "").split("&");
  const given = fields.filter((field) => field.startsWith("token="));
  if (given.length === 0) return null;
  const hash = fields.filter((field) => !field.startsWith("token=")).join("&");
  history.replaceState(null, "", location.pathname + location.search + (hash === "" ? "" : `#${hash}`));
  return cleanToken(new URLSearchParams(given[0]).get("token"));
}

/** A token as it was pasted, without `Bearer` in front and without the line breaks of a terminal. */
export function cleanToken(text) {
  return text.trim().replace(/^bearer\s+/i, "").replace(/\s+/g, "");
}

/** A sentence on what cannot be a token of any node; null if it can. */
export function describeMistake(token) {
  if (token === "") return "Paste a token first.";
  if (token.length > TOKEN_MAX_CHARACTERS) return `A token has at most ${TOKEN_MAX_CHARACTERS} characters, this has ${token.length}.`;
  return TOKEN.test(token) ? null : "This is not a token: a token has three parts of letters, digits, - and _, joined by dots.";
}

function load() {
  try {
    const token = sessionStorage.getItem(STORED_TOKEN);
    return token !== null && describeMistake(token) === null ? token : null;
  } catch {
    return null;
  }
}
