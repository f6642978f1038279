// Commands that are repeated until they are answered, on one connection after another.

import type { Channel } from "./channel.js";
import { ClientMisused, CommandRefused, NoAnswer, QueueFull, Unconfirmed } from "./errors.js";
import type { Frame } from "./frames.js";
import type { Link, Waiting } from "./link.js";
import { NO_EFFECT, secondsUntilRepeat, TEMPORARY } from "./retries.js";

export interface CallOptions {
  /** Seconds, over reconnections. */
  timeout: number;
  /** It has to be joined for the command. */
  channel?: Channel<any, any>;
  /** False: it is not sent again when a first try may have been carried out, since it has no key. */
  repeats?: boolean;
  /** It counts for `maxQueued`. */
  isQueued?: boolean;
}

/** The error of an `error` frame. */
export function readRefusal({ message, code, retry_after: retryAfter }: Frame): CommandRefused {
  return new CommandRefused(message, code, retryAfter ?? null);
}

/**
 * Send a command until it is answered; its `ok`. Rejects with CommandRefused, Unconfirmed, NoAnswer, QueueFull, and what
 * has ended the client or the channel. Without a command it waits until one could be sent.
 */
export function call(link: Link, command: Frame | null, options: CallOptions): Promise<Frame> {
  return new Promise((resolve, reject) => new Call(link, command, options, resolve, reject).begin());
}

export class Call implements Waiting {
  readonly #command: string; // as it is now: the program may change its content later
  readonly #type: string;
  #wasSent = false;
  #isDone = false;
  #refusal: CommandRefused | null = null;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #repeatTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly link: Link,
    readonly command: Frame | null,
    readonly wanted: CallOptions,
    readonly onOk: (answer: Frame) => void,
    readonly onFailed: (error: Error) => void,
  ) {
    this.#command = JSON.stringify(command);
    this.#type = command?.type ?? "join";
  }

  begin(): void {
    const { link, wanted } = this;
    if (wanted.isQueued && !this.#takePlace()) return;
    this.#timer = setTimeout(() => this.#giveUp(), wanted.timeout * 1000);
    link.waiting.add(this);
    this.proceed();
  }

  /** Send it if that is possible now, and give up if it never will be. */
  proceed(): void {
    const { link } = this;
    const { channel } = this.wanted;
    const end = channel?.hasEnded ? (channel.end ?? link.end ?? new ClientMisused(`${channel.name} was left`)) : link.end;
    if (end) this.fail(end);
    else if (link.canSend && (channel?.isJoined ?? true)) this.#send();
  }

  fail(error: Error): void {
    this.#finish();
    this.onFailed(error);
  }

  /** Make room for another one. */
  drop(): void {
    this.fail(new (this.#wasSent ? Unconfirmed : QueueFull)(`${this.#type}: given up for a later one`));
  }

  #takePlace(): boolean {
    const { queued, settings } = this.link;
    if (queued.size >= settings.maxQueued) {
      if (settings.queuePolicy === "refuse") {
        this.fail(new QueueFull(`${this.#type}: ${queued.size} others are not confirmed`));
        return false;
      }
      queued.values().next().value!.drop();
    }
    queued.add(this);
    return true;
  }

  #send(): void {
    this.link.waiting.delete(this);
    if (!this.command) return this.#succeed({ type: "ok" });
    this.#wasSent = true;
    this.link.commands.sendCommand(this.#command, (answer) => this.#handleAnswer(answer));
  }

  #handleAnswer(answer: Frame | null): void {
    if (this.#isDone) return;
    const repeats = this.wanted.repeats ?? true;
    if (!answer) {
      if (repeats) this.#wait();
      else this.fail(new Unconfirmed(`${this.#type}: the connection was lost before the answer`));
    } else if (answer.type !== "error") {
      this.#succeed(answer);
    } else {
      const refusal = (this.#refusal = readRefusal(answer));
      if (!(repeats ? TEMPORARY : NO_EFFECT).has(refusal.code)) return this.fail(refusal);
      const delay = secondsUntilRepeat(this.#attempt++, refusal.retryAfter);
      this.#repeatTimer = setTimeout(() => this.#wait(), delay * 1000);
    }
  }

  #succeed(answer: Frame): void {
    this.#finish();
    this.onOk(answer);
  }

  #wait(): void {
    this.link.waiting.add(this);
    this.proceed();
  }

  #giveUp(): void {
    const text = `${this.#type}: no answer within ${this.wanted.timeout} s`;
    this.fail(this.#refusal ?? new (this.#wasSent ? Unconfirmed : NoAnswer)(text));
  }

  #finish(): void {
    this.#isDone = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#repeatTimer);
    this.link.waiting.delete(this);
    this.link.queued.delete(this);
  }
}
