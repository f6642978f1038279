// What outlives a reload: the address (which rooms, which agent) and who the reader is.

const NAME = /^[A-Za-z0-9_.:@~-]{1,128}$/;
const ROOMS_MAX = 100;
const STORED_IDENTITY = "tannoy.identity";

export function isName(name) {
  return NAME.test(name);
}

/** `#rooms=lobby,ops` or `#agent=42`; nothing at all means the lobby. */
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

/** The page's own `?user_id=&username=` wins (two people in one browser); then what was chosen before; else nobody yet. */
export function loadIdentity() {
  const query = new URLSearchParams(location.search);
  const asked = query.get("user_id");
  if (asked && isName(asked)) return { userId: asked, username: printable(query.get("username") ?? "") || asked };
  try {
    const { userId, username } = JSON.parse(localStorage.getItem(STORED_IDENTITY));
    return isName(userId) && printable(username) ? { userId, username: printable(username) } : null;
  } catch {
    return null;
  }
}

/** A new name keeps the user id, so that private conversations go on. What the address dictates is not stored. */
export function saveIdentity(chosen, previous) {
  const username = printable(chosen) || `guest-${randomKey().slice(0, 4)}`;
  const identity = { userId: previous?.userId ?? userIdFor(username), username };
  if (!new URLSearchParams(location.search).has("user_id")) store(STORED_IDENTITY, JSON.stringify(identity));
  return identity;
}

/** 128 random bits. Not `crypto.randomUUID`, which plain http to another host does not have. */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function userIdFor(username) {
  const readable = username.normalize("NFKD").replace(/[^A-Za-z0-9_.-]+/g, "").toLowerCase().slice(0, 32);
  return `${readable || "user"}-${randomKey().slice(0, 8)}`;
}

/** A node turns away names with invisible characters, but for the joiners that hold some emoji together. */
function printable(name) {
  return name.replace(/\p{Z}+/gu, " ").replace(/(?!\u200d)\p{C}/gu, "").trim();
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage may be forbidden altogether; then a reload simply asks again.
  }
}
