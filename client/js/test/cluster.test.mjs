// The client against a real cluster: two nodes, an embedded Valkey, tokens.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";

import { WebSocket } from "ws";

import * as tannoy from "../dist/esm/index.js";
import { Cluster, HISTORY_SIZE, sign } from "./support/cluster.mjs";
import { Proxy } from "./support/proxy.mjs";
import { listen, nextEvent, reaches } from "./support/scripted-node.mjs";

let cluster;
let opened = [];
before(async () => {
  cluster = await Cluster.start();
});
after(() => cluster?.stop());
afterEach(() => {
  for (const each of opened.splice(0)) (each.close ?? each.stop).call(each);
});

function open(userId, { node = 1, url = cluster.url(node), ...options } = {}) {
  const client = tannoy.connect(url, { WebSocket, token: () => sign(userId), ...options });
  opened.push(client);
  return client;
}

/** A client whose connection goes through a proxy of the test. */
async function openThroughProxy(userId, options = {}) {
  const proxy = await Proxy.start(cluster.url());
  opened.push(proxy);
  return { proxy, client: open(userId, { url: proxy.url, ...options }) };
}

const publish = (room, content) => cluster.call("POST", `/rooms/${room}/messages`, { content });

const take = async (queue, count) => {
  const found = [];
  while (found.length < count) found.push((await queue.take("a message")).content);
  return found;
};

const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

test("clients on two nodes hear each other, at the positions that sending answers with", async () => {
  const ada = await open("ada", { node: 1 }).join("two-nodes");
  const bob = await open("bob", { node: 2 }).join("two-nodes");
  const heard = [listen(ada, "message"), listen(bob, "message")];
  const first = await ada.send({ text: "hi bob" });
  const second = await bob.send({ text: "hi ada" });

  for (const queue of heard) {
    const [one, two] = [await queue.take(), await queue.take()];
    assert.deepEqual([one.content, one.userId, one.offset], [{ text: "hi bob" }, "ada", first.offset]);
    assert.deepEqual([two.content, two.userId, two.offset], [{ text: "hi ada" }, "bob", second.offset]);
  }
});

test("who is in the room is known, and kept current", async () => {
  const ada = await open("ada").join("people");
  const joined = listen(ada, "userJoined");
  const bob = open("bob", { node: 2 });
  await bob.join("people");

  assert.equal((await joined.take()).userId, "bob");
  assert.deepEqual([...ada.presence.users.keys()].sort(), ["ada", "bob"]);
});

test("what was said while a client was cut off is heard when it is back, each once and in order", async () => {
  const { proxy, client } = await openThroughProxy("ada");
  const room = await client.join("cut-off");
  const heard = listen(room, "message");
  await publish("cut-off", 1);
  await take(heard, 1);
  proxy.cut();
  await reaches(client, "waiting");
  for (const content of range(2, 6)) await publish("cut-off", content);
  proxy.restore();
  client.connect();
  await nextEvent(room, "joined");
  await publish("cut-off", 7);

  assert.deepEqual(await take(heard, 6), range(2, 7));
});

test("messages that the history has no more are a gap with their range", async () => {
  const { proxy, client } = await openThroughProxy("ada");
  const room = await client.join("short");
  const heard = listen(room, "message");
  const gaps = listen(room, "gap");
  const { offset } = await publish("short", 0);
  await take(heard, 1);
  proxy.cut();
  await reaches(client, "waiting");
  for (const content of range(1, HISTORY_SIZE + 5)) await publish("short", content);
  proxy.restore();
  client.connect();
  const gap = await gaps.take();

  assert.deepEqual([gap.after.offset, gap.until.offset], [offset, offset + 5]);
  assert.deepEqual(await take(heard, HISTORY_SIZE), range(6, HISTORY_SIZE + 5));
});

test("a message whose answer was lost is sent again, and published once", async () => {
  const { proxy, client } = await openThroughProxy("ada");
  const room = await client.join("once");
  const other = await open("bob", { node: 2 }).join("once");
  const heard = listen(other, "message");
  proxy.mute();
  const sending = room.send("once");
  await take(heard, 1);
  proxy.cut();
  proxy.restore();
  const { offset } = await sending;
  const { messages } = await other.history();

  assert.deepEqual(messages.map((message) => [message.offset, message.content]), [[offset, "once"]]);
});

