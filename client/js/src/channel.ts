// What a room and an agent have in common: messages in, messages out, and the history.

import { call } from "./calls.js";
import { CatchUp } from "./catch-up.js";
import { Emitter } from "./emitter.js";
import type { ClientError } from "./errors.js";
import { type Frame, type Gap, makeGap, type Message, parseMessage, type Position, positionOf, renameFields, type StreamFrame } from "./frames.js";
import { Inbox, Missed } from "./inbox.js";
import type { Link } from "./link.js";

export interface ChannelEvents<Content> {
  /** Each message once and in order. Until somebody listens they are kept, at most `queueSize`. */
  message: Message<Content>;
  /** Messages may be missing at this place. */
  gap: Gap;
  /** A stream has begun, goes on or has ended, in its order among the messages. */
  stream: StreamFrame;
  /**
   * It was joined, for the first time or again, with its head at `position`. `recovered`: how many messages were missed and
   * follow; null if that is not known.
   */
  joined: { isFirst: boolean; recovered: number | null; position: Position | null };
  /** It was left or closed (null), or can't be used any more. */
  end: ClientError | null;
}

export interface SendOptions {
  /** Makes that the message is published once, beyond this call too: for five minutes. */
  key?: string;
  /** Seconds. */
  timeout?: number;
}

export interface HistoryOptions {
  /** 1 to 300; 100 if it is not given. */
  limit?: number;
  /** The first messages after this offset. */
  since?: number;
  /** The last messages before this offset. */
  before?: number;
  timeout?: number;
}

export interface HistoryPage<Content> {
  messages: Message<Content>[];
  /** The head of the channel; null without history. */
  position: Position | null;
  /** There are more messages within the bounds: an answer is bounded in bytes too. Ask on. */
  more: boolean;
}

/** The connection was lost: what was missed is read on the next one. */
const INTERRUPTED = new Error("interrupted");

export abstract class Channel<Content, Events extends ChannelEvents<Content>> extends Emitter<Events> {
  /** @internal On the present connection. */
  isJoined = false;
  /** @internal */
  hasEnded = false;
  /** @internal Why it has ended; null if it was left. */
  end: ClientError | null = null;
  #inbox: Inbox;
  #reading = new CatchUp();
  #missed: Missed | null = null; // is being read
  #isReading = false;
  #hasStarted = false;

  /** @internal */
  constructor(
    readonly name: string,
    /** @internal */ protected readonly link: Link,
  ) {
    super();
    this.#inbox = new Inbox(link.settings.queueSize);
  }

  /** Up to where it was read. Null without history, and before it was joined. */
  get position(): Position | null {
    return this.#reading.position;
  }

