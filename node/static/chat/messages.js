// The messages of one conversation: bounded, and in order.

import { buildMessage, buildNote, setFate, setTime } from "./message.js";
import { insertAbove, LoadOlder } from "./load-older.js";

const MESSAGES_MAX = 500;
const SPARE_MESSAGES = 100; // beyond what was loaded, so that a new message does not remove an older one at once
const GROUPED_WITHIN_MS = 5 * 60 * 1000;
const CHANGES_PER_LINE = 20;
const NAMES_PER_LINE = 3;
const conjunction = new Intl.ListFormat("en", { type: "conjunction" });

/**
 * An entry is `{author, userId, own, at, text, element}`; with history also `{epoch, offset, identity}`; and when
 * written in this tab `{key, state, sessions, echoed, confirmed}`: the sessions that have sent it, whether it was received
 * as a message, and the position that the node has confirmed.
 */
export class MessageList {
  element = document.createElement("ol");
  #entries = [];
  #identities = new Set();
  #max = MESSAGES_MAX;
  #loadOlder;
  #callbacks;
  #isOwn;

  constructor({ onAuthor, onSendAgain, onLoadOlder, isOwn }) {
    this.#callbacks = { onAuthor, onSendAgain };
    this.#isOwn = isOwn;
    this.#loadOlder = new LoadOlder({ onLoad: onLoadOlder });
    this.element.className = "messages";
    this.element.append(this.#loadOlder.element);
  }

  /** Whether there are no messages. Joins and leaves are none. */
  get isEmpty() {
    return this.#entries.every(({ changes }) => changes !== undefined);
  }

  /** The first message that has a position; undefined if none has. */
  get oldest() {
    return this.#entries.find(({ offset }) => offset !== undefined);
  }

  /** The state of the top: see LoadOlder. */
  set top(state) {
    this.#loadOlder.state = state;
  }

  get top() {
    return this.#loadOlder.state;
  }

  /** Of ordered messages, those after the last one that is shown. Offsets do not tell: another epoch may repeat them. */
  listNew(messages) {
    return messages.slice(messages.findLastIndex((message) => this.has(message)) + 1);
  }

  has(message) {
    return message.offset !== null && this.#identities.has(identityOf(message));
  }

  /** Adds a received message as the last one. A message written in this tab replaces what was shown when it was sent. */
  receive(message) {
    const entry = this.#takeWritten(message) ?? this.#buildEntry(message);
    this.#setPosition(entry, message);
    this.#place(entry);
    return entry;
  }

  /** Adds ordered messages that are older than all others. */
  prepend(messages) {
    const entries = messages.map((message) => {
      const entry = this.#buildEntry(message);
      this.#setPosition(entry, message);
      return entry;
    });
    insertAbove(this.element.parentElement, () => {
      entries.forEach((entry, index) => this.#insert(entry, index));
      this.#max = Math.max(this.#max, this.#entries.length + SPARE_MESSAGES);
    });
  }

  /** Adds a message written in this tab. It stays below all others until it is received and has its final place. */
  write({ userId, username, text, key }) {
    const entry = { userId, author: username, own: true, at: new Date(), text, key, sessions: new Set(), echoed: false };
    return buildMessage(entry, { text }, this.#callbacks);
  }

  /** Messages that are being sent may be published by this session too. */
  addSession(sessionId) {
    for (const { state, sessions } of this.#entries) if (state === "sending") sessions.add(sessionId);
  }

  /** Marks a message as being sent, for the first time or again. */
  send(entry, sessionId) {
    entry.sessions.add(sessionId);
    this.#remove(entry);
    this.mark(entry, "sending");
    this.#place(entry);
  }

  /** The node has published it at this position. An earlier try with the same key may have been received already. */
  confirm(entry, { epoch, offset }) {
    const isThere = (other) => other !== entry && offset !== undefined && other.offset === offset && other.epoch === epoch;
    entry.confirmed = { epoch, offset };
    if (!entry.echoed && this.#entries.some(isThere)) this.#remove(entry);
    else this.mark(entry, "sent");
  }

  mark(entry, state, fate) {
    entry.state = state;
    setFate(entry, state, fate);
  }

  /** Adds a line that says that messages may be missing here. */
  showGap() {
    if (this.#entries[this.#end - 1]?.isGap) return;
    this.#place({ element: buildNote("gap", "Some messages may be missing here."), isGap: true });
  }

  noteBefore(entry, text) {
    const index = this.#entries.indexOf(entry);
    if (index >= 0) this.#insert({ element: buildNote("note", text) }, index);
  }

  /** Shows that a user joined or left. Changes in quick succession share a line, with the last one of each user. */
  showPresenceChange({ userId, username, isHere }) {
    let entry = this.#entries[this.#end - 1];
    if (!entry?.changes || entry.changes.size >= CHANGES_PER_LINE || Date.now() - entry.at > GROUPED_WITHIN_MS) {
      entry = { element: buildNote("coming", ""), at: new Date(), changes: new Map() };
      this.#place(entry);
    }
    entry.changes.delete(userId);
    entry.changes.set(userId, { username, isHere });
    entry.element.textContent = describeChanges([...entry.changes.values()]);
  }

  /** The index of the next entry: above those that are being sent. */
  get #end() {
    const found = this.#entries.findIndex(({ state }) => state === "sending");
    return found < 0 ? this.#entries.length : found;
  }

  #buildEntry({ userId, username, content, timestamp }) {
    const author = username ?? userId ?? "Back end";
    const entry = { userId: userId ?? null, author, own: this.#isOwn(userId), at: new Date(timestamp) };
    return buildMessage(entry, content, this.#callbacks);
  }

  /** Takes out the entry that was written here and is now received: the one with its position, else with its text. */
  #takeWritten({ epoch, offset, sessionId, content, timestamp }) {
    const waiting = this.#entries.filter(({ echoed }) => echoed === false);
    const isConfirmed = ({ confirmed }) => confirmed?.offset !== undefined;
    const alike = waiting.filter((one) => !isConfirmed(one) && one.sessions.has(sessionId) && one.text === content?.text);
    const entry = waiting.find((one) => isConfirmed(one) && one.confirmed.offset === offset && one.confirmed.epoch === epoch)
      ?? alike.find(({ state }) => state !== "failed") ?? alike[0];
    if (!entry) return null;
    entry.echoed = true;
    setTime(entry, new Date(timestamp));
    this.mark(entry, "sent");
    this.#remove(entry);
    return entry;
  }

  #setPosition(entry, message) {
    if (message.offset === null) return;
    Object.assign(entry, { epoch: message.epoch, offset: message.offset, identity: identityOf(message) });
  }

  #place(entry) {
    this.#insert(entry, entry.state === "sending" ? this.#entries.length : this.#end);
    while (this.#entries.length > this.#max) {
      if (this.#entries[0].offset !== undefined) this.top = "more";
      this.#remove(this.#entries[0]);
    }
  }

  #insert(entry, index) {
    this.element.insertBefore(entry.element, this.#entries[index]?.element ?? null);
    this.#entries.splice(index, 0, entry);
    if (entry.identity !== undefined) this.#identities.add(entry.identity);
    this.#group(index);
    this.#group(index + 1);
  }

  #remove(entry) {
    const index = this.#entries.indexOf(entry);
    if (index < 0) return;
    this.#entries.splice(index, 1);
    this.#identities.delete(entry.identity);
    entry.element.remove();
    this.#group(index);
  }

  /** Consecutive messages of one author are grouped: only the first shows the name. */
  #group(index) {
    const entry = this.#entries[index];
    const before = this.#entries[index - 1];
    if (!entry) return;
    const isGrouped = before?.author !== undefined && before.author === entry.author && before.userId === entry.userId
      && Math.abs(entry.at - before.at) < GROUPED_WITHIN_MS;
    entry.element.classList.toggle("grouped", isGrouped);
  }
}

/** No two messages share this, whatever the epoch. */
export function identityOf({ offset, timestamp, sessionId, userId }) {
  return JSON.stringify([offset, timestamp, sessionId, userId]);
}

function describeChanges(changes) {
  const names = (wanted) => changes.filter(({ isHere }) => isHere === wanted).map(({ username }) => username);
  return [[names(true), "joined"], [names(false), "left"]]
    .filter(([who]) => who.length > 0)
    .map(([who, verb]) => `${joinNames(who)} ${verb}`)
    .join(" · ");
}

function joinNames(names) {
  const shown = names.length > NAMES_PER_LINE + 1 ? names.slice(0, NAMES_PER_LINE) : names;
  const more = names.length - shown.length;
  return conjunction.format(more > 0 ? [...shown, `${more} others`] : shown);
}
