// The chat: rooms and private conversations over one connection.

import { describeFailure } from "./failures.js";
import { isName } from "./storage.js";
import { Session } from "./session.js";

const TYPING_INTERVAL_MS = 2000;
const TYPING_SHOWN_MS = 4000;
const PRESENCE_NOTES_MAX_USERS = 50; // in a room with more users, joins and leaves are not shown between the messages

export class ChatSession extends Session {
  constructor({ rooms, ...base }) {
    super(base);
    for (const name of rooms) this.#addRoom(name);
    this.shown = this.rooms[0] ?? null;
  }

  get rooms() {
    return this.#listByKind("room");
  }

  get privates() {
    return this.#listByKind("private");
  }

  /** The first connection: from now on the client joins the rooms, after each reconnect again. */
  start(client) {
    this.follow(client);
    client.on("private", (message) => this.#handlePrivate(message));
    for (const room of this.rooms) this.#follow(room);
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
    conversation.channel?.leave();
  }

  openPrivate(userId, username) {
    this.show(this.#getPrivate(userId, username));
  }

  sendTyping(conversation) {
    const now = Date.now();
    if (conversation.kind !== "room" || now - conversation.typingSentAt < TYPING_INTERVAL_MS) return;
    conversation.typingSentAt = now;
    conversation.channel?.typing();
  }

  async deliver(conversation, entry) {
    if (conversation.kind === "room") return super.deliver(conversation, entry);
    return { sessions: await this.client.private(conversation.name, { text: entry.text }) };
  }

  handleConfirmed(conversation, entry, { sessions, ...position }) {
    super.handleConfirmed(conversation, entry, position);
    if (conversation.kind === "private" && sessions === 0) {
      const fate = `${conversation.title} is not connected and did not receive this.`;
      conversation.messages.mark(entry, "failed", { fate, canSendAgain: true });
    }
  }

  receive(conversation, message) {
    conversation.stopTyping(message.userId);
    return super.receive(conversation, message);
  }

  #handlePrivate({ fromUserId, fromUsername, content, timestamp }) {
    const conversation = this.#getPrivate(fromUserId ?? "", fromUsername ?? fromUserId ?? "Back end");
    this.receive(conversation, { userId: fromUserId, username: fromUsername, sessionId: null, content, timestamp, offset: null });
  }

  #handleTyping(room, { userId, username }) {
    if (userId === this.me.userId) return;
    room.stopTyping(userId);
    const timer = setTimeout(() => { room.stopTyping(userId); this.onChange(); }, TYPING_SHOWN_MS);
    room.typists.set(userId, { username, timer });
    this.onChange();
  }

  #handleComing(room, { userId, username, usersCount }, isHere) {
    if (userId !== this.me.userId && usersCount <= PRESENCE_NOTES_MAX_USERS) {
      room.messages.showPresenceChange({ userId, username, isHere });
    }
    if (!isHere) room.stopTyping(userId);
    this.onChange();
  }

  #listByKind(kind) {
    return [...this.conversations.values()].filter((conversation) => conversation.kind === kind);
  }

  #addRoom(name) {
    const onAuthor = (userId, username) => this.openPrivate(userId, username);
    return this.add(this.newConversation({ kind: "room", name, title: name, onAuthor }));
  }

  /** Joins a room, and shows what happens there. */
  #follow(conversation) {
    const room = this.client.room(conversation.name);
    conversation.follow(room);
    room.on("joined", () => this.onChange());
    room.on("typing", (who) => this.#handleTyping(conversation, who));
    room.on("userJoined", (who) => this.#handleComing(conversation, who, true));
    room.on("userLeft", (who) => this.#handleComing(conversation, who, false));
    room.on("end", (error) => { if (error !== null) this.#handleJoinFailed(conversation, describeFailure(error)); });
  }

  #joinNew(name) {
    const room = this.#addRoom(name);
    if (this.client !== null) this.#follow(room);
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

  #handleJoinFailed(room, { code, message }) {
    if (!this.conversations.has(room.key)) return;
    const isForbidden = code === "forbidden";
    this.onNotice(isForbidden ? `Your token does not allow the room “${room.name}”.` : `“${room.name}” could not be joined: ${message}.`);
    this.#remove(room);
  }
}
