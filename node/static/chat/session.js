// A session: its connection, its conversations and their unread messages.
// A frame type that is not in `handlers` is ignored: new ones may be added to the protocol (docs/protocol.md §4).

import { asCommandError, Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { randomKey } from "./storage.js";

const AGENT_REFRESH_INTERVAL_MS = 15_000;

/** Error codes after which the same command may succeed later. */
export const TEMPORARY = new Set(["unavailable", "rate_limited", "disconnected", "no_answer", "internal", "not_joined"]);
const FAILURE_TEXTS = {
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
  isBusDown = false; // the node is without Redis
  me = { sessionId: null, userId: null, username: null };
  expiresAt = null; // when the token of the session expires (RFC 3339); null without one
  #wasLive = false;

  /** `onOtherUser()`: a node took the client for another user than before, so this session can't go on. */
  constructor({ address, token, onChange, onNotice, onOtherUser }) {
    this.onChange = onChange;
    this.onNotice = onNotice;
    this.onOtherUser = onOtherUser;
    this.connection = new Connection({
      address,
      token,
      onState: (state) => this.#handleState(state),
      onFrame: (frame) => this.#dispatch(frame),
    });
    this.handlers = {
      welcome: (frame) => this.#handleWelcome(frame),
      message: (frame) => this.handleMessage(frame),
      resync: (frame) => this.handleMessage(frame),
      status: (frame) => this.#handleStatus(frame),
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
    this.markRead();
  }

  markRead() {
    if (this.shown) this.shown.unread = 0;
    this.refreshPeople();
    this.onChange();
  }

  /** Requests the people of the shown conversation, if the page is visible and the list is stale. */
  refreshPeople() {
    if (!document.hidden && this.connection.live && this.shown?.joined && this.shown.kind !== "private") this.shown.people.refreshIfStale();
  }

  /** Bytes by which a text is too long to be sent; 0 or less if it is not. */
  excessBytes(conversation, text) {
    return this.connection.excessBytes(conversation.buildCommand({ text, key: randomKey() }));
  }

  /** Replaces the token of the session. Rejects with a CommandError. */
  async refreshToken(token) {
    const { expires_at: expiresAt } = await this.connection.request({ type: "refresh", token });
    this.expiresAt = expiresAt;
    this.onChange();
  }

  sendMessage(conversation, text) {
    const { userId, username } = this.me;
    const entry = conversation.messages.write({ userId, username, text, key: randomKey() });
    return this.sendEntry(conversation, entry);
  }

  async sendEntry(conversation, entry) {
    conversation.messages.send(entry, this.me.sessionId);
    this.onChange();
    try {
      this.handleConfirmed(conversation, entry, await this.connection.request(conversation.buildCommand(entry)));
    } catch (error) {
      this.handleFailed(conversation, entry, asCommandError(error));
    }
    this.onChange();
  }

  handleConfirmed(conversation, entry, position) {
    conversation.messages.confirm(entry, position);
  }

  handleFailed(conversation, entry, { code, message }) {
    if (entry.echoed) return;
    conversation.messages.mark(entry, "failed", {
      fate: FAILURE_TEXTS[code] ?? `Not sent: ${message}.`,
      canSendAgain: TEMPORARY.has(code),
    });
  }

  sendTyping() {}

  add(conversation) {
    this.conversations.set(conversation.key, conversation);
    return conversation;
  }

  newConversation(fields) {
    return new Conversation({
      ...fields,
      onSendAgain: (conversation, entry) => this.sendEntry(conversation, entry),
      onRequest: ({ kind, name }, command) => this.connection.request({ ...command, ...(kind === "room" && { room: name }) }),
      onMessage: (conversation, message) => this.receive(conversation, message),
      onOverflow: () => this.connection.open(),
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

  #handleState(state) {
    this.state = state;
    this.isBusDown = false; // a node says so behind its `welcome`
    if (state.name !== "live") for (const conversation of this.conversations.values()) conversation.interrupt();
    this.onChange();
  }

  #handleStatus({ bus }) {
    this.isBusDown = bus === "down";
    this.onChange();
  }

  #dispatch(frame) {
    if (Object.hasOwn(this.handlers, frame.type)) this.handlers[frame.type](frame);
  }

  #handleWelcome(frame) {
    if (this.#wasLive && frame.user_id !== this.me.userId) {
      this.onOtherUser();
      return;
    }
    this.expiresAt = frame.expires_at ?? null;
    this.me = { sessionId: frame.session_id, userId: frame.user_id, username: frame.username };
    // Private messages are kept nowhere, so those sent meanwhile are lost.
    for (const { kind, messages } of this.conversations.values()) if (this.#wasLive && kind === "private") messages.showGap();
    this.#wasLive = true;
    this.startChannels(frame);
    this.onChange();
  }
}

/**
 * `/ws/agents/{agent_id}`: one session of an agent, which receives every message to the agent.
 * No frame tells which other sessions there are, so they are requested at intervals.
 */
export class AgentSession extends Session {
  #refreshTimer;

  constructor({ agentId, ...base }) {
    super({ ...base, address: () => this.#buildAddress(base.address()) });
    this.shown = this.add(this.newConversation({ kind: "agent", name: agentId, title: `Agent ${agentId}` }));
    this.#refreshTimer = setInterval(() => this.refreshPeople(), AGENT_REFRESH_INTERVAL_MS);
  }

  close() {
    clearInterval(this.#refreshTimer);
    super.close();
  }

  startChannels(welcome) {
    this.shown.feed.start(welcome);
    this.shown.people.requestNow();
  }

  handleMessage(frame) {
    this.shown.feed.handleFrame(frame);
  }

  /** With the position to recover from on connect. */
  #buildAddress(url) {
    const { epoch, offset } = this.shown.feed.position ?? {};
    if (epoch !== undefined) {
      url.searchParams.set("epoch", epoch);
      url.searchParams.set("offset", offset);
    }
    return url;
  }
}
