// The users in one room, or the sessions of one agent: snapshots, and changes with a version, so that a missed change is
// noticed. Then a snapshot is requested: one at a time, and after a random delay, so that not all tabs do so at once.

const REQUEST_INTERVAL_MS = 1000;
const REQUEST_SPREAD_PER_USER_MS = 5;
const REQUEST_SPREAD_MAX_MS = 5000;
const FRESH_FOR_MS = 3000;
const REFRESH_MAX_USERS = 50; // the list of a room with more users is not refreshed when it is opened
const QUEUED_MAX = 1000;

/** Error codes after which another request is pointless: forbidden, not in the room, or a join will bring a snapshot. */
const PERMANENT_ERRORS = new Set(["forbidden", "not_joined", "disconnected", "bad_request"]);

export class People {
  /** The number of users, named or not; null before the first snapshot. */
  count = null;
  /** Incremented with every change. */
  revision = 0;
  #version = null;
  #users = new Map(); // user id -> {userId, username, sessions}; in a large room not all of them
  #snapshotAt = 0;
  #request;
  #onAnswer;
  #pending = null; // identifies the pending request; null if there is none
  #requestTimer = 0;
  #requestedAt = 0;
  #hasMissed = false;
  #queued = []; // changes received since the request, which its answer may be older than

  /** `request()` resolves with a snapshot or rejects with a CommandError; `onAnswer()` is called after each answer. */
  constructor({ request, onAnswer }) {
    this.#request = request;
    this.#onAnswer = onAnswer;
  }

  get sessions() {
    return [...this.#users.values()].reduce((sum, { sessions }) => sum + sessions, 0);
  }

  /** At most `limit` users known by name, `me` first, who is listed even if the room names no users. */
  listUsers(me, limit) {
    const rest = new Map(this.#users);
    const known = rest.get(me.userId);
    rest.delete(me.userId);
    const own = known ?? (rest.size < this.count ? { userId: me.userId, sessions: 1 } : null);
    const others = [...rest.values()].sort(byName).map((user) => ({ ...user, isMe: false }));
    return [...(own ? [{ ...own, username: me.username, isMe: true }] : []), ...others].slice(0, limit);
  }

  /** Replaces everything by a snapshot. It has no `users` if there are too many. */
  applySnapshot({ users_count: count, version, users }) {
    if (typeof count !== "number") return;
    this.count = count;
    this.#version = version ?? null;
    this.#setUsers(users ?? []);
    this.#hasMissed = false;
    this.#snapshotAt = Date.now();
    this.revision += 1;
  }

  /** Applies `user_joined`, `user_left` or `presence`. Returns false if a snapshot contained the change. */
  applyChange(change) {
    if (this.#version === null || change.version <= this.#version) return false;
    // In a large room only counts are sent. In a small one a count is sent after a loss, so a snapshot is needed.
    const isComplete = change.type === "presence" && change.users_count > REFRESH_MAX_USERS;
    if (!isComplete && change.version > this.#version + 1) this.#hasMissed = true;
    this.#apply(change);
    if (this.#pending) this.#queue(change);
    else if (this.#hasMissed) this.#requestSoon();
    return true;
  }

  /** Requests a snapshot when the list is looked at: no frame reports a further session of a user who is present. */
  refreshIfStale() {
    if (this.#pending || this.count > REFRESH_MAX_USERS || Date.now() - this.#snapshotAt < FRESH_FOR_MS) return;
    this.requestNow();
  }

  /** Requests a snapshot, unless a request is pending. */
  requestNow() {
    if (!this.#pending) this.#requestIn(0);
  }

  /** The connection or the room was left: until the next snapshot, changes are ignored. */
  reset() {
    clearTimeout(this.#requestTimer);
    this.#pending = null;
    this.#queued = [];
    this.#hasMissed = false;
    this.#version = null;
  }

  #apply({ type, users_count: count, version, users, user_id: userId, username }) {
    this.#version = version;
    this.count = count;
    if (users) this.#setUsers(users);
    else if (type === "user_joined") this.#users.set(userId, { userId, username, sessions: 1 });
    else if (type === "user_left") this.#users.delete(userId);
    else this.#users.clear(); // from now on no frame names the users who leave
    this.revision += 1;
  }

  #setUsers(users) {
    this.#users = new Map(
      users.map(({ user_id: userId, username, sessions }) => [userId, { userId, username: username ?? userId, sessions }]),
    );
  }

  #queue(change) {
    if (change.users) this.#queued = []; // a change with all users replaces those before it
    this.#queued.push(change);
    if (this.#queued.length > QUEUED_MAX) this.#queued.shift(); // noticed later, as a missing version
  }

  #requestSoon() {
    const spread = Math.random() * Math.min(REQUEST_SPREAD_MAX_MS, this.count * REQUEST_SPREAD_PER_USER_MS);
    this.#requestIn(Math.max(spread, this.#requestedAt + REQUEST_INTERVAL_MS - Date.now()));
  }

  #requestIn(delayMs) {
    const request = {};
    this.#pending = request;
    const ifStillWanted = (take) => (answer) => { if (this.#pending === request) take(answer); };
    this.#requestTimer = setTimeout(() => {
      this.#requestedAt = Date.now();
      this.#request().then(ifStillWanted((snapshot) => this.#handleAnswer(snapshot)), ifStillWanted((error) => this.#handleFailure(error)));
    }, delayMs);
  }

  #handleAnswer(snapshot) {
    const queued = this.#endRequest();
    this.applySnapshot(snapshot);
    for (const change of queued) this.applyChange(change); // requests again if one is still missing
    this.#onAnswer();
  }

  #handleFailure({ code }) {
    this.#endRequest();
    if (this.#hasMissed && !PERMANENT_ERRORS.has(code)) this.#requestSoon();
  }

  #endRequest() {
    const queued = this.#queued;
    this.#queued = [];
    this.#pending = null;
    return queued;
  }
}

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function byName(one, other) {
  return names.compare(one.username, other.username) || (one.userId < other.userId ? -1 : 1);
}
