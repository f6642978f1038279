// The list of people in a conversation, opened and closed by the count above it. On a narrow screen the list covers the
// messages.

import { $, setText } from "./dom.js";
import { initial, tint } from "./message.js";

const LISTED_MAX = 50;
const ANNOUNCE_AFTER_MS = 1000; // announce a count once it has not changed for this long
const NARROW = window.matchMedia("(max-width: 960px)");
const WORDS = {
  room: { title: "People here", one: "person", many: "people", session: "tabs" },
  agent: { title: "Sessions", one: "session", many: "sessions", session: "sessions" },
};

export class PeopleView {
  #onOpen;
  #onWrite;
  #isOpen = !NARROW.matches;
  #drawn = ""; // the state from which the list was drawn, as JSON
  #rows = new Map(); // user id -> its <li>
  #announced = "";
  #announceTimer = 0;

  /** `onOpen()` is called when the list is opened, `onWrite(userId, username)` when a person in it is clicked. */
  constructor({ onOpen, onWrite }) {
    this.#onOpen = onOpen;
    this.#onWrite = onWrite;
    $("people-toggle").addEventListener("click", () => this.#toggle(!this.#isOpen));
    $("people").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#closeOverlay();
    });
    NARROW.addEventListener("change", () => this.#toggle(!NARROW.matches, { takesFocus: false }));
  }

  update(conversation, session) {
    const words = WORDS[conversation?.kind];
    const isKnown = words !== undefined && conversation.people.count !== null;
    $("people-toggle").hidden = !isKnown;
    $("people-toggle").setAttribute("aria-expanded", String(this.#isOpen));
    $("people").hidden = !isKnown || !this.#isOpen;
    if (!isKnown) {
      this.#announce("");
      return;
    }
    const { people } = conversation;
    const isCurrent = session.isLive && conversation.joined;
    const count = conversation.kind === "agent" ? people.sessions : people.count;
    const counted = `${count.toLocaleString()} ${count === 1 ? words.one : words.many}`;
    $("people-toggle").dataset.current = $("people").dataset.current = String(isCurrent);
    setText($("people-count"), counted);
    setText($("people-title"), words.title);
    if (isCurrent) this.#announce(`${counted} in ${conversation.title}`);
    const drawnFrom = JSON.stringify([conversation.key, people.revision, session.me]);
    if (drawnFrom === this.#drawn) return;
    this.#drawn = drawnFrom;
    this.#drawList(conversation, session.me, words);
  }

  #drawList({ kind, people }, me, words) {
    const users = people.listUsers(me, LISTED_MAX);
    this.#rows = new Map(users.map((user) => [user.userId, this.#updateRow(user, kind, words)]));
    const rows = [...this.#rows.values()];
    const list = $("people-list");
    for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
    // A row is moved only if its place changed: a button that is moved loses the focus.
    rows.forEach((row, index) => {
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    const more = people.count - users.length;
    $("people-more").hidden = more <= 0;
    setText($("people-more"), `and ${more.toLocaleString()} more`);
  }

  #updateRow(user, kind, words) {
    const canWrite = kind === "room" && !user.isMe;
    const kept = this.#rows.get(user.userId);
    const row = kept?.dataset.canWrite === String(canWrite) ? kept : newRow(canWrite);
    row.dataset.userId = user.userId;
    row.dataset.canWrite = String(canWrite);
    const person = row.querySelector(".person");
    person.title = `${user.username} (${user.userId})`;
    person.onclick = canWrite ? () => this.#openPrivate(user) : null;
    const avatar = row.querySelector(".person-avatar");
    setText(avatar, initial(user.username));
    avatar.className = `person-avatar tint-${tint(user.userId)}`;
    setText(row.querySelector(".person-name"), user.username);
    setText(row.querySelector(".person-you"), user.isMe ? "(you)" : "");
    setText(row.querySelector(".person-sessions"), user.sessions > 1 ? `${user.sessions} ${words.session}` : "");
    return row;
  }

  #openPrivate({ userId, username }) {
    if (NARROW.matches) this.#toggle(false);
    this.#onWrite(userId, username);
  }

  #toggle(isOpen, { takesFocus = true } = {}) {
    this.#isOpen = isOpen;
    $("people-toggle").setAttribute("aria-expanded", String(isOpen));
    $("people").hidden = !isOpen || $("people-toggle").hidden;
    if (!isOpen) return;
    if (takesFocus) $("people").focus();
    this.#onOpen();
  }

  /** Closes the list where it covers the messages, and returns the focus to the button. */
  #closeOverlay() {
    if (!NARROW.matches) return;
    this.#toggle(false);
    $("people-toggle").focus();
  }

  /** Announces a count to screen readers, once it has stopped changing, and not the same one twice. */
  #announce(text) {
    if (text === this.#announced) return;
    this.#announced = text;
    clearTimeout(this.#announceTimer);
    this.#announceTimer = setTimeout(() => setText($("people-said"), text), ANNOUNCE_AFTER_MS);
  }
}

/** A person who can get a private message is a button. */
function newRow(canWrite) {
  const row = $("person-template").content.firstElementChild.cloneNode(true);
  if (!canWrite) return row;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "person";
  button.append(...row.querySelector(".person").childNodes);
  row.querySelector(".person").replaceWith(button);
  return row;
}
