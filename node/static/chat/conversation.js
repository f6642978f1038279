// One room, private conversation or agent: its messages, its people, its unread count.

import { Feed } from "./feed.js";
import { MessageList } from "./messages.js";
import { People } from "./people.js";

export class Conversation {
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
      onSendAgain: (entry) => callbacks.onSendAgain(this, entry),
      onLoadOlder: () => this.feed.loadOlder(),
      isOwn: callbacks.isOwn,
    });
    this.feed = new Feed({
      list: this.messages,
      request: (fields) => callbacks.onRequest(this, { type: "history", ...fields }),
      show: (message) => callbacks.onMessage(this, message),
      onChange: callbacks.onChange,
      onOverflow: callbacks.onOverflow,
    });
    this.people = new People({ request: () => callbacks.onRequest(this, { type: "presence" }), onAnswer: callbacks.onChange });
  }

  get key() {
    return `${this.kind}:${this.name}`;
  }

  /** The command that sends a text. A private message has no idempotency key: sent again, it may arrive twice. */
  buildCommand({ text, key }) {
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

  /** Stops all timers and requests. */
  close() {
    for (const userId of [...this.typists.keys()]) this.stopTyping(userId);
    this.interrupt();
  }

  /** The connection was lost, and the requests on it with it. */
  interrupt() {
    this.people.reset();
    this.feed.interrupt();
  }
}
