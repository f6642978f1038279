// What happens when nothing does, on a clock in the test's hand.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { Watch } from "../dist/esm/watch.js";
import { ManualClock } from "./support/clock.mjs";

let clock;
let pings;
let reasons;
let watch;

beforeEach(() => {
  clock = new ManualClock().install();
  pings = 0;
  reasons = [];
  watch = new Watch(() => (pings += 1), (reason) => reasons.push(reason));
});
afterEach(() => clock.restore());

test("a node that sends no first frame within 15 seconds is given up", () => {
  watch.start();
  clock.advance(14_999);
  assert.deepEqual(reasons, []);
  clock.advance(1);

  assert.deepEqual(reasons, ["nothing was received for 15 s"]);
});

test("a node from which nothing comes for its interval and 12 seconds is given up", () => {
  watch.expectPings(25);
  clock.advance(30_000);
  watch.heard();
  clock.advance(36_999);
  assert.deepEqual(reasons, []);
  clock.advance(1);

  assert.deepEqual(reasons, ["nothing was received for 37 s"]);
});

test("a ping that nothing follows within 5 seconds ends the connection", () => {
  watch.expectPings(25);
  watch.probe();
  watch.probe();
  clock.advance(5_000);

  assert.equal(pings, 1);
  assert.deepEqual(reasons, ["no answer to a ping"]);
});

test("any frame answers a ping", () => {
  watch.expectPings(25);
  watch.probe();
  watch.heard();
  clock.advance(20_000);

  assert.deepEqual(reasons, []);
});

test("a watch that was stopped says nothing", () => {
  watch.start();
  watch.probe();
  watch.stop();
  clock.advance(60_000);

  assert.deepEqual(reasons, []);
});
