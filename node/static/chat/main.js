// Builds the page: address -> view -> user -> session.

import { ChatSession } from "./chat.js";
import { NamedUser } from "./named-user.js";
import { agentHash, isName, readAddress, roomsHash } from "./storage.js";
import { AgentSession } from "./session.js";
import { takeTokenFromAddress } from "./token.js";
import { TokenUser } from "./token-user.js";
import { View } from "./view.js";

const givenToken = takeTokenFromAddress(); // before anything else: nothing may see or store an address with a token
const isTokenNeeded = document.querySelector('meta[name="tannoy-auth"]').content === "jwt";
let session = null;
let rooms = []; // those of the chat view, kept while an agent is shown
let agentId = null;

const view = new View({
  join: (name) => session?.join(name),
  leave: (conversation) => session?.leave(conversation),
  show: (conversation) => session?.show(conversation),
  openAgent: (name) => {
    if (isName(name)) location.hash = agentHash(name);
    else view.notice("The name of an agent may contain letters, digits and . _ : @ ~ - only.");
  },
  write: (userId, username) => session?.openPrivate(userId, username),
  changeUser: () => user.change(),
});

const onIdentity = (identity) => view.setIdentity(identity);
const reconnect = () => session?.connection.open();
const user = isTokenNeeded ? new TokenUser({ onIdentity, onToken: reconnect }) : new NamedUser({ onIdentity, onName: reconnect });

function start(SessionClass, fields) {
  session?.close();
  session = new SessionClass({
    ...fields,
    address: new URL(".", document.baseURI).href, // so that it works behind a path prefix too
    user,
    onChange: () => handleChange(),
    onNotice: (text) => view.notice(text),
    onOtherUser: () => restart(),
  });
  if (user.isKnown) session.connection.open();
  else handleChange();
}

/** Begins anew for another user, who sees nothing of what the one before has received. */
function restart() {
  session.close();
  session = null;
  openAddress();
}

/** Opens the rooms or the agent of the page's address. */
function openAddress() {
  const address = readAddress(location.hash);
  if (address.view === "agent") openAgentAddress(address.agentId);
  else openRoomsAddress(address.rooms);
}

function openAgentAddress(wanted) {
  view.setMode("agent", wanted);
  if (wanted === null) {
    session?.close();
    session = null;
    view.update(null);
  } else if (!(session instanceof AgentSession) || agentId !== wanted) {
    agentId = wanted;
    start(AgentSession, { agentId: wanted });
  }
  updateAddress();
}

function openRoomsAddress(wanted) {
  view.setMode("chat", null);
  if (session instanceof ChatSession) session.setRooms(wanted);
  else start(ChatSession, { rooms: wanted });
  updateAddress();
}

function handleChange() {
  view.update(session);
  updateAddress();
  if (session) user.handleChange(session);
}

/** Writes what is open into the address, which is replaced, not pushed, so that "back" leaves the page. */
function updateAddress() {
  if (session instanceof ChatSession) {
    rooms = session.rooms.map(({ name }) => name);
    if (location.hash !== roomsHash(rooms)) history.replaceState(null, "", roomsHash(rooms));
  }
  view.setLinks({ rooms: roomsHash(rooms.length > 0 ? rooms : ["lobby"]), agent: agentHash(agentId ?? "") });
}

function handleAddressChange() {
  const token = takeTokenFromAddress();
  if (token !== null) user.takeToken(token);
  if (session === null && !user.isKnown) return; // the page opens its address once the user is known
  if (token === null || location.hash !== "") openAddress();
  else updateAddress(); // the address had a token and nothing else, so what is open stays open
}

async function startPage() {
  window.addEventListener("hashchange", handleAddressChange);
  await user.start(givenToken);
  openAddress();
  document.addEventListener("visibilitychange", () => document.hidden || session?.markRead());
}

startPage();
