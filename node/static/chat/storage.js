// What is kept over a reload: the address of the page (rooms or agent), and the user's identity in local storage.

const NAME = /^[A-Za-z0-9_.:@~-]{1,128}$/;
const ROOMS_MAX = 100;
const STORED_IDENTITY = "tannoy.identity";

export function isName(name) {
  return NAME.test(name);
}

/** Parses `#rooms=lobby,ops` or `#agent=42`. An empty hash is the room `lobby`. */
export function readAddress(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  if (fields.has("agent")) {
    const agentId = fields.get("agent");
    return { view: "agent", agentId: isName(agentId) ? agentId : null };
  }
  const rooms = (fields.get("rooms") ?? "lobby").split(",").filter(isName);
  return { view: "chat", rooms: [...new Set(rooms)].slice(0, ROOMS_MAX) };
}

export function roomsHash(rooms) {
  return `#rooms=${rooms.join(",")}`;
}

export function agentHash(agentId) {
  return `#agent=${agentId}`;
}

/** The identity in `?user_id=&username=` of the page, else the stored one, else null. */
export function loadIdentity() {
  const query = new URLSearchParams(location.search);
  const given = query.get("user_id");
  if (given && isName(given)) return { userId: given, username: toPrintable(query.get("username") ?? "") || given };
  try {
    const { userId, username } = JSON.parse(localStorage.getItem(STORED_IDENTITY));
    return isName(userId) && toPrintable(username) ? { userId, username: toPrintable(username) } : null;
  } catch {
    return null;
  }
}

/** Stores a new name under the same user id. An identity that came from the page's query is not stored. */
export function saveIdentity(chosen, previous) {
  const username = toPrintable(chosen) || `guest-${randomKey().slice(0, 4)}`;
  const identity = { userId: previous?.userId ?? userIdFor(username), username };
  if (!new URLSearchParams(location.search).has("user_id")) store(STORED_IDENTITY, JSON.stringify(identity));
  return identity;
}

/** 128 random bits in hex. `crypto.randomUUID` exists in secure contexts only, so not over plain http. */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function userIdFor(username) {
  const readable = username.normalize("NFKD").replace(/[^A-Za-z0-9_.-]+/g, "").toLowerCase().slice(0, 32);
  return `${readable || "user"}-${randomKey().slice(0, 8)}`;
}

/** Removes characters that a node refuses: invisible ones, except for the joiners within emoji. */
function toPrintable(name) {
  return name.replace(/\p{Z}+/gu, " ").replace(/(?!\u200d)\p{C}/gu, "").trim();
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage may be disabled; then the name is asked for again after a reload.
  }
}
