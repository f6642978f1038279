// The messages of one conversation, as DOM: bounded, in order, and never built from foreign markup.

const MESSAGES_MAX = 500;
const SAME_BREATH_MS = 5 * 60 * 1000;
const TINTS = 8;
const COMINGS_IN_A_LINE = 20;
const NAMES_IN_A_LINE = 3;
const conjunction = new Intl.ListFormat("en", { type: "conjunction" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/**
 * An entry is `{author, userId, own, at, text, element}` and, when written in this tab, also
 * `{key, state: "sending" | "sent" | "failed", sessionId, echoed}`.
 */
export class MessageList {
  element = document.createElement("ol");
  #entries = [];
  #onAuthor;
  #onAgain;

  constructor({ onAuthor, onAgain }) {
    this.element.className = "messages";
    this.#onAuthor = onAuthor;
    this.#onAgain = onAgain;
  }

  /** Nothing was said; that somebody came is nothing to read. */
  get isEmpty() {
    return this.#entries.every(({ comings }) => comings !== undefined);
  }

  /** A message as the node says it. */
  receive({ user_id: userId, username, content, timestamp, own }) {
    const entry = { userId: userId ?? null, author: username ?? userId ?? "Back end", own, at: new Date(timestamp) };
    this.#place(this.#build(entry, content));
  }

  /** A message written here; it stays below all others until its echo gives it its true place. */
  write({ userId, username, text, key }) {
    const entry = { userId, author: username, own: true, at: new Date(), text, key, sessionId: null, echoed: false };
    this.#place(this.#build(entry, { text }));
    return entry;
  }

  /** Takes a message for the echo of one written here, if it is: the same session said the same text. */
  echo({ session_id: sessionId, content, timestamp }) {
    const entry = this.#entries.find(
      (candidate) => candidate.echoed === false && candidate.sessionId === sessionId && candidate.text === content?.text,
    );
    if (!entry) return false;
    entry.echoed = true;
    this.#setTime(entry, new Date(timestamp));
    this.mark(entry, "sent");
    this.#remove(entry);
    this.#place(entry);
    return true;
  }

  mark(entry, state, { fate = "", canRepeat = false } = {}) {
    entry.state = state;
    entry.element.dataset.state = state;
    const line = entry.element.querySelector(".fate");
    line.hidden = fate === "" && !canRepeat;
    line.querySelector(".fate-text").textContent = fate;
    line.querySelector(".again").hidden = !canRepeat;
  }

  /** A quiet line of our own between the messages. */
  note(text) {
    const element = document.createElement("li");
    element.className = "note";
    element.dataset.testid = "note";
    element.textContent = text;
    this.#place({ element, userId: null, own: false, at: new Date() });
  }

  /** Who came and who went, in one line where they do so in one breath; for each only the last of it. */
  comeOrGo({ userId, username, isHere }) {
    let entry = this.#entries[this.#end - 1];
    if (!entry?.comings || entry.comings.size >= COMINGS_IN_A_LINE || Date.now() - entry.at > SAME_BREATH_MS) {
      const element = document.createElement("li");
      element.className = "coming";
      element.dataset.testid = "coming";
      entry = { element, userId: null, own: false, at: new Date(), comings: new Map() };
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

  #place(entry) {
    const index = entry.state === "sending" ? this.#entries.length : this.#end;
    this.element.insertBefore(entry.element, this.#entries[index]?.element ?? null);
    this.#entries.splice(index, 0, entry);
    this.#group(index);
    this.#group(index + 1);
    if (this.#entries.length > MESSAGES_MAX) {
      this.#remove(this.#entries[0]);
    }
  }

  #remove(entry) {
    const index = this.#entries.indexOf(entry);
    this.#entries.splice(index, 1);
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

  #build(entry, content) {
    const element = document.getElementById("message-template").content.firstElementChild.cloneNode(true);
    entry.element = element;
    element.dataset.own = String(entry.own);
    const avatar = element.querySelector(".avatar");
    avatar.textContent = initial(entry.author);
    avatar.classList.add(`tint-${tint(entry.userId ?? entry.author)}`);
    this.#setAuthor(entry);
    this.#setTime(entry, entry.at);
    setContent(element, content);
    element.querySelector(".again").addEventListener("click", () => this.#onAgain(entry));
    return entry;
  }

  /** The name of somebody else opens a private conversation. */
  #setAuthor({ element, author, userId, own }) {
    const plain = element.querySelector(".author");
    plain.textContent = author;
    if (own || userId === null || !this.#onAuthor) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "author";
    button.dataset.testid = plain.dataset.testid;
    button.title = `Write to ${author} in private`;
    button.textContent = author;
    button.addEventListener("click", () => this.#onAuthor(userId, author));
    plain.replaceWith(button);
  }

  #setTime(entry, at) {
    if (Number.isNaN(at.getTime())) return;
    entry.at = at;
    const time = entry.element.querySelector(".time");
    time.dateTime = at.toISOString();
    time.title = calendar.format(at);
    time.textContent = clock.format(at);
  }
}

/** `content` may be any JSON: text is shown as text, the rest as itself. */
function setContent(element, content) {
  const { text, rest } = readable(content);
  const paragraph = element.querySelector(".text");
  const json = element.querySelector(".json");
  if (text === null) paragraph.remove();
  else paragraph.textContent = text;
  if (rest === undefined) json.remove();
  else json.textContent = JSON.stringify(rest, null, 2);
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

function readable(content) {
  if (typeof content === "string") return { text: content };
  if (typeof content?.text !== "string") return { text: null, rest: content ?? null };
  const { text, ...rest } = content;
  return { text, rest: Object.keys(rest).length > 0 ? rest : undefined };
}

export function initial(name) {
  return (Array.from(name.trim())[0] ?? "?").toUpperCase();
}

export function tint(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 65521;
  return sum % TINTS;
}
