// Who is here, as the reader sees it: the count above the conversation opens and closes the list beside it.
// On a narrow screen the list lies over the messages and goes away again.

import { $, setText } from "./dom.js";
import { initial, tint } from "./message.js";

const LISTED_MAX = 50;
const SAID_AFTER_MS = 1000; // a count that goes on changing is not read out
const NARROW = window.matchMedia("(max-width: 960px)");
const WORDS = {
  room: { title: "People here", one: "person", many: "people", session: "tabs" },
  agent: { title: "Sessions", one: "session", many: "sessions", session: "sessions" },
};

export class Roster {
  #onLook;
  #onWrite;
  #isOpen = !NARROW.matches;
  #drawn = ""; // what the list was drawn from
  #rows = new Map(); // user id -> its <li>
  #counted = "";
  #sayTimer = 0;

  /** `onLook()`: the list was opened; `onWrite(userId, username)`: somebody in it was chosen. */
  constructor({ onLook, onWrite }) {
    this.#onLook = onLook;
    this.#onWrite = onWrite;
    $("people-toggle").addEventListener("click", () => this.#toggle(!this.#isOpen));
    $("people").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#putAside();
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
      this.#say("");
      return;
    }
    const { people } = conversation;
    const isCurrent = session.connection.live && conversation.joined;
    const count = conversation.kind === "agent" ? people.sessions : people.count;
    const counted = `${count.toLocaleString()} ${count === 1 ? words.one : words.many}`;
    $("people-toggle").dataset.current = $("people").dataset.current = String(isCurrent);
    setText($("people-count"), counted);
    setText($("people-title"), words.title);
    if (isCurrent) this.#say(`${counted} in ${conversation.title}`);
    const drawnFrom = JSON.stringify([conversation.key, people.revision, session.me]);
    if (drawnFrom === this.#drawn) return;
    this.#drawn = drawnFrom;
    this.#draw(conversation, session.me, words);
  }

  #draw({ kind, people }, me, words) {
    const users = people.listed(me, LISTED_MAX);
    this.#rows = new Map(users.map((user) => [user.userId, this.#row(user, kind, words)]));
    const rows = [...this.#rows.values()];
    const list = $("people-list");
    for (const row of [...list.children]) if (!rows.includes(row)) row.remove();
    // Those that stay are not moved without need: a button that moves loses its focus.
    rows.forEach((row, index) => {
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null);
    });
    const more = people.count - users.length;
    $("people-more").hidden = more <= 0;
    setText($("people-more"), `and ${more.toLocaleString()} more`);
  }

  #row(user, kind, words) {
    const canWrite = kind === "room" && !user.isMe;
    const kept = this.#rows.get(user.userId);
    const row = kept?.dataset.canWrite === String(canWrite) ? kept : newRow(canWrite);
    row.dataset.userId = user.userId;
    row.dataset.canWrite = String(canWrite);
    const person = row.querySelector(".person");
    person.title = `${user.username} (${user.userId})`;
    person.onclick = canWrite ? () => this.#write(user) : null;
    const avatar = row.querySelector(".person-avatar");
    setText(avatar, initial(user.username));
    avatar.className = `person-avatar tint-${tint(user.userId)}`;
    setText(row.querySelector(".person-name"), user.username);
    setText(row.querySelector(".person-you"), user.isMe ? "(you)" : "");
    setText(row.querySelector(".person-sessions"), user.sessions > 1 ? `${user.sessions} ${words.session}` : "");
    return row;
  }

  #write({ userId, username }) {
    if (NARROW.matches) this.#toggle(false);
    this.#onWrite(userId, username);
  }

  #toggle(isOpen, { takesFocus = true } = {}) {
    this.#isOpen = isOpen;
    $("people-toggle").setAttribute("aria-expanded", String(isOpen));
    $("people").hidden = !isOpen || $("people-toggle").hidden;
    if (!isOpen) return;
    if (takesFocus) $("people").focus();
    this.#onLook();
  }

  /** Only where it covers something; the focus goes back to where it came from. */
  #putAside() {
    if (!NARROW.matches) return;
    this.#toggle(false);
    $("people-toggle").focus();
  }

  /** For those who do not see the count: once it rests, and never the same twice. */
  #say(text) {
    if (text === this.#counted) return;
    this.#counted = text;
    clearTimeout(this.#sayTimer);
    this.#sayTimer = setTimeout(() => setText($("people-said"), text), SAID_AFTER_MS);
  }
}

/** A person who can be written to is a button. */
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
