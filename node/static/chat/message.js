// One message as DOM: author, time, content, and whether it was sent. Its text is set as text, never as markup.

const TINTS = 8;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** `entry` is `{author, userId, own, at}`; its `element` is added. A click on the name of another user calls `onAuthor`. */
export function buildMessage(entry, content, { onAuthor, onSendAgain }) {
  const element = document.getElementById("message-template").content.firstElementChild.cloneNode(true);
  entry.element = element;
  element.dataset.own = String(entry.own);
  const avatar = element.querySelector(".avatar");
  avatar.textContent = initial(entry.author);
  avatar.classList.add(`tint-${tint(entry.userId ?? entry.author)}`);
  setAuthor(entry, onAuthor);
  setTime(entry, entry.at);
  setContent(element, content);
  element.querySelector(".again").addEventListener("click", () => onSendAgain(entry));
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
export function setFate({ element }, state, { fate = "", canSendAgain = false } = {}) {
  element.dataset.state = state;
  const fateLine = element.querySelector(".fate");
  fateLine.hidden = fate === "" && !canSendAgain;
  fateLine.querySelector(".fate-text").textContent = fate;
  fateLine.querySelector(".again").hidden = !canSendAgain;
}

/** A line between the messages that is not a message. */
export function buildNote(kind, text) {
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

/** `content` may be any JSON: its text is shown as text, all other fields as JSON. */
function setContent(element, content) {
  const { text, rest } = splitContent(content);
  const paragraph = element.querySelector(".text");
  const json = element.querySelector(".json");
  if (text === null) paragraph.remove();
  else paragraph.textContent = text;
  if (rest === undefined) json.remove();
  else json.textContent = JSON.stringify(rest, null, 2);
}

function splitContent(content) {
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
