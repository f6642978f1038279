// The messages of a room or an agent as the page shows them: new ones, older ones page by page, and lines that say how many
// came while the tab was away, and where some may be missing. What was missed, and in which order, the client decides.

import { describeFailure } from "./failures.js";
import { identityOf } from "./messages.js";

const PAGE_SIZE = 50;

export class Feed {
  #channel = null;
  #origin = null; // the position at the first join
  #hasOlderPage = false; // a first page of older messages is shown
  #absence = null; // messages up to the offset `until` were missed: {until, first, count}
  #list;
  #show;
  #onChange;

  /** `show(message)` shows a message at the end and returns its entry. */
  constructor({ list, show, onChange }) {
    this.#list = list;
    this.#show = show;
    this.#onChange = onChange;
  }

  /** Show what the client hears in a room or as an agent. */
  follow(channel) {
    this.#channel = channel;
    channel.on("joined", ({ isFirst, position }) => this.#handleJoined(isFirst, position));
    channel.on("message", (message) => this.#accept(message));
    channel.on("gap", () => this.#showGap());
  }

  /** The connection was lost. */
  interrupt() {
    this.#endAbsence();
  }

  /** Shows a page of messages before the oldest one that is shown. */
  async loadOlder() {
    const { oldest } = this.#list;
    this.#list.top = "reading";
    // A page that ends with a known message is known to be of the same history.
    const page = await this.#requestHistory(
      oldest ? { before: oldest.offset + 1, limit: PAGE_SIZE + 1 } : { before: this.#origin.offset + 1, limit: PAGE_SIZE },
    );
    if (page === null || (oldest && this.#list.oldest !== oldest)) {
      this.#list.top = page === null ? "failed" : "more";
      return;
    }
    this.#hasOlderPage = true;
    const epoch = page.position?.epoch;
    const messages = oldest ? messagesBefore(oldest, page) : epoch === this.#origin.epoch ? page.messages : [];
    this.#list.prepend(messages.map((message) => ({ ...message, epoch })));
    this.#list.top = messages.length < PAGE_SIZE && !page.more ? "end" : "more";
    this.#onChange();
  }

  #handleJoined(isFirst, head) {
    const shown = this.#channel.position;
    if (isFirst) this.#origin = head;
    else if (head && head.epoch === shown?.epoch && head.offset > shown.offset) {
      this.#absence = { until: head.offset, first: null, count: 0 };
    }
    if (!this.#hasOlderPage && this.#list.top !== "reading" && this.#origin?.offset > 0) this.loadOlder();
  }

  #accept(message) {
    if (this.#list.has(message)) return;
    const entry = this.#show({ ...message, epoch: this.#channel.position?.epoch });
    if (this.#absence === null) return;
    if (!entry.own) {
      this.#absence.first ??= entry;
      this.#absence.count += 1;
    }
    if (message.offset >= this.#absence.until) this.#endAbsence();
  }

  #endAbsence() {
    const { first, count } = this.#absence ?? { count: 0 };
    this.#absence = null;
    if (count > 0) this.#list.noteBefore(first, `${count} ${count === 1 ? "message" : "messages"} while you were away`);
  }

  #showGap() {
    this.#absence = null;
    this.#list.showGap();
    this.#onChange();
  }

  /** A page of the history, or null if it can't be read. */
  async #requestHistory(bounds) {
    try {
      return await this.#channel.history(bounds);
    } catch (error) {
      describeFailure(error); // throws what is no failure
      return null;
    }
  }
}

function messagesBefore(oldest, { messages }) {
  const index = messages.findLastIndex((message) => identityOf(message) === oldest.identity);
  return messages.slice(0, Math.max(0, index));
}
