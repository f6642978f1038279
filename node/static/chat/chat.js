// The chat on `/ws`: rooms, which are joined again after every `welcome`, and private conversations.

import { asCommandError } from "./connection.js";
import { isName } from "./storage.js";
import { Session, TEMPORARY } from "./session.js";

const TYPING_INTERVAL_MS = 2000;
const TYPING_SHOWN_MS = 4000;
const JOIN_RETRY_DELAY_S = 1;
const PRESENCE_NOTES_MAX_USERS = 50; // in a room with more users, joins and leaves are not shown between the messages

/** `/ws`: many rooms and private conversations over one socket. */
export class ChatSession extends Session {
  constructor({ rooms, ...base }) {
    super(base);
    this.handlers.private = (frame) => this.#handlePrivate(frame);
    this.handlers.typing = (frame) => this.#handleTyping(frame);
    this.handlers.user_joined = (frame) => this.#handlePresence(frame);
    this.handlers.user_left = (frame) => this.#handlePresence(frame);
    this.handlers.presence = (frame) => this.#handlePresence(frame);
    for (const name of rooms) this.#addRoom(name);
    this.shown = this.rooms[0] ?? null;
  }

  get rooms() {
    return this.#listByKind("room");
  }

  get privates() {
    return this.#listByKind("private");
  }

  /** Joins all rooms, after every `welcome`: a new connection is in no room. */
  startChannels() {
    for (const room of this.rooms) this.#join(room);
  }

  join(name) {
    if (!isName(name)) {
      this.onNotice("The name of a room may contain letters, digits and . _ : @ ~ - only.");
      return;
    }
    this.show(this.conversations.get(`room:${name}`) ?? this.#joinNew(name));
  }

  /** Joins and leaves rooms after the address of the page has changed. */
  setRooms(names) {
    for (const room of this.rooms) if (!names.includes(room.name)) this.leave(room);
    for (const name of names) if (!this.conversations.has(`room:${name}`)) this.#joinNew(name);
    this.show(this.shown ?? this.rooms[0] ?? null);
  }

  leave(conversation) {
    this.#remove(conversation);
    if (conversation.kind === "room") this.#request({ type: "leave", room: conversation.name });
  }

  openPrivate(userId, username) {
    this.show(this.#getPrivate(userId, username));
  }

  sendTyping(conversation) {
    const now = Date.now();
    if (conversation.kind !== "room" || now - conversation.typingSentAt < TYPING_INTERVAL_MS) return;
    conversation.typingSentAt = now;
    this.#request({ type: "typing", room: conversation.name });
  }

  handleConfirmed(conversation, entry, { sessions, ...position }) {
    super.handleConfirmed(conversation, entry, position);
    if (conversation.kind === "private" && sessions === 0) {
      const fate = `${conversation.title} is not connected and did not receive this.`;
      conversation.messages.mark(entry, "failed", { fate, canSendAgain: true });
    }
  }

  handleMessage(frame) {
    const room = this.conversations.get(`room:${frame.room}`);
    if (!room?.joined) return; // the position of the room is not known before the answer to `join`
    room.stopTyping(frame.user_id);
    room.feed.handleFrame(frame);
  }

  #handlePrivate({ from_user_id: userId, from_username: username, content, timestamp }) {
    const conversation = this.#getPrivate(userId ?? "", username ?? userId ?? "Back end");
    this.receive(conversation, { user_id: userId, username, content, timestamp });
  }

  #handleTyping({ room: name, user_id: userId, username }) {
    const room = this.conversations.get(`room:${name}`);
    if (!room || userId === this.me.userId) return;
    room.stopTyping(userId);
    const timer = setTimeout(() => { room.stopTyping(userId); this.onChange(); }, TYPING_SHOWN_MS);
    room.typists.set(userId, { username, timer });
    this.onChange();
  }

  #handlePresence(frame) {
    const room = this.conversations.get(`room:${frame.room}`);
    if (!room?.people.applyChange(frame)) return;
    if (frame.user_id && frame.user_id !== this.me.userId && frame.users_count <= PRESENCE_NOTES_MAX_USERS) {
      room.messages.showPresenceChange({ userId: frame.user_id, username: frame.username, isHere: frame.type === "user_joined" });
    }
    if (frame.type === "user_left") room.stopTyping(frame.user_id);
    this.onChange();
  }

  #listByKind(kind) {
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

  #getPrivate(userId, username) {
    return this.conversations.get(`private:${userId}`)
      ?? this.add(this.newConversation({ kind: "private", name: userId, title: username }));
  }

  #remove(conversation) {
    conversation.close();
    this.conversations.delete(conversation.key);
    this.show(this.shown === conversation ? this.rooms[0] ?? null : this.shown);
  }

  async #join(room) {
    room.joined = false;
    try {
      const answer = await this.#requestJoin(room);
      room.joined = true;
      room.people.applySnapshot(answer);
      room.feed.start(answer);
    } catch (error) {
      this.#handleJoinFailed(room, asCommandError(error));
      return;
    }
    this.onChange();
  }

  /** Joins, and recovers what was missed, unless the token does not allow to read the history. */
  async #requestJoin(room) {
    const join = { type: "join", room: room.name };
    const recover = room.feed.position;
    if (recover === null) return this.connection.request(join);
    try {
      return await this.connection.request({ ...join, recover });
    } catch (error) {
      if (asCommandError(error).code !== "forbidden") throw error;
      return this.connection.request(join);
    }
  }

  #handleJoinFailed(room, { code, message, retryAfter }) {
    if (code === "disconnected" || !this.conversations.has(room.key)) return;
    if (code === "already_joined") this.#request({ type: "leave", room: room.name }); // the answer to the first join came too late
    if (code === "already_joined" || TEMPORARY.has(code)) {
      const seconds = (retryAfter ?? 0) + JOIN_RETRY_DELAY_S * (1 + Math.random());
      setTimeout(() => this.#joinIfWanted(room), seconds * 1000);
      return;
    }
    const isForbidden = code === "forbidden";
    this.onNotice(isForbidden ? `Your token does not allow the room “${room.name}”.` : `“${room.name}” could not be joined: ${message}.`);
    this.#remove(room);
  }

  #joinIfWanted(room) {
    const wanted = this.conversations.get(room.key) === room && !room.joined;
    if (wanted && this.connection.live) this.#join(room);
  }

  /** Sends a command whose result does not matter here. A temporary error is not shown. */
  async #request(command) {
    try {
      await this.connection.request(command);
    } catch (error) {
      const { code, message } = asCommandError(error);
      if (!TEMPORARY.has(code)) this.onNotice(message);
    }
  }
}
