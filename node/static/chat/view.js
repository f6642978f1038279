// The page around the messages: header, tabs, composer. It updates the DOM and makes no decisions.

import { $, setCurrent, setText } from "./dom.js";
import { ConnectionStatus } from "./connection-status.js";
import { initial, tint } from "./message.js";
import { PeopleView } from "./people-view.js";

const NOTICE_SHOWN_MS = 8000;
const AT_END_PX = 60;

export class View {
  #actions;
  #session = null;
  #shown = null;
  #tabs = new WeakMap(); // conversation -> its <li>
  #isAtEnd = true;
  #scrolledTo = 0;
  #sizes;
  #connectionStatus = new ConnectionStatus({ onOpen: () => this.#session.connection.open() });
  #peopleView;
  #noticeTimer = 0;

  constructor(actions) {
    this.#actions = actions;
    this.#bindSide();
    this.#bindComposer();
    this.#bindScroller();
    $("you").addEventListener("click", () => actions.changeUser());
    this.#peopleView = new PeopleView({ onOpen: () => this.#session?.refreshPeople(), onWrite: actions.write });
  }

  /** Draws a session. Called after every change, so it updates only what differs. */
  update(session) {
    this.#session = session;
    this.#drawShown(session?.shown ?? null);
    this.#connectionStatus.update(session?.state ?? { name: "idle" }, session?.isBusDown ?? false);
    this.#drawComposer();
    this.#peopleView.update(this.#shown, session);
    this.#drawTabs($("room-tabs"), session?.rooms ?? []);
    this.#drawTabs($("private-tabs"), session?.privates ?? []);
    $("private-title").hidden = (session?.privates ?? []).length === 0;
    setText($("agent-session"), session?.me.sessionId ?? "–");
    const unread = session?.unread ?? 0;
    const place = this.#shown ? `${this.#shown.title} · Tannoy` : "Tannoy";
    document.title = unread > 0 ? `(${unread}) ${place}` : place;
  }

  setMode(mode, agentId) {
    const agent = mode === "agent";
    $("view").dataset.testid = agent ? "agent-view" : "chat-view";
    $("rooms-side").hidden = agent;
    $("agent-side").hidden = !agent;
    $("agent-facts").hidden = !agentId;
    $("open-agent-id").value = agentId ?? "";
    setCurrent($("to-rooms"), !agent);
    setCurrent($("to-agent"), agent);
    if (agent && !agentId) $("open-agent-id").focus();
  }

  setLinks({ rooms, agent }) {
    $("to-rooms").href = rooms;
    $("to-agent").href = agent;
  }

  /** `change` says what a click on the user does. */
  setIdentity({ username, userId, change }) {
    const you = $("you");
    you.className = `you tint-${tint(userId)}`;
    setText(you, initial(username));
    you.title = `${username} (${userId})`;
    you.setAttribute("aria-label", `You are ${username}. ${change}`);
  }

