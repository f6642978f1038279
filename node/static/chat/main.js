// Puts the page together: address -> view -> session.

import { ChatSession } from "./chat.js";
import { agentHash, isName, loadIdentity, readAddress, roomsHash, saveIdentity } from "./memory.js";
import { AgentSession } from "./session.js";
import { View } from "./view.js";

let identity = loadIdentity();
let session = null;
let rooms = []; // as last seen in the chat view, so that a look at an agent does not lose them
let agentId = null;

const view = new View({
  join: (name) => session?.join(name),
  leave: (conversation) => session?.leave(conversation),
  show: (conversation) => session?.show(conversation),
  openAgent: (name) => {
    if (isName(name)) location.hash = agentHash(name);
    else view.notice("An agent is named with letters, digits and . _ : @ ~ - only.");
  },
  write: (userId, username) => session?.openPrivate(userId, username),
  askWho,
});

/** Where a session connects to; relative to the page, so that it also works behind a path prefix. */
function socketAddress(path) {
  return () => {
    const url = new URL(path, document.baseURI);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = new URLSearchParams({ user_id: identity.userId, username: identity.username });
    url.hash = "";
    return url;
  };
}

function start(SessionClass, path, fields) {
  session?.close();
  session = new SessionClass({
    ...fields,
    address: socketAddress(path),
    onChange: () => changed(),
    onNotice: (text) => view.notice(text),
  });
  session.connection.open();
}

/** Makes the page what its address says. */
function follow() {
  const address = readAddress(location.hash);
  if (address.view === "agent") followAgent(address.agentId);
  else followRooms(address.rooms);
}

function followAgent(wanted) {
  view.setMode("agent", wanted);
  if (wanted === null) {
    session?.close();
    session = null;
    view.update(null);
  } else if (!(session instanceof AgentSession) || agentId !== wanted) {
    agentId = wanted;
    start(AgentSession, `ws/agents/${encodeURIComponent(wanted)}`, { agentId: wanted });
  }
  remember();
}

function followRooms(wanted) {
  view.setMode("chat", null);
  if (session instanceof ChatSession) session.setRooms(wanted);
  else start(ChatSession, "ws", { rooms: wanted });
  remember();
}

function changed() {
  view.update(session);
  remember();
}

/** The address says what is open; it is replaced, not pushed, so that "back" leaves the page. */
function remember() {
  if (session instanceof ChatSession) {
    rooms = session.rooms.map(({ name }) => name);
    if (location.hash !== roomsHash(rooms)) history.replaceState(null, "", roomsHash(rooms));
  }
  view.setLinks({ rooms: roomsHash(rooms.length > 0 ? rooms : ["lobby"]), agent: agentHash(agentId ?? "") });
}

async function askWho() {
  const name = await view.askWho(identity);
  if (name === null) return;
  identity = saveIdentity(name, identity);
  view.setIdentity(identity);
  session?.connection.open();
}

async function begin() {
  identity ??= saveIdentity((await view.askWho(null)) ?? "", null);
  view.setIdentity(identity);
  follow();
  window.addEventListener("hashchange", follow);
  document.addEventListener("visibilitychange", () => document.hidden || session?.read());
}

begin();
