// Up to where this tab has heard a channel, and how it catches up: each message once, in order; where that cannot be
// had, the reader is told: docs/protocol.md §3 and §4. `client/catch_up.py` does the same for the command line.

import { asCommandError, backoffSeconds } from "./connection.js";
import { identityOf } from "./messages.js";

const PAGE = 50;
const PAGE_MAX = 300;
const TRIES = 5;
const HELD_MAX = 1000;
const WORTH_ANOTHER_TRY = new Set(["unavailable", "rate_limited"]);

export class Feed {
  /** `{epoch, offset}`: all up to there is shown, or told to be missing. Null without history. */
  #position = null;
  #origin = null; // the first position of all
  #hasBegun = false;
  #hasPast = false; // a first page of what was said before is shown
  #connection = 0; // rises when one ends: what was asked over it means nothing any more
  #held = null; // frames that wait while the history is read; null: it is not being read
  #away = null; // what is said from here `until` an offset was missed: {until, first, count}
  #list;
  #ask;
  #show;
  #onChange;
  #onTooMuch;

  /** `ask(fields)` asks for `history`, `show(message)` shows one at the end and returns its entry. */
  constructor({ list, ask, show, onChange, onTooMuch }) {
    this.#list = list;
    this.#ask = ask;
    this.#show = show;
    this.#onChange = onChange;
    this.#onTooMuch = onTooMuch;
  }

  /** From where to recover. */
  get position() {
    return this.#position;
  }

  /** The connection has ended. */
  interrupt() {
    this.#connection += 1;
    this.#held = null;
    this.#endOfAbsence();
    if (this.#list.top === "reading") this.#list.top = this.#hasPast ? "more" : "none";
  }

  /** `welcome`, or `ok` of `join`: the channel is heard from here on. */
  begin({ epoch, offset, recovered }) {
    const head = positionOf({ epoch, offset });
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#position = this.#origin = head;
    } else {
      if (head?.epoch === this.#position?.epoch && offset > this.#position?.offset) {
        this.#away = { until: offset, first: null, count: 0 };
      }
      if (!recovered) this.#catchUp(head);
    }
    if (!this.#hasPast && this.#origin?.offset > 0) this.older();
  }

  /** `message` or `resync`. */
  hear(frame) {
    if (this.#held !== null) {
      this.#held.push(frame);
      if (this.#held.length > HELD_MAX) this.#onTooMuch();
    } else if (frame.type === "resync") {
      this.#catchUp(positionOf(frame));
    } else {
      this.#take(frame);
    }
  }

  /** Shows a page of what was said before all that is shown. */
  async older() {
    const { oldest } = this.#list;
    const connection = this.#connection;
    this.#list.top = "reading";
    // With one that is known at its end, a page is known to be of the same log.
    const page = await this.#read(
      oldest ? { before: oldest.offset + 1, limit: PAGE + 1 } : { before: this.#origin.offset + 1, limit: PAGE },
    );
    if (connection !== this.#connection) return;
    if (page === null || (oldest && this.#list.oldest !== oldest)) {
      this.#list.top = page === null ? "failed" : "more";
      return;
    }
    this.#hasPast = true;
    const messages = oldest ? messagesBefore(oldest, page) : page.epoch === this.#origin.epoch ? page.messages : [];
    this.#list.prepend(messages.map((message) => ({ ...message, epoch: page.epoch })));
    this.#list.top = messages.length < PAGE ? "end" : "more";
    this.#onChange();
  }

  #take(message) {
    const { offset } = message;
    if (offset !== undefined && this.#position !== null) {
      if (offset <= this.#position.offset) return;
      this.#position = { epoch: this.#position.epoch, offset };
      // A node whose bus is away may begin behind what was heard from another one.
      if (this.#list.has(message)) return;
    }
    const entry = this.#show({ ...message, epoch: this.#position?.epoch });
    if (this.#away === null) return;
    if (!entry.own) {
      this.#away.first ??= entry;
      this.#away.count += 1;
    }
    if (offset >= this.#away.until) this.#endOfAbsence();
  }

  #endOfAbsence() {
    const { first, count } = this.#away ?? { count: 0 };
    this.#away = null;
    if (count > 0) this.#list.noteBefore(first, `${count} ${count === 1 ? "message" : "messages"} while you were away`);
  }

  #missing() {
    this.#away = null;
    this.#list.gap();
  }

  /** Messages may be missing up to `head`. What comes meanwhile waits. */
  async #catchUp(head) {
    const { epoch, offset } = this.#position ?? {};
    if (head === null) {
      this.#missing();
      this.#position = null;
      return;
    }
    if (head.epoch === epoch && head.offset === offset) return;
    const connection = this.#connection;
    this.#held = [];
    if (head.epoch === epoch && head.offset > offset) await this.#readSince(head);
    else await this.#readAnew(head);
    if (connection !== this.#connection) return;
    const held = this.#held;
    this.#held = null;
    for (const frame of held) this.hear(frame);
    this.#onChange();
  }

  async #readSince(head) {
    const connection = this.#connection;
    while (this.#position.offset < head.offset) {
      const page = await this.#read({ since: this.#position.offset, limit: PAGE_MAX });
      if (connection !== this.#connection) return;
      if (page?.epoch !== head.epoch || page.messages.length === 0) break;
      for (const message of page.messages) {
        if (message.offset > this.#position.offset + 1) this.#missing();
        this.#take(message);
      }
    }
    if (this.#position.offset >= head.offset) return;
    this.#missing();
    this.#position = head;
  }

  /** Another epoch has begun. What is left of the old one, and shown already, may go before it. */
  async #readAnew(head) {
    const connection = this.#connection;
    const page = await this.#read({ limit: PAGE_MAX });
    if (connection !== this.#connection) return;
    const isOfIt = page?.epoch === head.epoch;
    const messages = isOfIt ? this.#list.newIn(page.messages) : [];
    this.#missing();
    this.#position = { epoch: head.epoch, offset: messages.length > 0 ? messages[0].offset - 1 : head.offset };
    for (const message of messages) this.#take(message);
    if (isOfIt) this.#position = positionOf(page);
  }

  /** The answer to `history`, or null if there is none to be had. */
  async #read(fields) {
    const connection = this.#connection;
    for (let tries = 1; connection === this.#connection; tries += 1) {
      try {
        return await this.#ask(fields);
      } catch (error) {
        if (tries === TRIES || !WORTH_ANOTHER_TRY.has(asCommandError(error).code)) return null;
        await new Promise((resolve) => setTimeout(resolve, 1000 * backoffSeconds(tries)));
      }
    }
    return null;
  }
}

function positionOf({ epoch, offset }) {
  return typeof epoch === "string" ? { epoch, offset } : null;
}

function messagesBefore(oldest, { messages }) {
  const index = messages.findLastIndex((message) => identityOf(message) === oldest.identity);
  return messages.slice(0, Math.max(0, index));
}
