// How a connection begins, ends and comes back, against a node that the test plays.
import assert from "node:assert/strict";
import { after, afterEach, before, mock, test } from "node:test";

import * as tannoy from "../dist/esm/index.js";
import { listen, nextEvent, reaches, ScriptedNode } from "./support/scripted-node.mjs";

let node;
before(async () => {
  node = await ScriptedNode.start();
  mock.method(Math, "random", () => 0.01); // back-off: at most some milliseconds
});
after(() => node.stop());
afterEach(() => node.reset());

test("the states are told, and are there as a value", async () => {
  const client = node.connect({ autoConnect: false });
  const states = [];
  client.on("state", ({ state }) => states.push(state));
  assert.equal(client.state, "disconnected");
  client.connect();
  (await node.accept()).welcome({ node: "node-7" });
  const live = await reaches(client, "connected");
  client.close();

  assert.equal(live.node, "node-7");
  assert.equal(client.userId, "ada");
  assert.deepEqual(states, ["connecting", "connected", "disconnected"]);
});

test("the user and the wire format are named in the handshake", async () => {
  node.connect({ userId: "a|b+c", username: "Ada L" });
  const connection = await node.accept();

  assert.equal(connection.url.pathname, "/ws");
  assert.deepEqual(Object.fromEntries(connection.url.searchParams), { user_id: "a|b+c", username: "Ada L" });
  assert.equal(connection.protocols, "tannoy.v1.json");
});

test("a token goes into the subprotocol, and never into the address", async () => {
  node.connect({ token: "a.b.c" });
  const connection = await node.accept();

  assert.equal(connection.protocols, "tannoy.v1.json,bearer,a.b.c");
  assert.equal(connection.url.search, "");
});

test("a guest keeps the name that the first node gave it", async () => {
  const { connection } = await node.connected({}, { user_id: "guest-1" });
  connection.socket.close(1001);

  assert.equal((await node.accept()).url.searchParams.get("user_id"), "guest-1");
});

test("a ping of the node is answered", async () => {
  const { connection } = await node.connected();
  connection.send({ type: "ping" });

  await connection.take("pong");
});

test("a lost connection is made again, and its reason is told", async () => {
  const { client, connection } = await node.connected();
  const waiting = nextEvent(client, "state", ({ state }) => state === "waiting");
  connection.bye(4001);
  const { code, reason, delay, until } = await waiting;
  (await node.accept()).welcome();
  await reaches(client, "connected");

  assert.equal(code, 4001);
  assert.equal(reason, "4001 told");
  assert.ok(delay < 0.5 && until <= Date.now());
});

test("the time that bye names is waited for", async () => {
  const { client, connection } = await node.connected();
  connection.bye(1013, { retry_after: 30 });

  assert.equal((await reaches(client, "waiting")).delay, 30);
});

test("connect does not wait for the time of the next try", async () => {
  const { client, connection } = await node.connected();
  connection.bye(1013, { retry_after: 3600 });
  await reaches(client, "waiting");
  client.connect();

  await node.accept();
});

test("after a final close code the client ends, tells why, and connects again only when it is told to", async () => {
  const { client, connection } = await node.connected();
  const call = client.private("bob", "hi");
  await connection.take("private");
  connection.bye(4500);
  await assert.rejects(call, tannoy.Unconfirmed);
  const { error } = await reaches(client, "error");
  await assert.rejects(client.private("bob", "hi"), tannoy.Evicted);
  client.connect();
  (await node.accept()).welcome();
  await reaches(client, "connected");

  assert.ok(error instanceof tannoy.Evicted);
});

for (const code of [4501, 4503]) {
  test(`after ${code} onAuthError is called, and connect asks for another token`, async () => {
    const tokens = ["old", "new"];
    const refused = new Promise((resolve) => {
      const client = node.connect({ token: () => tokens.shift(), onAuthError: (error) => resolve({ client, error }) });
    });
    const connection = await node.accept();
    connection.send({ type: "error", code: "bad_token", message: "revoked" });
    connection.bye(code);
    const { client, error } = await refused;
    client.connect();

    assert.match(error.message, /revoked/);
    assert.equal((await node.accept()).protocols, "tannoy.v1.json,bearer,new");
  });
}

test("after 4401 the function for tokens is asked again", async () => {
  const tokens = ["old", "new"];
  const { connection } = await node.connected({ token: () => tokens.shift() });
  connection.bye(4401);

  assert.equal((await node.accept()).protocols, "tannoy.v1.json,bearer,new");
});

test("after 4401 a client whose token is a string has ended, and the user has to log in", async () => {
  const errors = [];
  const { client, connection } = await node.connected({ token: "old", onAuthError: (error) => errors.push(error) });
  connection.bye(4401);
  const { error } = await reaches(client, "error");

  assert.ok(error instanceof tannoy.TokenExpired);
  assert.deepEqual(errors, [error]);
});

test("a function for tokens that fails is asked again after a delay", async () => {
  let calls = 0;
  const client = node.connect({
    token: async () => {
      calls += 1;
      if (calls < 3) throw new TypeError("fetch failed");
      return "t1";
    },
  });
  (await node.accept()).welcome();
  await reaches(client, "connected");

  assert.equal(calls, 3);
});

