// Tokens that are replaced ahead of their end, on a clock in the test's hand.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ManualClock } from "./support/clock.mjs";
import { ScriptedNode } from "./support/scripted-node.mjs";

let clock;
let node;
before(async () => {
  node = await ScriptedNode.start();
  clock = new ManualClock().install();
});
after(async () => {
  clock.restore();
  await node.stop();
});

/** A client whose token, of a function, holds for a minute. */
async function connectForAMinute(...tokens) {
  const client = node.connect({ token: async () => tokens.shift() });
  const connected = new Promise((resolve) => client.on("state", ({ state }) => state === "connected" && resolve()));
  const connection = await node.accept();
  connection.welcome({ ping_interval: 300, expires_at: new Date(Date.now() + 60_000).toISOString() });
  await connected;
  return { client, connection };
}

test("a token is replaced before it expires, over the connection that is there", async () => {
  const { client, connection } = await connectForAMinute("old", "new");
  clock.advance(54_000);
  const { token } = await connection.confirm("refresh", { expires_at: new Date(Date.now() + 60_000).toISOString() });

  assert.equal(token, "new");
  assert.equal(client.state, "connected");
});

test("a function that has no newer token is no reason to send the one that is there", async () => {
  const { connection } = await connectForAMinute("old", "old");
  clock.advance(54_000);
  await new Promise(setImmediate);
  connection.send({ type: "ping" });

  await connection.take("pong");
});

test("a token that is refused when it is replaced is told, and the session goes on", async () => {
  const { client, connection } = await connectForAMinute("old", "new");
  const told = new Promise((resolve) => client.on("nodeError", resolve));
  clock.advance(54_000);
  await connection.refuse("refresh", "forbidden");

  assert.equal((await told).code, "forbidden");
  assert.equal(client.state, "connected");
});