  notice(text) {
    const notice = $("notice");
    notice.textContent = text;
    notice.hidden = false;
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => { notice.hidden = true; }, NOTICE_SHOWN_MS);
  }

  #bindSide() {
    onSubmit("add-room", "add-room-name", (name, input) => { input.value = ""; this.#actions.join(name); });
    onSubmit("open-agent", "open-agent-id", (agentId) => this.#actions.openAgent(agentId));
    $("leave").addEventListener("click", () => this.#actions.leave(this.#shown));
  }

  #bindComposer() {
    const text = $("text");
    text.addEventListener("input", () => {
      this.#fitTextBox();
      this.#drawComposer();
      if (text.value.trim() !== "" && this.#session?.isLive && this.#shown) this.#session.sendTyping(this.#shown);
    });
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#sendText();
    });
    $("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendText();
      text.focus();
    });
  }

  /** At the end of the messages, stay there when messages are added, the text box grows or a keyboard opens. */
  #bindScroller() {
    const scroller = $("scroller");
    const handleScroll = () => {
      const { scrollTop, scrollHeight, clientHeight } = scroller;
      // New messages change the distance to the end too: only scrolling up leaves the end.
      if (scrollHeight - scrollTop - clientHeight < AT_END_PX) this.#setAtEnd(true);
      else if (scrollTop < this.#scrolledTo) this.#setAtEnd(false);
      this.#scrolledTo = scrollTop;
    };
    scroller.addEventListener("scroll", handleScroll);
    scroller.addEventListener("click", handleScroll); // a click may change the content before the scroll event
    const follow = () => { if (this.#isAtEnd) scroller.scrollTop = scroller.scrollHeight; };
    this.#sizes = new ResizeObserver(follow);
    this.#sizes.observe(scroller);
    $("latest").addEventListener("click", () => { scroller.scrollTop = scroller.scrollHeight; });
  }

  #setAtEnd(isAtTheEnd) {
    this.#isAtEnd = isAtTheEnd;
    $("scroller").classList.toggle("at-the-end", isAtTheEnd);
    $("latest").hidden = isAtTheEnd;
  }

  /** Sends the text of the box. Without a connection, or if it is too long, it stays in the box. */
  #sendText() {
    const box = $("text");
    const text = box.value.trim();
    if (text === "" || !this.#shown) return;
    if (!this.#session.isLive || this.#excessBytes() > 0) {
      this.#drawComposer();
      return;
    }
    box.value = "";
    this.#fitTextBox();
    this.#setAtEnd(true);
    this.#session.sendMessage(this.#shown, text);
  }

  #fitTextBox() {
    const box = $("text");
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }

  #drawShown(conversation) {
    if (conversation !== this.#shown) this.#switchConversation(conversation);
    const { kind = "none", title = "Nothing is open", name = "" } = conversation ?? {};
    setText($("title"), title);
    $("title").dataset.kind = kind;
    setText($("subtitle"), subtitle(conversation));
    $("leave").hidden = kind === "none" || kind === "agent";
    setText($("leave"), kind === "private" ? "Close" : "Leave");
    $("empty").hidden = conversation !== null && !conversation.messages.isEmpty;
    setText($("empty"), emptyText(kind, name, title));
    $("composer").hidden = $("hint").hidden = conversation === null;
    setText($("typing"), typingText([...(conversation?.typists.values() ?? [])].map(({ username }) => username)));
  }

  #switchConversation(conversation) {
    const box = $("text");
    if (this.#shown) this.#shown.draft = box.value;
    this.#shown = conversation;
    this.#setAtEnd(true);
    this.#scrolledTo = 0;
    this.#sizes.disconnect();
    $("scroller").replaceChildren(...(conversation ? [conversation.messages.element] : []));
    this.#sizes.observe($("scroller"));
    if (conversation) this.#sizes.observe(conversation.messages.element);
    box.value = conversation?.draft ?? "";
    this.#fitTextBox();
  }

  #drawComposer() {
    const cannotWrite = !this.#shown || (this.#shown.kind === "private" && this.#shown.name === "");
    $("text").disabled = cannotWrite;
    const excess = this.#excessBytes();
    $("send").disabled = cannotWrite || !this.#session?.isLive || excess > 0;
    this.#drawHint(excess);
  }

  /** Bytes by which the text of the box is too long to be sent; 0 or less if it is not. */
  #excessBytes() {
    const text = $("text").value.trim();
    return text === "" || !this.#shown ? 0 : this.#session.excessBytes(this.#shown, text);
  }

  #drawHint(excess) {
    const waiting = $("text").value.trim() !== "" && this.#shown && !this.#session?.isLive;
    const hint = $("hint");
    hint.classList.toggle("hint-offline", Boolean(waiting) || excess > 0);
    if (waiting) setText(hint, "Not connected. Your text stays here until the connection is back.");
    else if (excess > 0) setText(hint, `Too long to send, by ${excess} ${excess === 1 ? "byte" : "bytes"}.`);
    else setText(hint, "Enter sends, Shift + Enter starts a new line");
  }

  #drawTabs(list, conversations) {
    const wanted = conversations.map((conversation) => this.#updateTab(conversation));
    const same = list.children.length === wanted.length && wanted.every((tab, index) => list.children[index] === tab);
    if (!same) list.replaceChildren(...wanted);
  }

  #updateTab(conversation) {
    const tab = this.#tabs.get(conversation) ?? this.#newTab(conversation);
    const unread = tab.querySelector(".unread");
    const count = conversation.unread > 99 ? "99+" : String(conversation.unread);
    const button = tab.querySelector(".tab");
    button.dataset.joined = String(conversation.joined);
    this.#setShown(button, conversation === this.#shown);
    unread.hidden = conversation.unread === 0;
    setText(unread, count);
    unread.setAttribute("aria-label", `${count} unread`);
    return tab;
  }

  #setShown(button, isShown) {
    if (isShown === button.hasAttribute("aria-current")) return;
    setCurrent(button, isShown);
    if (isShown) requestAnimationFrame(() => button.scrollIntoView({ block: "nearest", inline: "nearest" }));
  }

  #newTab(conversation) {
    const tab = $("tab-template").content.firstElementChild.cloneNode(true);
    const button = tab.querySelector(".tab");
    button.dataset.testid = `${conversation.kind}-tab`;
    button.dataset.name = conversation.name;
    const sign = tab.querySelector(".tab-sign");
    if (conversation.kind === "private") sign.classList.add("tab-person", `tint-${tint(conversation.name)}`);
    sign.textContent = conversation.kind === "private" ? initial(conversation.title) : "#";
    tab.querySelector(".tab-name").textContent = conversation.title;
    button.title = conversation.title;
    button.addEventListener("click", () => this.#actions.show(conversation));
    this.#tabs.set(conversation, tab);
    return tab;
  }
}

function onSubmit(formId, inputId, act) {
  $(formId).addEventListener("submit", (event) => {
    event.preventDefault();
    const input = $(inputId);
    const value = input.value.trim().replace(/^#/, "");
    if (value === "") input.focus();
    else act(value, input);
  });
}

function subtitle(conversation) {
  if (!conversation) return "";
  if (!conversation.joined) return "Joining…";
  if (conversation.kind === "private") return conversation.name ? `Private · ${conversation.name}` : "A message to you alone";
  return conversation.kind === "agent" ? "Every session of this agent receives these messages" : "";
}

function emptyText(kind, name, title) {
  switch (kind) {
    case "room":
      return `No recent messages in ${name}. Say hello!`;
    case "private":
      return `Only ${title} receives what you write here.`;
    case "agent":
      return `No recent messages to this agent. Write below, or POST to /api/v1/agents/${name}/messages.`;
    default:
      return "Choose a room or an agent.";
  }
}

function typingText(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return `${names[0]}, ${names[1]} and others are typing…`;
}
