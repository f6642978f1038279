// A room that a client has joined.

import { readRefusal } from "./calls.js";
import { Channel, type ChannelEvents } from "./channel.js";
import type { ClientError } from "./errors.js";
import { type Frame, renameFields } from "./frames.js";
import type { Link } from "./link.js";
import { Presence } from "./presence.js";
import { sleep } from "./retries.js";

export interface RoomUser {
  userId: string;
  username: string;
}

/** `usersCount` users are in the room now. */
export interface RoomChange extends RoomUser {
  usersCount: number;
}

export interface RoomEvents<Content> extends ChannelEvents<Content> {
  /** The users of the room, or their number, have changed. */
  presence: Presence;
  userJoined: RoomChange;
  userLeft: RoomChange;
  typing: RoomUser;
}

export interface RoomOptions {
  /** Hear the room without being listed or speaking. */
  observe?: boolean;
}

/** Seconds over which the clients of a room request its users, when a change was not sent to any of them. */
const PRESENCE_SPREAD_PER_USER = 0.005;
const PRESENCE_SPREAD_CAP = 5;

/** It is joined again after each reconnect. */
export class Room<Content = any> extends Channel<Content, RoomEvents<Content>> {
  /** Who is in the room, kept current. In a large room `users` has not all of them; `count` has. */
  readonly presence = new Presence();
  #isRefreshing = false;
  #joins = 0; // a join of an earlier connection ends

  /** @internal */
  constructor(
    name: string,
    link: Link,
    readonly observe: boolean,
    /** @internal */ readonly onEnd: () => void,
  ) {
    super(name, link);
  }

  /** Tell the others that this user is typing, if there is a connection. */
  typing(): void {
    if (this.isJoined) this.link.send(this.command("typing"));
  }

  /** Ask who is there, also to learn of further sessions of users who are there, of which no event tells. */
  async refreshPresence(): Promise<void> {
    this.presence.beginRequest();
    try {
      this.#setPresence(await this.request("presence"));
    } catch (error) {
      this.presence.endRequest();
      throw error;
    }
  }

  /** Leave the room. Nothing is heard of it any more. */
  leave(): void {
    if (this.hasEnded) return;
    if (this.isJoined) this.link.send(this.command("leave"));
    this.#end(null);
  }

  /** @internal */
  command(type: string, fields: object = {}): Frame {
    return { type, room: this.name, ...fields };
  }

  /** @internal Join on the present connection, from where it was received last. If it can't be, the room ends. */
  async join(): Promise<void> {
    const join = ++this.#joins;
    let recover = this.recoverFrom;
    const build = () =>
      !this.hasEnded &&
      join === this.#joins &&
      this.command("join", { ...(this.observe && { observe: true }), ...(recover && { recover }) });
    for (;;) {
      const answer = await this.link.commands.repeat(build, (frame) => this.#enter(frame));
      if (answer?.type !== "error") return; // without an answer the next connection joins it again
      if (answer.code === "forbidden" && recover) recover = null; // the token does not allow to read the history
      else if (answer.code === "already_joined") await this.link.commands.exchange(this.command("leave"));
      else return this.#end(readRefusal(answer));
    }
  }

  /** @internal `user_joined`, `user_left`, `presence` or `typing`. */
  handleFrame(frame: Frame): void {
    if (!this.isJoined) return;
    const { type } = frame;
    if (type === "typing") return this.emit(type, renameFields(frame));
    if (!this.presence.applyChange(frame)) return;
    if (type !== "presence") this.emit(type === "user_joined" ? "userJoined" : "userLeft", renameFields(frame));
    this.emit("presence", this.presence);
    if (this.presence.hasMissed && !this.#isRefreshing) void this.#refreshMissed();
  }

  override interrupt(): void {
    super.interrupt();
    this.presence.reset();
  }

  #enter(answer: Frame): void {
    if (answer.type === "error") return;
    if (this.hasEnded) return this.link.send(this.command("leave")); // it was left meanwhile
    this.#setPresence(answer);
    this.enter(answer);
  }

  #end(error: ClientError | null): void {
    this.finish(error);
    this.onEnd();
  }

  #setPresence(snapshot: Frame): void {
    this.presence.applySnapshot(snapshot);
    this.emit("presence", this.presence);
  }

  /** Request who is there, after a random delay, until no change is missing. */
  async #refreshMissed(): Promise<void> {
    this.#isRefreshing = true;
    while (this.presence.hasMissed) {
      await sleep(Math.random() * Math.min(PRESENCE_SPREAD_CAP, this.presence.count * PRESENCE_SPREAD_PER_USER));
      const answer = await this.link.commands.repeat(() => {
        this.presence.beginRequest();
        return this.isJoined && this.command("presence");
      });
      if (answer?.type !== "ok") break; // the next join brings a snapshot; or it is not allowed to ask
      this.#setPresence(answer);
    }
    this.presence.endRequest();
    this.#isRefreshing = false;
  }
}
