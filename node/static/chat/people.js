// Who is in one room or agent, as the node tells it: snapshots, and changes with a version, so that a missed one shows.
// Where one was missed the node is asked again: once at a time, and a crowd that missed the same one not all at once.

const ASK_EVERY_MS = 1000;
const ASK_SPREAD_PER_USER_MS = 5;
const ASK_SPREAD_MAX_MS = 5000;
const FRESH_FOR_MS = 3000;
const LOOKED_AFTER_MAX = 50; // users up to whom a list that is looked at is worth a question of its own
const KEPT_MAX = 1000;

/** Errors after which asking again is of no use: no right to know, no longer there, or a new snapshot is to come anyway. */
const IN_VAIN = new Set(["forbidden", "not_joined", "disconnected", "bad_request"]);

export class People {
  /** Users, named or not; null before the node has told. */
  count = null;
  /** Rises with every change, for those who draw. */
  revision = 0;
  #version = null;
  #named = new Map(); // user id -> {userId, username, sessions}; not all of them where there are many
  #takenAt = 0;
  #ask;
  #onAnswer;
  #asking = null; // what stands for the question under way; null: there is none
  #askTimer = 0;
  #askedAt = 0;
  #missedSome = false;
  #kept = []; // changes heard since the question: its answer may be older than they are

  /** `ask()` resolves with a snapshot or rejects with a CommandError; `onAnswer()` is called after each answer. */
  constructor({ ask, onAnswer }) {
    this.#ask = ask;
    this.#onAnswer = onAnswer;
  }

  get sessions() {
    return [...this.#named.values()].reduce((sum, { sessions }) => sum + sessions, 0);
  }

  /** At most `limit` of those who are known by name, oneself first: `me` is in a room that tells no names, too. */
  listed(me, limit) {
    const rest = new Map(this.#named);
    const told = rest.get(me.userId);
    rest.delete(me.userId);
    const own = told ?? (rest.size < this.count ? { userId: me.userId, sessions: 1 } : null);
    const others = [...rest.values()].sort(byName).map((user) => ({ ...user, isMe: false }));
    return [...(own ? [{ ...own, username: me.username, isMe: true }] : []), ...others].slice(0, limit);
  }

  /** A snapshot replaces what was known. The node leaves `users` out where there are too many. */
  take({ users_count: count, version, users }) {
    if (typeof count !== "number") return;
    this.count = count;
    this.#version = version ?? null;
    this.#name(users ?? []);
    this.#missedSome = false;
    this.#takenAt = Date.now();
    this.revision += 1;
  }

  /** `user_joined`, `user_left` or `presence`. True if it tells something that no snapshot held. */
  hear(change) {
    if (this.#version === null || change.version <= this.#version) return false;
    // In a crowd a count says all that there is to say; among a few it comes after a loss, and the gap asks us to ask.
    const tellsAll = change.type === "presence" && change.users_count > LOOKED_AFTER_MAX;
    if (!tellsAll && change.version > this.#version + 1) this.#missedSome = true;
    this.#apply(change);
    if (this.#asking) this.#keep(change);
    else if (this.#missedSome) this.#askSoon();
    return true;
  }

  /** Somebody looks at the list: sessions that come and go besides others of the same user are told to nobody. */
  look() {
    if (this.#asking || this.count > LOOKED_AFTER_MAX || Date.now() - this.#takenAt < FRESH_FOR_MS) return;
    this.askNow();
  }

  /** Asks, unless it is doing so. */
  askNow() {
    if (!this.#asking) this.#askIn(0);
  }

  /** The connection or the room is gone: until the next snapshot no version means anything. */
  forget() {
    clearTimeout(this.#askTimer);
    this.#asking = null;
    this.#kept = [];
    this.#missedSome = false;
    this.#version = null;
  }

  #apply({ type, users_count: count, version, users, user_id: userId, username }) {
    this.#version = version;
    this.count = count;
    if (users) this.#name(users);
    else if (type === "user_joined") this.#named.set(userId, { userId, username, sessions: 1 });
    else if (type === "user_left") this.#named.delete(userId);
    else this.#named.clear(); // from now on nobody says who of them goes
    this.revision += 1;
  }

  #name(users) {
    this.#named = new Map(
      users.map(({ user_id: userId, username, sessions }) => [userId, { userId, username: username ?? userId, sessions }]),
    );
  }

  #keep(change) {
    if (change.users) this.#kept = []; // it says all that those before it do
    this.#kept.push(change);
    if (this.#kept.length > KEPT_MAX) this.#kept.shift(); // which shows, as a version that is missing
  }

  #askSoon() {
    const spread = Math.random() * Math.min(ASK_SPREAD_MAX_MS, this.count * ASK_SPREAD_PER_USER_MS);
    this.#askIn(Math.max(spread, this.#askedAt + ASK_EVERY_MS - Date.now()));
  }

  #askIn(delayMs) {
    const question = {};
    this.#asking = question;
    const ifStillWanted = (take) => (answer) => { if (this.#asking === question) take(answer); };
    this.#askTimer = setTimeout(() => {
      this.#askedAt = Date.now();
      this.#ask().then(ifStillWanted((roll) => this.#answered(roll)), ifStillWanted((error) => this.#notAnswered(error)));
    }, delayMs);
  }

  #answered(roll) {
    const kept = this.#endOfQuestion();
    this.take(roll);
    for (const change of kept) this.hear(change); // asks again if one is still missing
    this.#onAnswer();
  }

  #notAnswered({ code }) {
    this.#endOfQuestion();
    if (this.#missedSome && !IN_VAIN.has(code)) this.#askSoon();
  }

  #endOfQuestion() {
    const kept = this.#kept;
    this.#kept = [];
    this.#asking = null;
    return kept;
  }
}

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function byName(one, other) {
  return names.compare(one.username, other.username) || (one.userId < other.userId ? -1 : 1);
}
