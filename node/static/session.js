// What one connection means to the reader: conversations, what was said in them, what is unread.
// A frame type that is not in `handlers` is ignored: the contract grows by adding some.

import { CommandError, Connection } from "./connection.js";
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
    return new Conversation({
      ...fields,
      onAgain: (conversation, entry) => this.deliver(conversation, entry),
      onAskPeople: ({ kind, name }) => this.connection.request({ type: "presence", ...(kind === "room" && { room: name }) }),
      onPeople: () => this.onChange(),
    });
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
    for (const { messages, people } of this.conversations.values()) {
      people.forget();
      if (this.#wasLive) messages.note("Connected again. What was said in between may be missing here.");
    }
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
    super(base);
    this.shown = this.add(this.newConversation({ kind: "agent", name: agentId, title: `Agent ${agentId}` }));
    this.#lookTimer = setInterval(() => this.lookAround(), LOOK_AT_AGENT_EVERY_MS);
  }

  close() {
    clearInterval(this.#lookTimer);
    super.close();
  }

  entered() {
    this.shown.people.askNow();
  }

  messageSaid(frame) {
    this.receive(this.shown, frame);
  }
}

export function asCommandError(error) {
  if (error instanceof CommandError) return error;
  throw error;
}
