// One room, private conversation or agent: its messages, its people, its unread count.

import { Feed } from "./feed.js";
import { MessageList } from "./messages.js";
import { People } from "./people.js";

export class Conversation {
  unread = 0;
  draft = "";
  joined;
  typists = new Map(); // user id -> {username, timer}
  typingSentAt = 0;
  channel = null; // the client's room or agent; null of a private conversation, and before the first connection

  constructor({ kind, name, title, ...callbacks }) {
    this.kind = kind;
    this.name = name;
    this.title = title;
    this.joined = kind !== "room";
    this.messages = new MessageList({
      onAuthor: callbacks.onAuthor,
      onSendAgain: (entry) => callbacks.onSendAgain(this, entry),
      onLoadOlder: () => this.feed.loadOlder(),
      isOwn: callbacks.isOwn,
    });
    this.feed = new Feed({
      list: this.messages,
      show: (message) => callbacks.onMessage(this, message),
      onChange: callbacks.onChange,
    });
    this.people = new People({ onChange: callbacks.onChange });
  }

  get key() {
    return `${this.kind}:${this.name}`;
  }

  /** Show what the client hears in a room or as an agent. */
  follow(channel) {
    this.channel = channel;
    channel.on("joined", () => { this.joined = true; });
    this.feed.follow(channel);
    if (this.kind === "room") this.people.followRoom(channel);
    else this.people.followAgent(channel);
  }

  /** The command that sends a text: how large it is. */
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

  /** Stops all timers. */
  close() {
    for (const userId of [...this.typists.keys()]) this.stopTyping(userId);
    this.interrupt();
  }

  /** The connection was lost. */
  interrupt() {
    if (this.kind === "room") this.joined = false;
    this.feed.interrupt();
  }
}
