// What was received in a channel and is not read yet: bounded; what does not fit is remembered as missed. No I/O.

import type { Frame, Position } from "./frames.js";

/** Messages up to `head` may be missing at this place: they have to be read from the history. Null: there is none. */
export class Missed {
  constructor(public head: Position | null) {}
}

/**
 * At most `size` messages, in order, and a Missed in the place of what could not be kept: while that is the last entry,
 * messages only move its head. So an inbox never holds more than `size + 1` entries.
 */
export class Inbox {
  /** The position that was received last; null without history. */
  head: Position | null = null;
  #entries: (Frame | Missed)[] = [];
  #overflow: Missed | null = null;

  constructor(readonly sizeMax: number) {}

  get length(): number {
    return this.#entries.length;
  }

  /** The position to recover from on the next connection. Null after an overflow: the history is read anyway. */
  get recoverFrom(): Position | null {
    return this.#overflow ? null : this.head;
  }

  addMessage(frame: Frame): void {
    const { offset } = frame;
    if (this.head && offset > this.head.offset) this.head = { epoch: this.head.epoch, offset };
    if (this.#overflow) this.#overflow.head = this.head;
    else this.#add(frame);
  }

  /** Messages up to `head` may be missing: a `resync`, or a join without recovery. */
  addMissed(head: Position | null): void {
    this.head = head;
    const last = this.#entries[this.length - 1];
    if (last instanceof Missed) last.head = head;
    else this.#add(new Missed(head));
  }

  /** The oldest entry. */
  take(): Frame | Missed | undefined {
    const entry = this.#entries.shift();
    if (entry === this.#overflow) this.#overflow = null;
    return entry;
  }

  #add(entry: Frame | Missed): void {
    if (this.length < this.sizeMax) this.#entries.push(entry);
    else this.#entries.push((this.#overflow = new Missed(this.head)));
  }
}
