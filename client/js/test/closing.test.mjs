import assert from "node:assert/strict";
import { test } from "node:test";

import { describeEnd } from "../dist/esm/closing.js";
import * as errors from "../dist/esm/errors.js";

const bye = (code, fields = {}) => ({ type: "bye", code, reason: "told", reconnect: code < 4500, ...fields });

for (const code of [1000, 1001, 1006, 1009, 1011, 1012, 1013, 4001, 4002, 4003, 4004, 4401, 4499]) {
  test(`after ${code} a client comes back`, () => {
    assert.equal(describeEnd(code, "", null, null) instanceof errors.SessionEnded, false);
  });
}

for (const code of [1002, 1007, 4502, 4999]) {
  test(`after ${code} a client does not come back`, () => {
    assert.ok(describeEnd(code, "", null, null) instanceof errors.SessionEnded);
  });
}

const NAMED = {
  4500: errors.Evicted,
  4501: errors.TokenRefused,
  4503: errors.AccessForbidden,
  4504: errors.Disconnected,
  4505: errors.TooManyBadFrames,
  4506: errors.Replaced,
};
for (const [code, kind] of Object.entries(NAMED)) {
  test(`the error after ${code} is ${kind.name}`, () => {
    const end = describeEnd(Number(code), "told", null, null);

    assert.equal(end.constructor, kind);
    assert.equal(end.code, Number(code));
    assert.equal(end.name, kind.name);
  });
}

test("what bye says counts, and not the code that a proxy has put in its place", () => {
  assert.equal(describeEnd(1006, "", bye(4500), null).constructor, errors.Evicted);
});

test("bye decides whether to come back, also with a code that is not known", () => {
  assert.ok(describeEnd(1000, "", bye(4300, { reconnect: false }), null) instanceof errors.SessionEnded);
  assert.equal(describeEnd(1000, "", bye(4700, { reconnect: true }), null) instanceof errors.SessionEnded, false);
});

test("bye names the time to wait", () => {
  assert.equal(describeEnd(1013, "", bye(1013, { retry_after: 2.5 }), null).retryAfter, 2.5);
  assert.equal(describeEnd(1013, "", bye(1013), null).retryAfter, null);
});

test("the error in place of welcome is part of the reason", () => {
  const refusal = { type: "error", code: "bad_token", message: "the signature is wrong" };

  assert.equal(describeEnd(4501, "", bye(4501), refusal).message, "4501 told: the signature is wrong");
});