test("another user than before ends the client", async () => {
  const { client, connection } = await node.connected({ token: () => "t" });
  connection.bye(4001);
  (await node.accept()).welcome({ user_id: "eve" });

  assert.ok((await reaches(client, "error")).error instanceof tannoy.UserChanged);
});

test("maxAttempts failed connections end the client", async () => {
  const client = node.connect({ maxAttempts: 2 });
  (await node.accept()).socket.close();
  (await node.accept()).socket.close();

  assert.match((await reaches(client, "error")).reason, /2 in a row/);
});

test("an address where nothing listens is tried again and again", async () => {
  const client = tannoy.connect("ws://127.0.0.1:9", { WebSocket: (await import("ws")).WebSocket });
  const first = await reaches(client, "waiting");
  await reaches(client, "connecting");
  await reaches(client, "waiting");
  client.close();

  assert.match(first.reason, /^1006/);
});

test("a frame that can't be read ends the connection, and another one follows", async () => {
  const { client, connection } = await node.connected();
  connection.send("{");
  const { reason } = await reaches(client, "waiting");
  await node.accept();

  assert.match(reason, /can't be read/);
});

test("a frame of an unknown type is told, and changes nothing", async () => {
  const { client, connection } = await node.connected();
  const frames = listen(client, "frame");
  connection.send({ type: "news", headline: "x" });

  assert.deepEqual(await frames.take(), { type: "news", headline: "x" });
  assert.equal(client.state, "connected");
});

test("private messages, the bus and errors of the node are told", async () => {
  const { client, connection } = await node.connected();
  const [privates, buses, errors] = ["private", "bus", "nodeError"].map((name) => listen(client, name));
  connection.send(
    { type: "private", from_user_id: "bob", from_username: "Bob", content: { a_b: 1 }, timestamp: "t" },
    { type: "status", bus: "down" },
    { type: "error", code: "rate_limited", message: "too much" },
  );

  const { fromUserId, fromUsername, content } = await privates.take();
  assert.deepEqual({ fromUserId, fromUsername, content }, { fromUserId: "bob", fromUsername: "Bob", content: { a_b: 1 } });
  assert.equal(await buses.take(), "down");
  assert.equal((await errors.take()).code, "rate_limited");
});

test("an agent's session that a listener closes when it is connected is not joined", async () => {
  const client = node.connect({ autoConnect: false });
  const agent = client.agent("42");
  agent.on("state", ({ state }) => state === "connected" && agent.close());
  const joined = listen(agent, "joined");
  const ended = listen(agent, "end");
  (await node.accept()).welcome({ agent_id: "42" });

  assert.equal(await ended.take(), null);
  assert.ok(joined.isEmpty);
});

test("a client that connects again asks for a token, and uses the name that it was given", async () => {
  const tokens = ["one", "two"];
  const { client } = await node.connected({ token: () => tokens.shift(), username: "Ada" });
  client.username = "Ada L";
  client.disconnect();
  client.connect();
  const connection = await node.accept();

  assert.equal(connection.protocols, "tannoy.v1.json,bearer,two");
  assert.equal(connection.url.searchParams.get("username"), "Ada L");
});

test("what the node says first is part of the status", async () => {
  const { client } = await node.connected({}, { message_max_bytes: 99 });

  assert.equal(client.status.welcome.message_max_bytes, 99);
});

test("any command of the protocol can be sent", async () => {
  const { client, connection } = await node.connected();
  const refreshing = client.request("refresh", { token: "new" });
  const { token } = await connection.confirm("refresh", { expires_at: "2030" });

  assert.equal(token, "new");
  assert.equal((await refreshing).expires_at, "2030");
});

test("disconnect closes the connection until connect is called", async () => {
  const { client, connection } = await node.connected();
  client.disconnect();
  await connection.closed;
  assert.equal(client.state, "disconnected");
  client.connect();

  await node.accept();
});

test("a token that comes after disconnect opens no connection", async () => {
  let give;
  const client = node.connect({ token: () => new Promise((resolve) => (give = resolve)) });
  client.disconnect();
  give("late");
  await new Promise(setImmediate);
  client.connect(); // the token is known now
  const connection = await node.accept();
  connection.welcome();
  await reaches(client, "connected");

  assert.equal(node.server.clients.size, 1);
});

test("a look at a connection whose next try is overdue makes it: timers of hidden tabs are late", async () => {
  const { client, connection } = await node.connected();
  connection.bye(1013, { retry_after: 30 });
  const { until } = await reaches(client, "waiting");
  client.probe();
  assert.equal(client.state, "waiting");
  const clock = mock.method(Date, "now", () => until);
  client.probe();
  clock.mock.restore();

  assert.equal(client.state, "connecting");
});

test("a closed client refuses calls", async () => {
  const { client } = await node.connected();
  client.close();

  assert.throws(() => client.connect(), tannoy.ClientMisused);
  await assert.rejects(client.private("bob", 1), tannoy.ClientMisused);
});
