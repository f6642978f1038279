// The messages of one conversation: bounded, and in order.

import { build, line, setFate, setTime } from "./message.js";
import { insertAbove, Older } from "./older.js";

const MESSAGES_MAX = 500;
const ROOM_FOR_MORE = 100; // so that not every new message takes away one that the reader has just loaded
const SAME_BREATH_MS = 5 * 60 * 1000;
const COMINGS_IN_A_LINE = 20;
const NAMES_IN_A_LINE = 3;
const conjunction = new Intl.ListFormat("en", { type: "conjunction" });

/**
 * An entry is `{author, userId, own, at, text, element}`; with history also `{epoch, offset, identity}`; and when
 * written in this tab `{key, state, sessions, echoed, due}`: the sessions that have sent it, whether it has come back,
 * and the position that the node has given it.
 */
export class MessageList {
  element = document.createElement("ol");
  #entries = [];
  #identities = new Set();
  #max = MESSAGES_MAX;
  #older;
  #callbacks;
  #isOwn;

  constructor({ onAuthor, onAgain, onOlder, isOwn }) {
    this.#callbacks = { onAuthor, onAgain };
    this.#isOwn = isOwn;
    this.#older = new Older({ onOlder });
    this.element.className = "messages";
    this.element.append(this.#older.element);
  }

  /** Nothing was said; that somebody came is nothing to read. */
  get isEmpty() {
    return this.#entries.every(({ comings }) => comings !== undefined);
  }

  /** The first message that has a position; undefined if none has. */
  get oldest() {
    return this.#entries.find(({ offset }) => offset !== undefined);
  }

  /** What there is above: see Older. */
  set top(state) {
    this.#older.state = state;
  }

  get top() {
    return this.#older.state;
  }

  /** Of messages in order, those behind the last one that is shown. Offsets alone don't tell: epochs repeat them. */
  newIn(messages) {
    return messages.slice(messages.findLastIndex((message) => this.has(message)) + 1);
  }

  has(message) {
    return message.offset !== undefined && this.#identities.has(identityOf(message));
  }

  /** A message as the node says it, as the last one. One that was written here takes the place of what was shown of it. */
  receive(message) {
    const entry = this.#echoed(message) ?? this.#entryOf(message);
    this.#locate(entry, message);
    this.#place(entry);
    return entry;
  }

  /** Messages in order that were said before all others. */
  prepend(messages) {
    const entries = messages.map((message) => {
      const entry = this.#entryOf(message);
      this.#locate(entry, message);
      return entry;
    });
    insertAbove(this.element.parentElement, () => {
      entries.forEach((entry, index) => this.#insert(entry, index));
      this.#max = Math.max(this.#max, this.#entries.length + ROOM_FOR_MORE);
    });
  }

  /** A message written here; it stays below all others until it comes back and has its true place. */
  write({ userId, username, text, key }) {
    const entry = { userId, author: username, own: true, at: new Date(), text, key, sessions: new Set(), echoed: false };
    return build(entry, { text }, this.#callbacks);
  }

  /** Once more or for the first time. */
  send(entry, sessionId) {
    entry.sessions.add(sessionId);
    this.#remove(entry);
    this.mark(entry, "sending");
    this.#place(entry);
  }

  /** The node has published it, there. It may be here already: said by an earlier try, under the same key. */
  confirm(entry, { epoch, offset }) {
    const isThere = (other) => other !== entry && offset !== undefined && other.offset === offset && other.epoch === epoch;
    entry.due = { epoch, offset };
    if (!entry.echoed && this.#entries.some(isThere)) this.#remove(entry);
    else this.mark(entry, "sent");
  }

  mark(entry, state, fate) {
    entry.state = state;
    setFate(entry, state, fate);
  }

  /** What was said between those before and those to come may not all be here. */
  gap() {
    if (this.#entries[this.#end - 1]?.isGap) return;
    this.#place({ element: line("gap", "Some messages may be missing here."), isGap: true });
  }

  noteBefore(entry, text) {
    const index = this.#entries.indexOf(entry);
    if (index >= 0) this.#insert({ element: line("note", text) }, index);
  }

  /** Who came and who went, in one line where they do so in one breath; for each only the last of it. */
  comeOrGo({ userId, username, isHere }) {
    let entry = this.#entries[this.#end - 1];
    if (!entry?.comings || entry.comings.size >= COMINGS_IN_A_LINE || Date.now() - entry.at > SAME_BREATH_MS) {
      entry = { element: line("coming", ""), at: new Date(), comings: new Map() };
      this.#place(entry);
    }
    entry.comings.delete(userId);
    entry.comings.set(userId, { username, isHere });
    entry.element.textContent = comingsText([...entry.comings.values()]);
  }

  /** Where the next entry goes: above those that are still on their way. */
  get #end() {
    const found = this.#entries.findIndex(({ state }) => state === "sending");
    return found < 0 ? this.#entries.length : found;
  }

  #entryOf({ user_id: userId, username, content, timestamp }) {
    const author = username ?? userId ?? "Back end";
    const entry = { userId: userId ?? null, author, own: this.#isOwn(userId), at: new Date(timestamp) };
    return build(entry, content, this.#callbacks);
  }

  /** The entry of which this is the echo: by its position, or else since one of its sessions has said the same text. */
  #echoed({ epoch, offset, session_id: sessionId, content, timestamp }) {
    const waiting = this.#entries.filter(({ echoed }) => echoed === false);
    const isDue = ({ due }) => due?.offset !== undefined;
    const alike = waiting.filter((one) => !isDue(one) && one.sessions.has(sessionId) && one.text === content?.text);
    const entry = waiting.find((one) => isDue(one) && one.due.offset === offset && one.due.epoch === epoch)
      ?? alike.find(({ state }) => state !== "failed") ?? alike[0];
    if (!entry) return null;
    entry.echoed = true;
    setTime(entry, new Date(timestamp));
    this.mark(entry, "sent");
    this.#remove(entry);
    return entry;
  }

  #locate(entry, message) {
    if (message.offset === undefined) return;
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

  /** Who goes on talking needs no second name plate. */
  #group(index) {
    const entry = this.#entries[index];
    const before = this.#entries[index - 1];
    if (!entry) return;
    const goesOn = before?.author !== undefined && before.author === entry.author && before.userId === entry.userId
      && Math.abs(entry.at - before.at) < SAME_BREATH_MS;
    entry.element.classList.toggle("goes-on", goesOn);
  }
}

/** No two messages share this, whatever the epoch. */
export function identityOf({ offset, timestamp, session_id: sessionId, user_id: userId }) {
  return JSON.stringify([offset, timestamp, sessionId, userId]);
}

function comingsText(comings) {
  const names = (wanted) => comings.filter(({ isHere }) => isHere === wanted).map(({ username }) => username);
  return [[names(true), "joined"], [names(false), "left"]]
    .filter(([who]) => who.length > 0)
    .map(([who, verb]) => `${enumerated(who)} ${verb}`)
    .join(" · ");
}

function enumerated(names) {
  const shown = names.length > NAMES_IN_A_LINE + 1 ? names.slice(0, NAMES_IN_A_LINE) : names;
  const more = names.length - shown.length;
  return conjunction.format(more > 0 ? [...shown, `${more} others`] : shown);
}
