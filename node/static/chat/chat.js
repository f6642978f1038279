// `/ws` as a chat: rooms that are joined again after every welcome, and private conversations beside them.

import { asCommandError } from "./connection.js";
import { isName } from "./memory.js";
import { PASSING, Session } from "./session.js";

const TYPING_EVERY_MS = 2000;
const TYPING_SHOWN_MS = 4000;
const JOIN_AGAIN_AFTER_S = 1;
const COMINGS_TOLD_MAX = 50; // users up to whom a room tells in its stream who comes and goes

/** `/ws`: many rooms and private conversations over one socket. */
export class ChatSession extends Session {
  constructor({ rooms, ...base }) {
    super(base);
    this.handlers.private = (frame) => this.#privateSaid(frame);
    this.handlers.typing = (frame) => this.#typingSeen(frame);
    this.handlers.user_joined = (frame) => this.#cameOrWent(frame);
    this.handlers.user_left = (frame) => this.#cameOrWent(frame);
    this.handlers.presence = (frame) => this.#cameOrWent(frame);
    for (const name of rooms) this.#addRoom(name);
    this.shown = this.rooms[0] ?? null;
  }

  get rooms() {
    return this.#ofKind("room");
  }

  get privates() {
    return this.#ofKind("private");
  }

  /** After every welcome: a new connection is in no room yet. */
  entered() {
    for (const room of this.rooms) this.#join(room);
  }

  join(name) {
    if (!isName(name)) {
      this.onNotice("A room is named with letters, digits and . _ : @ ~ - only.");
      return;
    }
    this.show(this.conversations.get(`room:${name}`) ?? this.#joinNew(name));
  }

  /** Follows an address that changed under our feet. */
  setRooms(names) {
    for (const room of this.rooms) if (!names.includes(room.name)) this.leave(room);
    for (const name of names) if (!this.conversations.has(`room:${name}`)) this.#joinNew(name);
    this.show(this.shown ?? this.rooms[0] ?? null);
  }

  leave(conversation) {
    this.#forget(conversation);
    if (conversation.kind === "room") this.#request({ type: "leave", room: conversation.name });
  }

  openPrivate(userId, username) {
    this.show(this.#privateWith(userId, username));
  }

  typing(conversation) {
    const now = Date.now();
    if (conversation.kind !== "room" || now - conversation.typingSentAt < TYPING_EVERY_MS) return;
    conversation.typingSentAt = now;
    this.#request({ type: "typing", room: conversation.name });
  }

  delivered(conversation, entry, { sessions, ...position }) {
    super.delivered(conversation, entry, position);
    if (conversation.kind === "private" && sessions === 0) {
      const fate = `${conversation.title} is not connected and did not get this.`;
      conversation.messages.mark(entry, "failed", { fate, canRepeat: true });
    }
  }

  said(frame) {
    const room = this.conversations.get(`room:${frame.room}`);
    if (!room?.joined) return; // without the answer to `join` nobody knows where it stands
    room.stopTyping(frame.user_id);
    room.feed.hear(frame);
  }

  #privateSaid({ from_user_id: userId, from_username: username, content, timestamp }) {
    const conversation = this.#privateWith(userId ?? "", username ?? userId ?? "Back end");
    this.receive(conversation, { user_id: userId, username, content, timestamp });
  }

  #typingSeen({ room: name, user_id: userId, username }) {
    const room = this.conversations.get(`room:${name}`);
    if (!room || userId === this.me.userId) return;
    room.stopTyping(userId);
    const timer = setTimeout(() => { room.stopTyping(userId); this.onChange(); }, TYPING_SHOWN_MS);
    room.typists.set(userId, { username, timer });
    this.onChange();
  }

  #cameOrWent(frame) {
    const room = this.conversations.get(`room:${frame.room}`);
    if (!room?.people.hear(frame)) return;
    if (frame.user_id && frame.user_id !== this.me.userId && frame.users_count <= COMINGS_TOLD_MAX) {
      room.messages.comeOrGo({ userId: frame.user_id, username: frame.username, isHere: frame.type === "user_joined" });
    }
    if (frame.type === "user_left") room.stopTyping(frame.user_id);
    this.onChange();
  }

  #ofKind(kind) {
    return [...this.conversations.values()].filter((conversation) => conversation.kind === kind);
  }

  #addRoom(name) {
    const onAuthor = (userId, username) => this.openPrivate(userId, username);
    const room = this.add(this.newConversation({ kind: "room", name, title: name, onAuthor }));
    room.joined = false;
    return room;
  }

  #joinNew(name) {
    const room = this.#addRoom(name);
    if (this.connection.live) this.#join(room);
    return room;
  }

  #privateWith(userId, username) {
    return this.conversations.get(`private:${userId}`)
      ?? this.add(this.newConversation({ kind: "private", name: userId, title: username }));
  }

  #forget(conversation) {
    conversation.close();
    this.conversations.delete(conversation.key);
    this.show(this.shown === conversation ? this.rooms[0] ?? null : this.shown);
  }

  async #join(room) {
    room.joined = false;
    const recover = room.feed.position ?? undefined;
    try {
      const answer = await this.connection.request({ type: "join", room: room.name, recover });
      room.joined = true;
      room.people.take(answer);
      room.feed.begin(answer);
    } catch (error) {
      this.#notJoined(room, asCommandError(error));
      return;
    }
    this.onChange();
  }

  #notJoined(room, { code, message, retryAfter }) {
    if (code === "disconnected" || !this.conversations.has(room.key)) return;
    if (code === "already_joined") this.#request({ type: "leave", room: room.name }); // its answer came too late
    if (code === "already_joined" || PASSING.has(code)) {
      const seconds = (retryAfter ?? 0) + JOIN_AGAIN_AFTER_S * (1 + Math.random());
      setTimeout(() => this.#joinStillWanted(room), seconds * 1000);
      return;
    }
    this.onNotice(`“${room.name}” could not be joined: ${message}.`);
    this.#forget(room);
  }

  #joinStillWanted(room) {
    const wanted = this.conversations.get(room.key) === room && !room.joined;
    if (wanted && this.connection.live) this.#join(room);
  }

  /** For commands whose failure changes nothing here; what may pass by itself is not worth a word. */
  async #request(command) {
    try {
      await this.connection.request(command);
    } catch (error) {
      const { code, message } = asCommandError(error);
      if (!PASSING.has(code)) this.onNotice(message);
    }
  }
}
