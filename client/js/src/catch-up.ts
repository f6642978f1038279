// How far a channel has been read, and how the messages after that are read from the history.
//
// The rules of a client (docs/protocol.md §4): advance the position with each message, drop a message at or below it, and
// where messages may be missing read the history. Each message is yielded once and in order; those that can't be had any
// more are reported.

import { type Frame, type Position, positionOf } from "./frames.js";

/** Messages in one answer of `history`. */
const PAGE_MAX = 300;
/** Messages that are remembered: those that were read last, and a page of what was asked for. */
const REMEMBERED_MAX = 600;

/** Send `history` with these fields: its `ok`, or an `error`. Throws if the connection ends before. */
export type RequestHistory = (fields: Record<string, number>) => Promise<Frame>;

export interface Reader {
  onMessage(frame: Frame): void;
  onGap(after: Position | null, until: Position | null): void;
}

export class CatchUp {
  /** Every message up to it was yielded or reported as missing. Null: the position is not known. */
  position: Position | null = null;
  #recent = new Set<string>(); // the last messages that were read, the first of them first

  /** Advance to a delivered message. Returns false if it was read before. */
  accept(message: Frame): boolean {
    const { offset } = message;
    if (offset === undefined || !this.position) return true;
    if (offset <= this.position.offset) return false;
    // A node without its bus may start behind the position that was read from another node.
    const isKnown = this.#recent.has(identityOf(message));
    this.#advance(message, this.position.epoch);
    return !isKnown;
  }

  /**
   * Yield what is still kept of the messages up to `head`, and gaps in the place of what is not. Frames that arrive
   * meanwhile have to wait. If `request` throws, the next call goes on from `position`.
   */
  async readMissed(head: Position | null, request: RequestHistory, reader: Reader): Promise<void> {
    const { position } = this;
    if (!head) {
      this.position = null;
      reader.onGap(position, null);
    } else if (position?.epoch === head.epoch && position.offset <= head.offset) {
      await this.#readSince(position, head, request, reader);
    } else {
      await this.#readNewEpoch(head, request, reader);
    }
  }

  async #readSince(position: Position, head: Position, request: RequestHistory, reader: Reader): Promise<void> {
    while (position.offset < head.offset) {
      const page = await request({ since: position.offset, limit: PAGE_MAX });
      if (page.epoch !== head.epoch || !page.messages.length) break; // or it was refused
      for (const message of page.messages) {
        const before = position;
        position = this.#advance(message, head.epoch);
        if (message.offset > before.offset + 1) reader.onGap(before, { epoch: head.epoch, offset: message.offset - 1 });
        reader.onMessage(message);
      }
    }
    if (position.offset < head.offset) {
      this.position = head;
      reader.onGap(position, head);
    }
  }

  /** The channel has begun another epoch. Its history may begin with messages of the old one, read already. */
  async #readNewEpoch(head: Position, request: RequestHistory, reader: Reader): Promise<void> {
    const page = await request({ limit: PAGE_MAX });
    let messages: Frame[] = [];
    if (page.epoch === head.epoch) {
      messages = this.#listUnread(await readWhole(page, request));
      head = positionOf(page)!;
    }
    const { position } = this;
    this.position = head;
    reader.onGap(position, messages.length ? { epoch: head.epoch, offset: messages[0]!.offset - 1 } : head);
    for (const message of messages) {
      this.remember(message);
      reader.onMessage(message);
    }
  }

  /** The messages after the last one that was read. Offsets do not tell: another epoch may use them again. */
  #listUnread(messages: Frame[]): Frame[] {
    let index = messages.length;
    while (index > 0 && !this.#recent.has(identityOf(messages[index - 1]!))) index -= 1;
    return messages.slice(index);
  }

  #advance(message: Frame, epoch: string): Position {
    this.remember(message);
    return (this.position = { epoch, offset: message.offset });
  }

  /** It was read: another epoch does not repeat it. */
  remember(message: Frame): void {
    this.#recent.add(identityOf(message));
    if (this.#recent.size > REMEMBERED_MAX) this.#recent.delete(this.#recent.values().next().value!);
  }
}

/** The last PAGE_MAX messages, of which `page` has those that fitted into one answer. */
async function readWhole(page: Frame, request: RequestHistory): Promise<Frame[]> {
  let messages: Frame[] = page.messages;
  for (let last = page; last.more && messages.length && messages.length < PAGE_MAX; ) {
    const before = await request({ before: messages[0]!.offset, limit: PAGE_MAX - messages.length });
    if (before.epoch !== page.epoch || !before.messages.length) break; // what is in front is reported as missing
    messages = [...before.messages, ...messages];
    last = before;
  }
  return messages;
}

/** No two messages share this, whatever the epoch. */
function identityOf({ offset, timestamp, session_id, user_id }: Frame): string {
  return JSON.stringify([offset, timestamp, session_id, user_id]);
}
