import assert from "node:assert/strict";
import { test } from "node:test";

import { Emitter } from "../dist/esm/emitter.js";
import { ManualClock } from "./support/clock.mjs";

test("a listener hears what happens from then on, until it is taken away", () => {
  const emitter = new Emitter();
  const heard = [];
  emitter.emit("news", 1);
  const off = emitter.on("news", (value) => heard.push(value));
  emitter.emit("news", 2);
  off();
  emitter.emit("news", 3);

  assert.deepEqual(heard, [2]);
});

test("a listener that throws does not stop the others, and its error is uncaught", () => {
  const clock = new ManualClock().install();
  const emitter = new Emitter();
  const heard = [];
  emitter.on("news", () => {
    throw new Error("of the listener");
  });
  emitter.on("news", (value) => heard.push(value));
  emitter.emit("news", 1);

  clock.restore();

  assert.deepEqual(heard, [1]);
  assert.throws(() => clock.advance(1), /of the listener/);
});