test("under a connection that is cut again and again, each message is heard once, or its offset is in a gap", async () => {
  const { proxy, client } = await openThroughProxy("ada");
  const room = await client.join("cuts");
  const told = []; // offsets that were heard, and those of gaps
  room.on("message", ({ offset }) => told.push(offset));
  room.on("gap", ({ after, until }) => told.push(...range(after.offset + 1, until.offset)));
  const writer = await open("bob", { node: 2 }).join("cuts");
  const last = nextEvent(room, "message", ({ content }) => content === "last");
  let cuts = 0;
  client.on("state", ({ state }) => {
    if (state === "connected" && cuts < 8 && ++cuts) setTimeout(() => proxy.cut(), 30 * cuts);
    if (state === "waiting") {
      proxy.restore();
      client.connect();
    }
  });
  proxy.cut();
  for (let round = 0; cuts < 8; round += 1) await Promise.all(range(1, 5).map((content) => writer.send([round, content])));
  await reaches(client, "connected");
  const { offset } = await writer.send("last");
  await last;

  assert.deepEqual(told, range(1, offset));
});

test("an agent hears what is said to it on any node, and lists its sessions", async () => {
  const one = await open("ada", { node: 1, autoConnect: false }).agent("42").ready();
  const two = await open("ada", { node: 2, autoConnect: false }).agent("42", { sessionId: "desk" }).ready();
  const heard = [listen(one, "message"), listen(two, "message")];
  await one.send("to all");
  await cluster.call("POST", "/agents/42/messages", { content: "from the back end" });

  for (const queue of heard) assert.deepEqual(await take(queue, 2), ["to all", "from the back end"]);
  const sessions = await two.sessions();
  assert.equal(sessions.length, 2);
  assert.ok(sessions.some(({ sessionId, userId }) => sessionId === "desk" && userId === "ada"));
});

test("an agent's session that was cut off comes back under its name, and recovers", async () => {
  const proxy = await Proxy.start(cluster.url());
  opened.push(proxy);
  const agent = await open("ada", { url: proxy.url, autoConnect: false }).agent("43").ready();
  const heard = listen(agent, "message");
  const { sessionId } = agent.status;
  await agent.send(1);
  await take(heard, 1);
  proxy.cut();
  await reaches(agent, "waiting");
  await cluster.call("POST", "/agents/43/messages", { content: 2 });
  proxy.restore();
  agent.connect();

  assert.deepEqual(await take(heard, 1), [2]);
  assert.equal(agent.status.sessionId, sessionId);
});

test("a stream is heard while it grows, stopped by a reader, and not repeated after a reconnect", async () => {
  const { proxy, client } = await openThroughProxy("ada");
  const agent = client.agent("streams");
  const frames = listen(agent, "stream");
  const messages = listen(agent, "message");
  await agent.ready();
  const { stream_id: streamId } = await cluster.call("POST", "/agents/streams/streams", {});
  await cluster.call("POST", `/agents/streams/streams/${streamId}`, { text: "half a " });
  let text = "";
  while (text !== "half a ") text += (await frames.take()).text ?? "";
  await agent.request("stop", { stream_id: streamId });
  const { stop } = await cluster.call("POST", `/agents/streams/streams/${streamId}`, { text: "sentence" });
  await cluster.call("POST", `/agents/streams/streams/${streamId}/end`, { status: "stopped" });
  let end;
  while ((end = await frames.take()).type !== "stream_end") text += end.text ?? "";
  proxy.cut();
  await reaches(agent, "waiting");
  await cluster.call("POST", "/agents/streams/messages", { content: "after" });
  proxy.restore();
  agent.connect();

  assert.deepEqual([stop, text, end.status], [true, "half a sentence", "stopped"]);
  assert.deepEqual(await take(messages, 1), ["after"]);
});

