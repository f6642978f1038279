// Who is in a room: snapshots, and changes whose versions tell when one is missing. No I/O.

import { type Frame, renameFields } from "./frames.js";

/** Changes that are remembered while a snapshot is requested; one that is dropped shows later, as a missing version. */
const QUEUED_MAX = 1000;
/** In a room with more users a count is all there is; in a smaller one it means that an event was not sent. */
const COMPLETE_MAX = 50;

/** A user in a room. `sessions` of 0: the user left, and may be back before the others are told. */
export interface User {
  userId: string;
  username: string;
  sessions: number;
  /** RFC 3339; not known of a user whose coming was told. */
  connectedAt?: string;
}

/** The users in one room, kept current. In a large room `users` has not all of them; `count` has. */
export class Presence {
  count = 0;
  /** By user id. */
  users: ReadonlyMap<string, User> = new Map();
  /** @internal A change was not received: request a snapshot. */
  hasMissed = false;
  #version: number | null = null;
  #queued: Frame[] | null = null; // changes since a snapshot was requested; null if none is

  /** @internal Replace everything, by the `ok` of `join` or `presence`; then apply what came since it was requested. */
  applySnapshot(snapshot: Frame): void {
    const queued = this.#queued ?? [];
    this.#queued = null;
    this.count = snapshot.users_count;
    this.#version = snapshot.version ?? null;
    this.hasMissed = false;
    this.#setUsers(snapshot.users ?? []);
    for (const change of queued) this.applyChange(change);
  }

  /** @internal A snapshot was requested: its answer may be older than the changes that come from now on. */
  beginRequest(): void {
    this.#queued = [];
  }

  /** @internal The request failed. */
  endRequest(): void {
    this.#queued = null;
  }

  /** @internal Apply a `user_joined`, `user_left` or `presence`. Returns false if the snapshot contained it already. */
  applyChange(change: Frame): boolean {
    const { type, version, user_id: userId } = change;
    if (this.#version === null || version <= this.#version) return false;
    const isCount = type === "presence";
    if (!(isCount && change.users_count > COMPLETE_MAX) && (isCount || version > this.#version + 1)) this.hasMissed = true;
    this.#version = version;
    this.count = change.users_count;
    if (change.users) {
      this.#setUsers(change.users);
    } else {
      // From a count on no frame names the users who leave.
      const users = new Map(isCount ? [] : this.users);
      if (type === "user_joined") users.set(userId, { userId, username: change.username, sessions: 1 });
      else users.delete(userId);
      this.users = users;
    }
    if (this.#queued && this.#queued.length < QUEUED_MAX) this.#queued.push(change);
    return true;
  }

  /** @internal The connection or the room was left: until the next snapshot, changes are ignored. */
  reset(): void {
    this.#version = this.#queued = null;
    this.hasMissed = false;
  }

  #setUsers(users: Frame[]): void {
    this.users = new Map(users.map((user) => [user.user_id, renameFields(user)]));
  }
}
