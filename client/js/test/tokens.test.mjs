import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { ConnectionLost, SessionEnded, TokenRefused } from "../dist/esm/errors.js";
import { secondsUntilRefresh } from "../dist/esm/token-refresh.js";
import { TokenSource } from "../dist/esm/tokens.js";
import { ManualClock } from "./support/clock.mjs";

afterEach(() => mock.restoreAll());

for (const blank of ["", "  \n"]) {
  test(`the token ${JSON.stringify(blank)} is refused before anything is sent`, () => {
    assert.throws(() => new TokenSource(blank), TokenRefused);
  });
}

test("a function that returns a blank token is refused too, for good", async () => {
  await assert.rejects(new TokenSource(() => " ").get(), TokenRefused);
  await assert.rejects(new TokenSource(async () => undefined).get(), TokenRefused);
});

test("connections that need a token at the same time ask for it once", async () => {
  const provide = mock.fn(async () => "t1");
  const tokens = new TokenSource(provide);

  assert.deepEqual(await Promise.all([tokens.get(), tokens.get(), tokens.renew(null)]), ["t1", "t1", "t1"]);
  assert.equal(provide.mock.callCount(), 1);
});

test("a token that two connections call expired is replaced once", async () => {
  const given = ["t1", "t2"];
  const tokens = new TokenSource(() => given.shift());
  await tokens.get();
  tokens.discard("t1");
  const next = await tokens.get();
  tokens.discard("t1");

  assert.equal(next, "t2");
  assert.equal(await tokens.get(), "t2");
});

test("a string stays the token", async () => {
  const tokens = new TokenSource("t1");
  tokens.discard("t1");

  assert.equal(await tokens.get(), "t1");
});

test("a function that throws is a failed attempt, and one that throws TokenRefused an end", async () => {
  const failing = new TokenSource(() => Promise.reject(new TypeError("fetch failed")));
  const refusing = new TokenSource(() => Promise.reject(new TokenRefused("log in")));

  await assert.rejects(failing.get(), (error) => error instanceof ConnectionLost && !(error instanceof SessionEnded));
  await assert.rejects(refusing.get(), /log in/);
});

test("a function that does not answer is a failed attempt, after which it is asked again", async (context) => {
  const clock = new ManualClock().install();
  context.after(() => clock.restore());
  const answers = [new Promise(() => {}), "t2"];
  const tokens = new TokenSource(() => answers.shift());
  const asked = assert.rejects(tokens.get(), (error) => error instanceof ConnectionLost && !(error instanceof SessionEnded));
  clock.advance(30_000);
  await asked;

  assert.equal(await tokens.get(), "t2");
});

test("a token is replaced when a tenth to a quarter of its time is left", () => {
  mock.method(Math, "random", () => 0);
  assert.equal(secondsUntilRefresh(100), 75);
  mock.method(Math, "random", () => 1);
  assert.equal(secondsUntilRefresh(100), 90);
});

test("a token for less than ten seconds is replaced at its end only", () => {
  assert.equal(secondsUntilRefresh(9), null);
});