test("a session that an operator closes has ended", async () => {
  const client = open("kicked");
  await reaches(client, "connected");
  await cluster.call("DELETE", "/users/kicked/sessions");

  assert.ok((await reaches(client, "error")).error instanceof tannoy.Disconnected);
});

test("private messages reach the sessions of a user, and are counted", async () => {
  const ada = open("ada");
  const bob = open("bob", { node: 2 });
  await Promise.all([reaches(ada, "connected"), reaches(bob, "connected")]);
  const heard = listen(bob, "private");

  assert.equal(await ada.private("bob", { psst: true }), 1);
  assert.deepEqual((await heard.take()).content, { psst: true });
});

test("an expired token is asked for again, and the session begins", async () => {
  const tokens = [sign("ada", { exp: Math.floor(Date.now() / 1000) - 60 }), sign("ada")];
  const client = open("ada", { token: async () => tokens.shift() });
  await reaches(client, "connected");

  assert.deepEqual(tokens, []);
});

test("a token with a wrong signature makes the app ask for a login", async () => {
  const error = await new Promise((resolve) => open("ada", { token: `${sign("ada")}x`, onAuthError: resolve }));

  assert.ok(error instanceof tannoy.TokenRefused);
});

test("an agent that the token does not allow makes the app ask for a login", async () => {
  const error = await new Promise((resolve) => {
    open("ada", { autoConnect: false, token: sign("ada", { agents: ["1"] }), onAuthError: resolve }).agent("2");
  });

  assert.ok(error instanceof tannoy.AccessForbidden);
});

test("a room that the token does not allow is refused by its error code", async () => {
  const client = open("ada", { token: sign("ada", { rooms: ["lobby"] }) });

  await assert.rejects(client.join("other"), (error) => error instanceof tannoy.CommandRefused && error.code === "forbidden");
});

test("the history is read in pages", async () => {
  const room = await open("ada").join("pages");
  for (const content of range(1, 5)) await room.send(content);
  const last = await room.history({ limit: 2 });
  const before = await room.history({ limit: 2, before: last.messages[0].offset });
  const since = await room.history({ since: before.messages[1].offset });

  const contents = ({ messages }) => messages.map(({ content }) => content);
  assert.deepEqual([contents(last), contents(before), contents(since)], [[4, 5], [2, 3], [4, 5]]);
  assert.equal(last.position.offset, 5);
});

test("the WebSocket of the platform does as well as that of the package ws", { skip: !("WebSocket" in globalThis) }, async () => {
  const { proxy, client } = await openThroughProxy("ada", { WebSocket: undefined });
  const room = await client.join("platform");
  const heard = listen(room, "message");
  proxy.cut();
  await reaches(client, "waiting");
  await publish("platform", "meanwhile");
  proxy.restore();

  assert.deepEqual(await take(heard, 1), ["meanwhile"]);
});

test("the client of pages, with short names inside, does the same", async () => {
  const page = await import("../dist/tannoy-client.js");
  const client = page.connect(cluster.url(2), { WebSocket, token: async () => sign("ada") });
  opened.push(client);
  const room = await client.join("bundle");
  const heard = listen(room, "message");
  await room.send({ user_id: "in the content" });

  assert.deepEqual(await take(heard, 1), [{ user_id: "in the content" }]);
  assert.deepEqual([...room.presence.users.values()].map(({ userId, sessions }) => [userId, sessions]), [["ada", 1]]);
  await assert.rejects(room.history({ limit: 1000 }), page.CommandRefused);
});

test("a client of a node that is drained goes on with another node", async () => {
  const client = open("ada", { url: `ws://127.0.0.1:${cluster.port}` });
  const room = await client.join("drained");
  const heard = listen(room, "message");
  const { node } = client.status;
  await cluster.call("POST", `/nodes/${node}/drain`);
  assert.equal((await reaches(client, "waiting")).code, 4001);
  await reaches(client, "connected");
  await room.send("from the other one");

  assert.notEqual(client.status.node, node);
  assert.deepEqual(await take(heard, 1), ["from the other one"]);
});
