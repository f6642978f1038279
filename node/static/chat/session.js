// What one connection means to the reader: conversations, what was said in them, what is unread.
// A frame type that is not in `handlers` is ignored: the protocol grows by adding some (docs/protocol.md §4).

import { asCommandError, Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { randomKey } from "./memory.js";

const LOOK_AT_AGENT_EVERY_MS = 15_000;

/** Errors that the same command may survive a little later. */
export const PASSING = new Set(["unavailable", "rate_limited", "disconnected", "no_answer", "internal", "not_joined"]);
const FATES = {
  unavailable: "Not sent: the cluster did not confirm it.",
  rate_limited: "Not sent: too much at once.",
  disconnected: "Not confirmed: the connection was lost.",
  no_answer: "Not confirmed: the node did not answer.",
  too_large: "Not sent: too long.",
  forbidden: "Not sent: not allowed here.",
};

export class Session {
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
      onState: (state) => this.#turned(state),
      onFrame: (frame) => this.#hear(frame),
    });
    this.handlers = {
      welcome: (frame) => this.#welcomed(frame),
      message: (frame) => this.said(frame),
      resync: (frame) => this.said(frame),
      error: (frame) => this.onNotice(frame.message),
    };
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  }

  close() {
    this.connection.close();
    for (const conversation of this.conversations.values()) conversation.close();
  }

  show(conversation) {
    this.shown = conversation;
    this.read();
  }

  read() {
    if (this.shown) this.shown.unread = 0;
    this.lookAround();
    this.onChange();
  }

  /** The reader looks at who is here. */
  lookAround() {
    if (!document.hidden && this.connection.live && this.shown?.joined && this.shown.kind !== "private") this.shown.people.look();
  }

  say(conversation, text) {
    const { userId, username } = this.me;
    const entry = conversation.messages.write({ userId, username, text, key: randomKey() });
    return this.deliver(conversation, entry);
  }

  async deliver(conversation, entry) {
    conversation.messages.send(entry, this.me.sessionId);
    this.onChange();
    try {
      this.delivered(conversation, entry, await this.connection.request(conversation.command(entry)));
    } catch (error) {
      this.notDelivered(conversation, entry, asCommandError(error));
    }
    this.onChange();
  }

  delivered(conversation, entry, position) {
    conversation.messages.confirm(entry, position);
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
    return new Conversation({
      ...fields,
      onAgain: (conversation, entry) => this.deliver(conversation, entry),
      onAsk: ({ kind, name }, command) => this.connection.request({ ...command, ...(kind === "room" && { room: name }) }),
      onMessage: (conversation, message) => this.receive(conversation, message),
      onTooMuch: () => this.connection.open(),
      onChange: () => this.onChange(),
      isOwn: (userId) => userId === this.me.userId,
    });
  }

  receive(conversation, message) {
    const entry = conversation.messages.receive(message);
    if (!entry.own && (conversation !== this.shown || document.hidden)) conversation.unread += 1;
    this.onChange();
    return entry;
  }

  #turned(state) {
    this.state = state;
    if (state.name !== "live") for (const conversation of this.conversations.values()) conversation.interrupt();
    this.onChange();
  }

  #hear(frame) {
    if (Object.hasOwn(this.handlers, frame.type)) this.handlers[frame.type](frame);
  }

  #welcomed(frame) {
    this.me = { sessionId: frame.session_id, userId: frame.user_id, username: frame.username };
    // What is private is kept nowhere.
    for (const { kind, messages } of this.conversations.values()) if (this.#wasLive && kind === "private") messages.gap();
    this.#wasLive = true;
    this.entered(frame);
    this.onChange();
  }
}

/**
 * `/ws/agents/{agent_id}`: one session of an agent, which hears all that is said to it.
 * Nobody tells it who else listens, so it looks now and then.
 */
export class AgentSession extends Session {
  #lookTimer;

  constructor({ agentId, ...base }) {
    super({ ...base, address: () => this.#address(base.address()) });
    this.shown = this.add(this.newConversation({ kind: "agent", name: agentId, title: `Agent ${agentId}` }));
    this.#lookTimer = setInterval(() => this.lookAround(), LOOK_AT_AGENT_EVERY_MS);
  }

  close() {
    clearInterval(this.#lookTimer);
    super.close();
  }

  entered(welcome) {
    this.shown.feed.begin(welcome);
    this.shown.people.askNow();
  }

  said(frame) {
    this.shown.feed.hear(frame);
  }

  /** Recovers on connect. */
  #address(url) {
    const { epoch, offset } = this.shown.feed.position ?? {};
    if (epoch !== undefined) {
      url.searchParams.set("epoch", epoch);
      url.searchParams.set("offset", offset);
    }
    return url;
  }
}
