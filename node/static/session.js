// What one connection means to the reader: conversations, what was said in them, what is unread.
// A frame type that is not in `handlers` is ignored: the contract grows by adding some.

import { CommandError, Connection } from "./connection.js";
import { isName, randomKey } from "./memory.js";
import { MessageList } from "./messages.js";

const TYPING_EVERY_MS = 2000;
const TYPING_SHOWN_MS = 4000;
const JOIN_AGAIN_AFTER_S = 1;

/** Errors that the same command may survive a little later. */
const PASSING = new Set(["unavailable", "rate_limited", "disconnected", "no_answer", "internal", "not_joined"]);
const FATES = {
  unavailable: "Not sent: the cluster did not confirm it.",
  rate_limited: "Not sent: too much at once.",
  disconnected: "Not confirmed: the connection was lost.",
  no_answer: "Not confirmed: the node did not answer.",
  too_large: "Not sent: too long.",
  forbidden: "Not sent: not allowed here.",
};

class Conversation {
  unread = 0;
  draft = "";
  joined = true;
  typists = new Map(); // user id -> {username, timer}
  typingSentAt = 0;

  constructor({ kind, name, title, ...callbacks }) {
    this.kind = kind;
    this.name = name;
    this.title = title;
    this.messages = new MessageList({
      onAuthor: callbacks.onAuthor,
      onAgain: (entry) => callbacks.onAgain(this, entry),
    });
  }

  get key() {
    return `${this.kind}:${this.name}`;
  }

  /** How a text is said here. Only what is published takes a key; a repeated private message may arrive twice. */
  command({ text, key }) {
    const content = { text };
    switch (this.kind) {
      case "room":
        return { type: "message", room: this.name, content, key };
      case "private":
        return { type: "private", to: this.name, content };
      default:
        return { type: "message", content, key };
    }
  }

  stopTyping(userId) {
    clearTimeout(this.typists.get(userId)?.timer);
    this.typists.delete(userId);
  }
}

class Session {
  conversations = new Map();
  shown = null;
  state = { name: "idle" };
  me = { sessionId: null, userId: null, username: null };
  #wasLive = false;

  constructor({ address, onChange, onNotice }) {
    this.onChange = onChange;
    this.onNotice = onNotice;
    this.connection = new Connection({
      address,
      onState: (state) => { this.state = state; this.onChange(); },
      onFrame: (frame) => this.#hear(frame),
    });
    this.handlers = {
      welcome: (frame) => this.#welcomed(frame),
      message: (frame) => this.messageSaid(frame),
      error: (frame) => this.onNotice(frame.message),
    };
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  }

  close() {
    this.connection.close();
  }

  show(conversation) {
    this.shown = conversation;
    this.read();
  }

  read() {
    if (this.shown) this.shown.unread = 0;
    this.onChange();
  }

  say(conversation, text) {
    const { userId, username } = this.me;
    const entry = conversation.messages.write({ userId, username, text, key: randomKey() });
    return this.deliver(conversation, entry);
  }

  async deliver(conversation, entry) {
    entry.sessionId = this.me.sessionId;
    conversation.messages.mark(entry, "sending");
    this.onChange();
    try {
      this.delivered(conversation, entry, await this.connection.request(conversation.command(entry)));
    } catch (error) {
      this.notDelivered(conversation, entry, asCommandError(error));
    }
    this.onChange();
  }

  delivered(conversation, entry) {
    conversation.messages.mark(entry, "sent");
  }

  notDelivered(conversation, entry, { code, message }) {
    if (entry.echoed) return;
    conversation.messages.mark(entry, "failed", {
      fate: FATES[code] ?? `Not sent: ${message}.`,
      canRepeat: PASSING.has(code),
    });
  }

  typing() {}

  add(conversation) {
    this.conversations.set(conversation.key, conversation);
    return conversation;
  }

  newConversation(fields) {
    return new Conversation({ ...fields, onAgain: (conversation, entry) => this.deliver(conversation, entry) });
  }

  receive(conversation, frame) {
    const own = frame.user_id === this.me.userId;
    if (!(own && conversation.messages.echo(frame))) conversation.messages.receive({ ...frame, own });
    if (!own && (conversation !== this.shown || document.hidden)) conversation.unread += 1;
    this.onChange();
  }

  #hear(frame) {
    if (Object.hasOwn(this.handlers, frame.type)) this.handlers[frame.type](frame);
  }

  #welcomed(frame) {
    this.me = { sessionId: frame.session_id, userId: frame.user_id, username: frame.username };
    if (this.#wasLive) {
      for (const { messages } of this.conversations.values()) {
        messages.note("Connected again. What was said in between may be missing here.");
      }
    }
    this.#wasLive = true;
    this.entered(frame);
    this.onChange();
  }
}

/** `/ws`: many rooms and private conversations over one socket. */
export class ChatSession extends Session {
  constructor({ rooms, ...base }) {
    super(base);
    this.handlers.private = (frame) => this.#privateSaid(frame);
    this.handlers.typing = (frame) => this.#typingSeen(frame);
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

  delivered(conversation, entry, { sessions }) {
    super.delivered(conversation, entry);
    if (conversation.kind === "private" && sessions === 0) {
      const fate = `${conversation.title} is not connected and did not get this.`;
      conversation.messages.mark(entry, "failed", { fate, canRepeat: true });
    }
  }

  messageSaid(frame) {
    const room = this.conversations.get(`room:${frame.room}`);
    if (!room) return;
    room.stopTyping(frame.user_id);
    this.receive(room, frame);
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
    for (const userId of [...conversation.typists.keys()]) conversation.stopTyping(userId);
    this.conversations.delete(conversation.key);
    this.show(this.shown === conversation ? this.rooms[0] ?? null : this.shown);
  }

  async #join(room) {
    room.joined = false;
    try {
      await this.connection.request({ type: "join", room: room.name });
    } catch (error) {
      if (asCommandError(error).code !== "already_joined") {
        this.#notJoined(room, error);
        return;
      }
    }
    room.joined = true;
    this.onChange();
  }

  #notJoined(room, { code, message, retryAfter }) {
    if (code === "disconnected" || !this.conversations.has(room.key)) return;
    if (PASSING.has(code)) {
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

/** `/ws/agents/{agent_id}`: one session of an agent, which hears all that is said to it. */
export class AgentSession extends Session {
  constructor({ agentId, ...base }) {
    super(base);
    this.shown = this.add(this.newConversation({ kind: "agent", name: agentId, title: `Agent ${agentId}` }));
  }

  entered() {}

  messageSaid(frame) {
    this.receive(this.shown, frame);
  }
}

function asCommandError(error) {
  if (error instanceof CommandError) return error;
  throw error;
}
