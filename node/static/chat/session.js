// A session: the client with its connection, the conversations and their unread messages.

import { connect, UserChanged } from "./tannoy-client.js";
import { Conversation } from "./conversation.js";
import { describeFailure, TEMPORARY } from "./failures.js";
import { randomKey } from "./storage.js";

const AGENT_REFRESH_INTERVAL_MS = 15_000;
const REFRESH_WITHIN_S = 15;
const TOKEN_EXPIRED = 4401;

const FAILURE_TEXTS = {
  unavailable: "Not sent: the cluster did not confirm it.",
  rate_limited: "Not sent: too much at once.",
  disconnected: "Not confirmed: the connection was lost.",
  no_answer: "Not confirmed: the node did not answer.",
  too_large: "Not sent: too long.",
  forbidden: "Not sent: not allowed here.",
};
const STATE_NAMES = { connecting: "connecting", connected: "live", waiting: "waiting", error: "ended" };

export class Session {
  conversations = new Map();
  shown = null;
  state = { name: "idle" };
  isBusDown = false; // the node is without Redis
  me = { sessionId: null, userId: null, username: null };
  expiresAt = null; // when the token of the session expires (RFC 3339); null without one
  client = null; // null before the user is known
  #user;
  #given = null; // the token that the client has asked for last
  #held = null; // the token of the session: that one, or a newer one by `refresh`
  #address;
  #refusal = null; // an error in place of the first frame: why the node closes the connection
  #messageMaxBytes = Infinity;
  #wasLive = false;

  /** `user`: who it is. `onOtherUser()`: a node took the client for another user than before, so this session can't go on. */
  constructor({ address, user, onChange, onNotice, onOtherUser }) {
    this.#address = address;
    this.#user = user;
    this.onChange = onChange;
    this.onNotice = onNotice;
    this.onOtherUser = onOtherUser;
    this.connection = { open: () => this.#open() };
  }

  get isLive() {
    return this.state.name === "live";
  }

  get unread() {
    return [...this.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  }

  /** What is connected: the client, or an agent. */
  get link() {
    return this.client;
  }

  close() {
    this.client?.close();
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
    if (!document.hidden && this.isLive && this.shown?.joined && this.shown.kind !== "private") this.shown.people.refreshIfStale();
  }

  /** Bytes by which a text is too long to be sent, whatever the id of its command will be; 0 or less if it is not. */
  excessBytes(conversation, text) {
    const command = { ...conversation.buildCommand({ text, key: randomKey() }), id: Number.MAX_SAFE_INTEGER };
    return new TextEncoder().encode(JSON.stringify(command)).length - this.#messageMaxBytes;
  }

  /** Replaces the token of the session. Rejects with an error of the client. */
  async refreshToken(token) {
    const { expires_at: expiresAt } = await this.link.request("refresh", { token }, REFRESH_WITHIN_S);
    this.#held = token;
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
      this.handleConfirmed(conversation, entry, await this.deliver(conversation, entry));
    } catch (error) {
      this.handleFailed(conversation, entry, describeFailure(error));
    }
    this.onChange();
  }

  /** Publishes a message; the client repeats it, under its key, until a node has confirmed it. */
  async deliver(conversation, { text, key }) {
    return (await conversation.channel.send({ text }, { key })) ?? {};
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
      onMessage: (conversation, message) => this.receive(conversation, message),
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

  /** Follows what a connection tells. */
  follow(link) {
    link.on("state", (status) => this.#handleStatus(status));
    link.on("bus", (bus) => {
      this.isBusDown = bus === "down";
      this.onChange();
    });
    link.on("nodeError", ({ code, message }) => {
      if (!this.isLive && this.#user.token !== null) this.#refusal = { code, message };
      else if (!TEMPORARY.has(code)) this.onNotice(message);
    });
  }

  /** Connects at once: at the start, on the "Now" button, with another name or token, and after an end. */
  #open() {
    if (this.client === null) {
      const { user_id: userId, username } = this.#user.query;
      const token = this.#user.token === null ? null : () => (this.#given = this.#user.token);
      this.client = connect(this.#address, { token, userId, username, autoConnect: false });
      this.start(this.client);
    } else {
      if (this.#user.query.username !== undefined) this.client.username = this.#user.query.username;
      if (this.state.name !== "waiting") this.link.disconnect();
    }
    this.link.connect();
  }

  #handleStatus({ state, node, code, reason, until, error, welcome }) {
    if (error instanceof UserChanged) return this.onOtherUser();
    if (!(state in STATE_NAMES)) return; // closed by the page, which says itself how it goes on
    this.isBusDown = false; // a node says so behind its first frame
    if (state === "connecting") this.#refusal = null;
    const name = STATE_NAMES[state];
    this.state = { name, node, code, reason: describeReason(reason), until, refusal: this.#refusal };
    if (name !== "live") for (const conversation of this.conversations.values()) conversation.interrupt();
    const expired = this.#refusal === null ? this.#held : this.#given;
    if (code === TOKEN_EXPIRED && expired === this.#user.token) this.#endWithToken();
    if (welcome) this.#handleWelcome(welcome);
    this.onChange();
  }

  /** There is no other token before the user gives one. */
  #endWithToken() {
    this.state = { ...this.state, name: "ended" };
    this.link.disconnect();
  }

  #handleWelcome({ session_id: sessionId, user_id: userId, username, expires_at: expiresAt, message_max_bytes: messageMaxBytes }) {
    this.#held = this.#given;
    this.expiresAt = expiresAt ?? null;
    this.#messageMaxBytes = messageMaxBytes ?? Infinity;
    this.me = { sessionId, userId, username };
    for (const { kind, messages } of this.conversations.values()) {
      messages.addSession(sessionId);
      // Private messages are kept nowhere, so those sent meanwhile are lost.
      if (this.#wasLive && kind === "private") messages.showGap();
    }
    this.#wasLive = true;
  }
}

/** Without the close code, which the page says in words of its own. */
function describeReason(reason = "") {
  return reason.replace(/^\d+ ?/, "").replace("no close frame", "");
}

/**
 * One session of an agent, which receives every message to the agent.
 * No frame tells which other sessions there are, so they are requested at intervals.
 */
export class AgentSession extends Session {
  #refreshTimer;
  #agent = null;

  constructor({ agentId, ...base }) {
    super(base);
    this.shown = this.add(this.newConversation({ kind: "agent", name: agentId, title: `Agent ${agentId}` }));
    this.#refreshTimer = setInterval(() => this.refreshPeople(), AGENT_REFRESH_INTERVAL_MS);
  }

  get link() {
    return this.#agent;
  }

  start(client) {
    this.#agent = client.agent(this.shown.name);
    this.follow(this.#agent);
    this.shown.follow(this.#agent);
  }

  close() {
    clearInterval(this.#refreshTimer);
    super.close();
  }
}