  override on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => void {
    const off = super.on(name, listener);
    if (name === "message" || name === "stream") queueMicrotask(() => this.#drain()); // once the other listeners are there too
    return off;
  }

  /**
   * Publish `content`, any JSON value; its position, or null without history. While the client is away it waits. What is
   * not confirmed is sent again with the same key, so it is published once. Rejects with CommandRefused, Unconfirmed,
   * NoAnswer, QueueFull.
   */
  async send(content: Content, { key = randomKey(), timeout }: SendOptions = {}): Promise<Position | null> {
    const options = { timeout: timeout ?? this.link.settings.sendTimeout, channel: this, isQueued: true };
    return positionOf(await call(this.link, this.command("message", { content, key }), options));
  }

  /** Read messages that were said before. */
  async history({ timeout, ...bounds }: HistoryOptions = {}): Promise<HistoryPage<Content>> {
    const answer = await this.request("history", bounds, timeout);
    for (const message of answer.messages) this.#reading.remember(message);
    return { messages: answer.messages.map(parseMessage), position: positionOf(answer), more: answer.more === true };
  }

  /** Wait until it is joined. Rejects with what has ended it or the client, and NoAnswer after so many seconds. */
  async ready(timeout = this.link.settings.timeout): Promise<this> {
    await call(this.link, null, { timeout, channel: this });
    return this;
  }

  /** Send any command of the protocol in this channel until it is answered: its `ok`. Rejects as `send` does. */
  request(type: string, fields: object = {}, timeout = this.link.settings.timeout): Promise<Frame> {
    return call(this.link, this.command(type, fields), { timeout, channel: this });
  }

  /** @internal A command in this channel. */
  abstract command(type: string, fields?: object): Frame;

  /** @internal The position to recover from on the next connection. */
  get recoverFrom(): Position | null {
    return this.#inbox.recoverFrom;
  }

  /** @internal It was joined: `answer` is the `ok` of `join`, or the `welcome` of a channel's own endpoint. */
  enter(answer: Frame): void {
    const head = positionOf(answer);
    const before = this.#inbox.head;
    const isFirst = !this.#hasStarted;
    let recovered: number | null = null;
    this.isJoined = this.#hasStarted = true;
    if (isFirst) {
      this.#inbox.head = this.#reading.position = head;
      recovered = 0;
    } else if (answer.recovered && head && before) {
      recovered = head.offset - before.offset;
    } else {
      this.#inbox.addMissed(head);
    }
    this.emit("joined", { isFirst, recovered, position: head } as Events["joined"]);
    this.link.wake();
    this.#drain();
  }

  /** @internal The connection was lost. */
  interrupt(): void {
    this.isJoined = false;
  }

  /** @internal A frame of OF_CHANNEL. Before the channel is joined its position is not known: then it is recovered. */
  receive(frame: Frame): void {
    if (!this.isJoined) return;
    if (frame.type === "resync") this.#inbox.addMissed(positionOf(frame));
    else this.#inbox.addMessage(frame);
    this.#drain();
  }

  /** @internal It was left (null), or can't be used any more. */
  finish(end: ClientError | null): void {
    if (this.hasEnded) return;
    this.isJoined = false;
    this.hasEnded = true;
    this.end = end;
    this.emit("end", end as Events["end"]);
    this.link.wake();
  }

  /** Hand over what was received. Where messages may be missing it waits until they were read from the history. */
  #drain(): void {
    while (!this.#isReading && !this.hasEnded && (this.hears("message") || this.hears("stream"))) {
      if (this.#missed) {
        void this.#readMissed(this.#missed);
        return;
      }
      const entry = this.#inbox.take();
      if (!entry) return;
      if (entry instanceof Missed) this.#missed = entry;
      else if (this.#reading.accept(entry)) this.#tell(entry);
    }
  }

  /** Without a connection it stops, and goes on behind the next join. */
  async #readMissed(missed: Missed): Promise<void> {
    this.#isReading = true;
    const reader = {
      onMessage: (frame: Frame) => this.#tell(frame),
      onGap: (after: Position | null, until: Position | null) =>
        this.emit("gap", makeGap(this.name, after, until) as Events["gap"]),
    };
    try {
      await this.#reading.readMissed(missed.head, (fields) => this.#requestHistory(fields), reader);
      this.#missed = null;
    } catch (error) {
      if (error !== INTERRUPTED) throw error;
    } finally {
      this.#isReading = false;
    }
    if (!this.#missed || this.isJoined) this.#drain();
  }

  #tell(frame: Frame): void {
    if (this.hasEnded) return;
    // Messages of a history may have no type.
    if (frame.stream_id) this.emit("stream", renameFields(frame));
    else this.emit("message", parseMessage(frame) as Events["message"]);
  }

  async #requestHistory(fields: Record<string, number>): Promise<Frame> {
    const answer = await this.link.commands.repeat(() => this.isJoined && this.command("history", fields));
    if (!answer) throw INTERRUPTED;
    return answer;
  }
}

/** It is no secret: the key of another author is another key. Pages that are not secure have no `randomUUID`. */
function randomKey(): string {
  const { crypto } = globalThis as { crypto?: Crypto };
  return crypto?.randomUUID?.() ?? [1, 2, 3].map(() => Math.random().toString(36).slice(2)).join("");
}
