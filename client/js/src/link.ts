// A session that is kept open: connection after connection, over a transport.

import { describeEnd, NO_CLOSE_FRAME, TOKEN_EXPIRED } from "./closing.js";
import { Commands } from "./commands.js";
import {
  AUTH_CODES,
  ClientError,
  ClientMisused,
  ConnectionLost,
  SessionEnded,
  TokenExpired,
  UserChanged,
} from "./errors.js";
import type { Frame } from "./frames.js";
import type { Settings } from "./options.js";
import { watchPage } from "./page-events.js";
import { Retries } from "./retries.js";
import { TokenRefresh } from "./token-refresh.js";
import type { Endpoint, Transport } from "./transport.js";
import { Watch } from "./watch.js";

export type State = "disconnected" | "connecting" | "connected" | "waiting" | "error";

/** The state of a connection, and what belongs to it. */
export interface Status {
  state: State;
  /** `connected`: the name of the node, and of the session. */
  node?: string;
  sessionId?: string;
  /** `connected`: the first frame of the node, as the protocol has it. */
  welcome?: Frame;
  /** `waiting`, `error`: why the connection was lost, and with which close code. */
  reason?: string;
  code?: string | number | null;
  /** `waiting`: seconds until the next try, and when it is, in milliseconds since 1970. */
  delay?: number;
  until?: number;
  /** `error`: the client does not connect again by itself. */
  error?: ClientError;
}

/** Whose connection it is: a client, or an agent. */
export interface LinkOwner {
  readonly agentId: string | null;
  buildQuery(): Endpoint["query"];
  handleStatus(status: Status): void;
  handleWelcome(welcome: Frame): void;
  /** All frames but those that the connection is about. */
  handleFrame(frame: Frame): void;
  /** The connection was lost, and each command on it is answered with null. */
  handleInterrupted(): void;
}

/** A command that waits until it can be sent. */
export interface Waiting {
  proceed(): void;
  /** Give up, to make room for another one. */
  drop(): void;
}

export class Link {
  status: Status = { state: "disconnected" };
  /** The token of the present connection. */
  token: string | null = null;
  /** Who the client is, as the node said. */
  userId: string | null = null;
  readonly waiting = new Set<Waiting>();
  /** Messages that are not confirmed yet, the oldest first. */
  readonly queued = new Set<Waiting>();
  /** Those on the present connection. */
  readonly commands = new Commands(
    (text) => this.isLive && (this.#transport!.send(text), true),
    (reason) => this.fail(reason),
  );
  #transport: Transport | null = null;
  #attempt = 0; // answers to an earlier one are ignored
  #isClosed = false;
  #isFrozen = false;
  #bye: Frame | null = null;
  #refusal: Frame | null = null; // an `error` in place of `welcome`
  #liveSince = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #retries: Retries;
  #watch = new Watch(
    () => this.send({ type: "ping" }),
    (reason) => this.fail(reason),
  );
  #refresh: TokenRefresh;
  #unwatchPage: () => void;

