// The users in one room, or the sessions of one agent, as the page lists them. The client keeps those of a room current.

import { describeFailure } from "./failures.js";

const FRESH_FOR_MS = 3000;
const REFRESH_MAX_USERS = 50; // the list of a room with more users is not refreshed when it is opened

export class People {
  /** The number of users, named or not; null before the first snapshot. */
  count = null;
  /** Incremented with every change. */
  revision = 0;
  #users = new Map(); // user id -> {userId, username, sessions}; in a large room not all of them
  #request = null; // asks who is there; null before there is a room or an agent
  #isRequesting = false;
  #snapshotAt = 0;
  #onChange;

  constructor({ onChange }) {
    this.#onChange = onChange;
  }

  followRoom(room) {
    this.#request = () => room.refreshPresence();
    room.on("joined", () => { this.#snapshotAt = Date.now(); });
    room.on("presence", ({ count, users }) => this.#set(count, users));
  }

  /** No frame tells which sessions an agent has. */
  followAgent(agent) {
    this.#request = async () => {
      const { users, users_count: count } = await agent.request("presence");
      this.#set(count, new Map(users.map(({ user_id: userId, username, sessions }) => [userId, { userId, username, sessions }])));
    };
    agent.on("joined", () => this.requestNow());
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

  /** Requests a snapshot when the list is looked at: no frame reports a further session of a user who is present. */
  refreshIfStale() {
    if (this.count <= REFRESH_MAX_USERS && Date.now() - this.#snapshotAt >= FRESH_FOR_MS) this.requestNow();
  }

  /** Requests a snapshot, unless one is on its way. */
  async requestNow() {
    if (this.#isRequesting || this.#request === null) return;
    this.#isRequesting = true;
    try {
      await this.#request();
      this.#snapshotAt = Date.now();
    } catch (error) {
      describeFailure(error); // such as a token that does not allow to ask; anything else is thrown
    } finally {
      this.#isRequesting = false;
    }
    this.#onChange();
  }

  #set(count, users) {
    if (typeof count !== "number") return;
    this.count = count;
    this.#users = new Map([...users].map(([userId, user]) => [userId, { ...user, username: user.username ?? userId }]));
    this.revision += 1;
    this.#onChange();
  }
}

const names = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

function byName(one, other) {
  return names.compare(one.username, other.username) || (one.userId < other.userId ? -1 : 1);
}
