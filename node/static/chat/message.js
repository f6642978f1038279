// One message as DOM, never built from foreign markup: who said it, when, what, and what became of it.

const TINTS = 8;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** `entry` is `{author, userId, own, at}`; it gets its `element`. The name of somebody else leads to `onAuthor`. */
export function build(entry, content, { onAuthor, onAgain }) {
  const element = document.getElementById("message-template").content.firstElementChild.cloneNode(true);
  entry.element = element;
  element.dataset.own = String(entry.own);
  const avatar = element.querySelector(".avatar");
  avatar.textContent = initial(entry.author);
  avatar.classList.add(`tint-${tint(entry.userId ?? entry.author)}`);
  setAuthor(entry, onAuthor);
  setTime(entry, entry.at);
  setContent(element, content);
  element.querySelector(".again").addEventListener("click", () => onAgain(entry));
  return entry;
}

export function setTime(entry, at) {
  if (Number.isNaN(at.getTime())) return;
  entry.at = at;
  const time = entry.element.querySelector(".time");
  time.dateTime = at.toISOString();
  time.title = calendar.format(at);
  time.textContent = clock.format(at);
}

/** `state` is "sending", "sent" or "failed". */
export function setFate({ element }, state, { fate = "", canRepeat = false } = {}) {
  element.dataset.state = state;
  const line = element.querySelector(".fate");
  line.hidden = fate === "" && !canRepeat;
  line.querySelector(".fate-text").textContent = fate;
  line.querySelector(".again").hidden = !canRepeat;
}

/** A quiet line of our own between the messages. */
export function line(kind, text) {
  const element = document.createElement("li");
  element.className = kind === "coming" ? "coming" : "note";
  element.dataset.testid = kind;
  element.textContent = text;
  return element;
}

function setAuthor({ element, author, userId, own }, onAuthor) {
  const plain = element.querySelector(".author");
  plain.textContent = author;
  if (own || userId === null || !onAuthor) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "author";
  button.dataset.testid = plain.dataset.testid;
  button.title = `Write to ${author} in private`;
  button.textContent = author;
  button.addEventListener("click", () => onAuthor(userId, author));
  plain.replaceWith(button);
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