  constructor(
    readonly settings: Settings,
    readonly owner: LinkOwner,
  ) {
    this.#retries = new Retries(settings.maxAttempts);
    this.#refresh = new TokenRefresh(this);
    this.#unwatchPage = watchPage({
      onOnline: () => (this.status.state === "waiting" ? this.connect() : this.probe()),
      onDoubt: () => this.probe(),
      onFrozen: () => {
        this.#isFrozen = !!(this.#transport ?? this.status.until);
        if (this.#isFrozen) this.disconnect();
      },
      onThawed: () => this.#isFrozen && this.connect(),
    });
  }

  get isLive(): boolean {
    return this.status.state === "connected";
  }

  /** Whether one more command may wait for its answer. */
  get canSend(): boolean {
    return this.isLive && !this.commands.isFull;
  }

  /** Why nothing can be sent any more; null while it can, or may later. */
  get end(): ClientError | null {
    return this.#isClosed ? new ClientMisused("the client is closed") : (this.status.error ?? null);
  }

  /** Connect at once: first, with a new token after an end, or instead of waiting for the next try. */
  connect(): void {
    if (this.#isClosed) throw this.end;
    const { state } = this.status;
    if (state === "connecting" || state === "connected") return;
    if (state !== "waiting") {
      this.#retries.reset();
      this.settings.tokens.discard(this.token);
    }
    this.#isFrozen = false;
    void this.#open();
  }

  disconnect(): void {
    this.#drop();
    this.#setStatus({ state: "disconnected" });
  }

  close(): void {
    this.#isClosed = true;
    this.#unwatchPage();
    this.disconnect();
    this.wake();
  }

  /** End the present connection. Another one follows. */
  fail(reason: string): void {
    if (this.#transport) this.#lose(new ConnectionLost(reason, NO_CLOSE_FRAME));
  }

  /** Look whether the connection is there still, or make the next try if its time has come. */
  probe(): void {
    const { until } = this.status;
    if (this.isLive) this.#watch.probe();
    else if (until !== undefined && until <= Date.now()) this.connect();
  }

  /** End for good, until the program connects again. */
  finish(error: ClientError): void {
    this.#drop();
    const { message: reason, code } = error;
    this.#setStatus({ state: "error", reason, code, error });
    this.wake();
    if (AUTH_CODES.includes(code)) this.settings.onAuthError?.(error as SessionEnded);
  }

  send(command: Frame): void {
    this.#transport?.send(JSON.stringify(command));
  }

  /** Let the commands that wait look again. */
  wake(): void {
    for (const each of [...this.waiting]) each.proceed();
  }

  // ---- one connection

  async #open(): Promise<void> {
    this.#drop();
    const attempt = this.#attempt;
    this.#bye = this.#refusal = null;
    this.#setStatus({ state: "connecting" });
    try {
      const token = await this.settings.tokens.get();
      if (attempt !== this.#attempt) return;
      this.token = token;
    } catch (error) {
      if (attempt === this.#attempt) this.#lose(error as ConnectionLost);
      return;
    }
    const transport = (this.#transport = this.settings.makeTransport());
    transport.onframe = (frame) => {
      this.#watch.heard();
      this.#receive(frame);
    };
    transport.onclose = (code, reason) => this.#lose(describeEnd(code, reason, this.#bye, this.#refusal));
    this.#watch.start();
    try {
      transport.open(this.settings.url, { agentId: this.owner.agentId, query: this.#buildQuery() }, this.token);
    } catch (error) {
      this.finish(new ClientError(`${error}`)); // the token has characters that no token has
    }
  }

  /** Without a token a guest has to keep its name; with one the token names the user. */
  #buildQuery(): Endpoint["query"] {
    const { tokens, userId, username } = this.settings;
    return { user_id: userId ?? (tokens.exists ? null : this.userId), username, ...this.owner.buildQuery() };
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case "ping":
        return this.send({ type: "pong" });
      case "bye":
        this.#bye = frame;
        return;
      case "welcome":
        return this.#handleWelcome(frame);
      case "ok":
      case "pong":
      case "error":
        if (this.commands.answer(frame)) return this.wake();
        if (frame.type !== "error") return;
        if (!this.isLive) this.#refusal = frame;
    }
    this.owner.handleFrame(frame);
  }

  #handleWelcome(welcome: Frame): void {
    const { user_id: userId, node, session_id: sessionId } = welcome;
    if (this.userId !== null && userId !== this.userId) {
      // Keys of messages hold for one author: repeating them as another one would publish them twice.
      return this.finish(new UserChanged(`another user: ${userId}, not ${this.userId}`));
    }
    this.userId = userId;
    this.commands.messageMaxBytes = welcome.message_max_bytes;
    this.#liveSince = Date.now();
    this.#watch.expectPings(welcome.ping_interval);
    this.#refresh.begin(welcome.expires_at);
    this.#setStatus({ state: "connected", node, sessionId, welcome });
    if (!this.isLive) return; // a listener has closed it
    this.owner.handleWelcome(welcome);
    this.wake();
  }

  #lose(lost: ConnectionLost): void {
    const lasted = this.isLive ? (Date.now() - this.#liveSince) / 1000 : 0;
    this.#drop();
    const { tokens } = this.settings;
    if (lost.code === TOKEN_EXPIRED && !tokens.isRenewable) lost = new TokenExpired(lost.message, lost.code);
    if (lost.code === TOKEN_EXPIRED) tokens.discard(this.token);
    if (lost instanceof SessionEnded) return this.finish(lost);
    const next = this.#retries.next(lost, lasted);
    if (typeof next !== "number") return this.finish(next);
    this.#retryTimer = setTimeout(() => void this.#open(), next * 1000);
    const { message: reason, code } = lost;
    this.#setStatus({ state: "waiting", reason, code, delay: next, until: Date.now() + next * 1000 });
  }

  #drop(): void {
    this.#attempt += 1;
    clearTimeout(this.#retryTimer);
    this.#watch.stop();
    this.#refresh.stop();
    const transport = this.#transport;
    this.#transport = null;
    if (!transport) return;
    transport.onframe = transport.onclose = () => {};
    transport.close();
    this.status = { state: "waiting" }; // nothing is sent from now on; who drops it says how it goes on
    this.owner.handleInterrupted();
    this.commands.interrupt();
  }

  #setStatus(status: Status): void {
    this.status = status;
    this.owner.handleStatus(status);
  }
}
