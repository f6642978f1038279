import assert from "node:assert/strict";
import { test } from "node:test";

import { Presence } from "../dist/esm/presence.js";

const user = (name) => ({ user_id: name, username: name.toUpperCase(), sessions: 1, connected_at: "2026-01-01T00:00:00.000Z" });
const came = (name, version, count) => ({ type: "user_joined", user_id: name, username: name.toUpperCase(), users_count: count, version });
const went = (name, version, count) => ({ type: "user_left", user_id: name, username: name.toUpperCase(), users_count: count, version });

function makePresence(...names) {
  const presence = new Presence();
  presence.applySnapshot({ users_count: names.length, version: 1, users: names.map(user) });
  return presence;
}

test("a snapshot and the changes behind it say who is there", () => {
  const presence = makePresence("ada", "bob");
  presence.applyChange(came("cem", 2, 3));
  presence.applyChange(went("bob", 3, 2));

  assert.deepEqual([...presence.users.keys()], ["ada", "cem"]);
  assert.equal(presence.users.get("ada").connectedAt, "2026-01-01T00:00:00.000Z");
  assert.equal(presence.count, 2);
  assert.equal(presence.hasMissed, false);
});

test("a change that the snapshot contains changes nothing", () => {
  const presence = makePresence("ada");

  assert.equal(presence.applyChange(went("ada", 1, 0)), false);
  assert.equal(presence.count, 1);
});

test("a version that skips one means that a change was missed", () => {
  const presence = makePresence("ada");
  presence.applyChange(came("cem", 3, 3));

  assert.equal(presence.hasMissed, true);
});

test("a count in a small room means that a change was missed, and in a large one it is all there is", () => {
  const small = makePresence("ada");
  small.applyChange({ type: "presence", users_count: 2, version: 2 });
  const large = makePresence("ada");
  large.applyChange({ type: "presence", users_count: 1500, version: 90 });

  assert.deepEqual([small.hasMissed, large.hasMissed], [true, false]);
  assert.equal(large.users.size, 0);
});

test("changes that come while a snapshot is requested are applied behind it", () => {
  const presence = makePresence("ada");
  presence.beginRequest();
  presence.applyChange(came("cem", 3, 3));
  presence.applySnapshot({ users_count: 2, version: 2, users: [user("ada"), user("bob")] });

  assert.deepEqual([...presence.users.keys()], ["ada", "bob", "cem"]);
  assert.equal(presence.hasMissed, false);
});

test("after a lost connection changes are ignored until the next snapshot", () => {
  const presence = makePresence("ada");
  presence.reset();

  assert.equal(presence.applyChange(came("cem", 2, 2)), false);
});

test("users that somebody holds do not change", () => {
  const presence = makePresence("ada");
  const { users } = presence;
  presence.applyChange(came("cem", 2, 2));

  assert.deepEqual([...users.keys()], ["ada"]);
});
