// One room, private conversation or agent: what was said in it, who is there, what is unread.

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
      onAgain: (entry) => callbacks.onAgain(this, entry),
      onOlder: () => this.feed.older(),
      isOwn: callbacks.isOwn,
    });
    this.feed = new Feed({
      list: this.messages,
      ask: (fields) => callbacks.onAsk(this, { type: "history", ...fields }),
      show: (message) => callbacks.onMessage(this, message),
      onChange: callbacks.onChange,
      onTooMuch: callbacks.onTooMuch,
    });
    this.people = new People({ ask: () => callbacks.onAsk(this, { type: "presence" }), onAnswer: callbacks.onChange });
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

  /** Nothing that was to happen here by itself happens any more. */
  close() {
    for (const userId of [...this.typists.keys()]) this.stopTyping(userId);
    this.interrupt();
  }

  /** The connection has ended, and with it all that was asked over it. */
  interrupt() {
    this.people.forget();
    this.feed.interrupt();
  }
}
