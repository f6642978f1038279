// Commands on one connection, and their answers by their ids.

import type { Frame } from "./frames.js";
import { secondsUntilRepeat, sleep, TEMPORARY } from "./retries.js";

/** Seconds within which a node has to answer what is no plain command: it may have to read the history first. */
const ANSWER_SECONDS = 30;
/** Commands that wait for their answers: of further ones a node reads none, but counts their rates. */
const WINDOW = 64;

export class Commands {
  /** The largest frame that the node accepts. */
  messageMaxBytes = Infinity;
  #pending = new Map<number, (frame: Frame | null) => void>();
  #lastId = 0;

  constructor(
    /** Returns false if there is no connection. */
    readonly write: (text: string) => boolean,
    readonly onLate: (reason: string) => void,
  ) {}

  get isFull(): boolean {
    return this.#pending.size >= WINDOW;
  }

  /**
   * Send a command, as JSON without `id`, and call back once: with its `ok`, `error` or `pong`, before any later frame is
   * handled, or with null if the connection has ended. One that is larger than the node accepts would close the connection,
   * so it is refused here.
   */
  sendCommand(command: string, onAnswer: (frame: Frame | null) => void): void {
    const id = ++this.#lastId;
    const text = `${command.slice(0, -1)},"id":${id}}`;
    const size = utf8Length(text);
    const most = this.messageMaxBytes;
    if (size > most) {
      return onAnswer({ type: "error", code: "too_large", message: `the command has ${size} bytes, ${most} are allowed` });
    }
    this.#pending.set(id, onAnswer);
    if (!this.write(text)) this.answer({ type: "", id }, null);
  }

  /** Send a command at once; its answer, or null if the connection ends. One that is not answered ends it. */
  exchange(command: Frame, onAnswer?: (frame: Frame) => void): Promise<Frame | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.onLate(`${command.type} was not answered`), ANSWER_SECONDS * 1000);
      this.sendCommand(JSON.stringify(command), (answer) => {
        clearTimeout(timer);
        if (answer) onAnswer?.(answer);
        resolve(answer);
      });
    });
  }

  /** Send what `build` returns until the answer is no temporary error; null if the connection ends, or it returns false. */
  async repeat(build: () => Frame | false, onAnswer?: (frame: Frame) => void): Promise<Frame | null> {
    for (let attempt = 0; ; attempt += 1) {
      const command = build();
      const answer = command && (await this.exchange(command, onAnswer));
      if (!answer || !TEMPORARY.has(answer.code)) return answer || null;
      await sleep(secondsUntilRepeat(attempt, answer.retry_after));
    }
  }

  /** Hand an answer over. Returns false if no command has this id. */
  answer(frame: Frame, answer: Frame | null = frame): boolean {
    const onAnswer = this.#pending.get(frame.id);
    this.#pending.delete(frame.id);
    onAnswer?.(answer);
    return !!onAnswer;
  }

  /** The connection has ended. */
  interrupt(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const onAnswer of pending) onAnswer(null);
  }
}

/** Bytes in UTF-8 of a text of JSON, which has no half of a surrogate pair. Not all platforms have a TextEncoder. */
function utf8Length(text: string): number {
  const count = (characters: RegExp) => text.match(characters)?.length ?? 0;
  return text.length + count(/[\u0080-\uffff]/g) + count(/[\u0800-\ud7ff\ue000-\uffff]/g);
}
