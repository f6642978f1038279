// How far this tab has read a channel, and how it reads missed messages: each message once and in order; where messages
// may be missing, a line says so: docs/protocol.md §3 and §4. `client/catch_up.py` does the same for the command line.

import { asCommandError, backoffSeconds } from "./connection.js";
import { identityOf } from "./messages.js";

const PAGE_SIZE = 50;
const PAGE_MAX = 300;
const TRIES = 5;
const QUEUED_MAX = 1000;
const TEMPORARY_ERRORS = new Set(["unavailable", "rate_limited"]);

export class Feed {
  /** `{epoch, offset}`: every message up to it is shown, or marked as missing. Null without history. */
  #position = null;
  #origin = null; // the position at the first start
  #hasStarted = false;
  #hasOlderPage = false; // a first page of older messages is shown
  #connection = 0; // incremented when the connection ends: answers on an earlier one are ignored
  #queued = null; // frames that wait while the history is read; null if it is not being read
  #absence = null; // messages up to the offset `until` were missed: {until, first, count}
  #list;
  #request;
  #show;
  #onChange;
  #onOverflow;

  /** `request(fields)` sends `history`; `show(message)` shows a message at the end and returns its entry. */
  constructor({ list, request, show, onChange, onOverflow }) {
    this.#list = list;
    this.#request = request;
    this.#show = show;
    this.#onChange = onChange;
    this.#onOverflow = onOverflow;
  }

  /** The position to recover from. */
  get position() {
    return this.#position;
  }

  /** The connection was lost. */
  interrupt() {
    this.#connection += 1;
    this.#queued = null;
    this.#endAbsence();
    if (this.#list.top === "reading") this.#list.top = this.#hasOlderPage ? "more" : "none";
  }

  /** `welcome`, or the `ok` of `join`: messages are received from this position on. */
  start({ epoch, offset, recovered }) {
    const head = positionOf({ epoch, offset });
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      this.#position = this.#origin = head;
    } else {
      if (head?.epoch === this.#position?.epoch && offset > this.#position?.offset) {
        this.#absence = { until: offset, first: null, count: 0 };
      }
      if (!recovered) this.#catchUp(head);
    }
    if (!this.#hasOlderPage && this.#origin?.offset > 0) this.loadOlder();
  }

  /** Handles a `message` or a `resync`. */
  handleFrame(frame) {
    if (this.#queued !== null) {
      this.#queued.push(frame);
      if (this.#queued.length > QUEUED_MAX) this.#onOverflow();
    } else if (frame.type === "resync") {
      this.#catchUp(positionOf(frame));
    } else {
      this.#accept(frame);
    }
  }

  /** Shows a page of messages before the oldest one that is shown. */
  async loadOlder() {
    const { oldest } = this.#list;
    const connection = this.#connection;
    this.#list.top = "reading";
    // A page that ends with a known message is known to be of the same history.
    const page = await this.#requestHistory(
      oldest ? { before: oldest.offset + 1, limit: PAGE_SIZE + 1 } : { before: this.#origin.offset + 1, limit: PAGE_SIZE },
    );
    if (connection !== this.#connection) return;
    if (page === null || (oldest && this.#list.oldest !== oldest)) {
      this.#list.top = page === null ? "failed" : "more";
      return;
    }
    this.#hasOlderPage = true;
    const messages = oldest ? messagesBefore(oldest, page) : page.epoch === this.#origin.epoch ? page.messages : [];
    this.#list.prepend(messages.map((message) => ({ ...message, epoch: page.epoch })));
    this.#list.top = messages.length < PAGE_SIZE && !page.more ? "end" : "more";
    this.#onChange();
  }

  #accept(message) {
    const { offset } = message;
    if (offset !== undefined && this.#position !== null) {
      if (offset <= this.#position.offset) return;
      this.#position = { epoch: this.#position.epoch, offset };
      // A node without its bus may start behind the position that was read from another node.
      if (this.#list.has(message)) return;
    }
    const entry = this.#show({ ...message, epoch: this.#position?.epoch });
    if (this.#absence === null) return;
    if (!entry.own) {
      this.#absence.first ??= entry;
      this.#absence.count += 1;
    }
    if (offset >= this.#absence.until) this.#endAbsence();
  }

  #endAbsence() {
    const { first, count } = this.#absence ?? { count: 0 };
    this.#absence = null;
    if (count > 0) this.#list.noteBefore(first, `${count} ${count === 1 ? "message" : "messages"} while you were away`);
  }

  #showGap() {
    this.#absence = null;
    this.#list.showGap();
  }

  /** Messages up to `head` may be missing: read them. Frames that arrive meanwhile are queued. */
  async #catchUp(head) {
    const { epoch, offset } = this.#position ?? {};
    if (head === null) {
      this.#showGap();
      this.#position = null;
      return;
    }
    if (head.epoch === epoch && head.offset === offset) return;
    const connection = this.#connection;
    this.#queued = [];
    if (head.epoch === epoch && head.offset > offset) await this.#readSince(head);
    else await this.#readNewEpoch(head);
    if (connection !== this.#connection) return;
    const queued = this.#queued;
    this.#queued = null;
    for (const frame of queued) this.handleFrame(frame);
    this.#onChange();
  }

  async #readSince(head) {
    const connection = this.#connection;
    while (this.#position.offset < head.offset) {
      const page = await this.#requestHistory({ since: this.#position.offset, limit: PAGE_MAX });
      if (connection !== this.#connection) return;
      if (page?.epoch !== head.epoch || page.messages.length === 0) break;
      for (const message of page.messages) {
        if (message.offset > this.#position.offset + 1) this.#showGap();
        this.#accept(message);
      }
    }
    if (this.#position.offset >= head.offset) return;
    this.#showGap();
    this.#position = head;
  }

  /** The channel has begun another epoch. Its history may begin with messages of the old one, shown already. */
  async #readNewEpoch(head) {
    const connection = this.#connection;
    const page = await this.#requestLast();
    if (connection !== this.#connection) return;
    const isOfEpoch = page?.epoch === head.epoch;
    const messages = isOfEpoch ? this.#list.listNew(page.messages) : [];
    this.#showGap();
    this.#position = { epoch: head.epoch, offset: messages.length > 0 ? messages[0].offset - 1 : head.offset };
    for (const message of messages) this.#accept(message);
    if (isOfEpoch) this.#position = positionOf(page);
  }

  /** The last PAGE_MAX messages, in several answers if they do not fit into one; null if reading failed for good. */
  async #requestLast() {
    const connection = this.#connection;
    const last = await this.#requestHistory({ limit: PAGE_MAX });
    for (let page = last; page?.more && last.messages.length < PAGE_MAX; ) {
      page = await this.#requestHistory({ before: last.messages[0].offset, limit: PAGE_MAX - last.messages.length });
      if (connection !== this.#connection) return null;
      if (page?.epoch !== last.epoch || page.messages.length === 0) break; // what is in front is shown as a gap
      last.messages.unshift(...page.messages);
    }
    return last;
  }

  /** The answer to `history`, or null if it failed for good. */
  async #requestHistory(fields) {
    const connection = this.#connection;
    for (let tries = 1; connection === this.#connection; tries += 1) {
      try {
        return await this.#request(fields);
      } catch (error) {
        if (tries === TRIES || !TEMPORARY_ERRORS.has(asCommandError(error).code)) return null;
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
