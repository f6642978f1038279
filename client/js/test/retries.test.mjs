import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { ClientError, ConnectionLost } from "../dist/esm/errors.js";
import { fullJitter, Retries } from "../dist/esm/retries.js";

afterEach(() => mock.restoreAll());

const lost = new ConnectionLost("1006 no close frame", 1006);
const busy = new ConnectionLost("1013 overloaded", 1013, 7);
const atMost = () => mock.method(Math, "random", () => 1);

test("the bound of the delay doubles up to 15 seconds", () => {
  atMost();
  const retries = new Retries(Infinity);

  assert.deepEqual(Array.from({ length: 7 }, () => retries.next(lost, 0)), [0.5, 1, 2, 4, 8, 15, 15]);
});

test("a delay is anything between zero and its bound", () => {
  mock.method(Math, "random", () => 0.25);

  assert.equal(fullJitter(2, 0.5, 15), 0.5);
});

test("the first retry follows the time that the node has named", () => {
  atMost();

  assert.equal(new Retries(Infinity).next(busy, 0), 7);
});

test("a node that refuses again and again causes no tight loop", () => {
  atMost();
  const retries = new Retries(Infinity);
  const soon = new ConnectionLost("1013 overloaded", 1013, 0);

  assert.deepEqual([retries.next(soon, 0), retries.next(soon, 0), retries.next(soon, 0)], [0, 1, 2]);
});

test("the back-off starts anew after a session that lasted", () => {
  atMost();
  const retries = new Retries(Infinity);
  retries.next(lost, 0);
  retries.next(lost, 0);

  assert.equal(retries.next(lost, 11), 0.5);
});

test("maxAttempts failures in a row end the client", () => {
  const retries = new Retries(2);
  retries.next(lost, 0);

  const end = retries.next(lost, 0);

  assert.ok(end instanceof ClientError);
  assert.match(end.message, /2 in a row.*1006/);
});
