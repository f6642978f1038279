import assert from "node:assert/strict";
import { test } from "node:test";

import { CatchUp } from "../dist/esm/catch-up.js";
import { message } from "./support/scripted-node.mjs";

const at = (offset, epoch = "e1") => ({ epoch, offset });
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => message(from + index));

/** The history of a channel, as a node answers: at most `pageMax` messages at once, as its bound in bytes may have it. */
function historyOf(messages, head, { pageMax = 300 } = {}) {
  return async ({ since, before, limit }) => {
    const size = Math.min(limit, pageMax);
    const known = messages.filter(({ offset }) => offset > (since ?? -1) && offset < (before ?? Infinity));
    const page = since === undefined ? known.slice(-size) : known.slice(0, size);
    return { type: "ok", epoch: head.epoch, offset: head.offset, messages: page, more: page.length < Math.min(limit, known.length) };
  };
}

async function read(reading, head, history) {
  const items = [];
  await reading.readMissed(head, history, {
    onMessage: ({ offset }) => items.push(offset),
    onGap: (after, until) => items.push({ after: after && after.offset, until: until && until.offset }),
  });
  return items;
}

function readingAt(position) {
  const reading = new CatchUp();
  reading.position = position;
  return reading;
}

test("a message at or below the position was read before", () => {
  const reading = readingAt(at(3));

  assert.deepEqual([3, 4, 4, 2, 5].map((offset) => reading.accept(message(offset))), [false, true, false, false, true]);
});

test("a node that starts behind the position of another one repeats nothing", () => {
  const reading = readingAt(at(0));
  for (const each of range(1, 3)) reading.accept(each);
  reading.position = at(1);

  assert.deepEqual([2, 3, 4].map((offset) => reading.accept(message(offset))), [false, false, true]);
});

test("without history each message is new", () => {
  const reading = readingAt(null);

  assert.ok(reading.accept({ ...message(1), offset: undefined }));
});

test("what was missed is read from the history, over several pages", async () => {
  const reading = readingAt(at(1));

  assert.deepEqual(await read(reading, at(5), historyOf(range(1, 5), at(5), { pageMax: 2 })), [2, 3, 4, 5]);
  assert.deepEqual(reading.position, at(5));
});

test("messages that the history has no more are a gap, in their place", async () => {
  assert.deepEqual(await read(readingAt(at(1)), at(5), historyOf(range(4, 5), at(5))), [{ after: 1, until: 3 }, 4, 5]);
});

test("a history that is refused is a gap up to the head", async () => {
  const refuse = async () => ({ type: "error", code: "forbidden" });
  const reading = readingAt(at(1));

  assert.deepEqual(await read(reading, at(5), refuse), [{ after: 1, until: 5 }]);
  assert.deepEqual(reading.position, at(5));
});

test("a cluster without history has a gap without an end", async () => {
  const reading = readingAt(at(1));

  assert.deepEqual(await read(reading, null, historyOf([], at(0))), [{ after: 1, until: null }]);
  assert.equal(reading.position, null);
});

test("in a new epoch the messages that were read before are left out", async () => {
  const reading = readingAt(at(0));
  for (const each of range(1, 3)) reading.accept(each);

  const items = await read(reading, at(5, "e2"), historyOf(range(1, 5), at(5, "e2")));

  assert.deepEqual(items, [{ after: 3, until: 3 }, 4, 5]);
  assert.deepEqual(reading.position, at(5, "e2"));
});

test("the last 300 messages of a new epoch are read in as many answers as it takes", async () => {
  const items = await read(readingAt(at(1)), at(900, "e2"), historyOf(range(500, 900), at(900, "e2"), { pageMax: 130 }));

  assert.deepEqual(items.slice(0, 2), [{ after: 1, until: 600 }, 601]);
  assert.equal(items.length, 301);
});

test("an interrupted reading goes on from the position", async () => {
  const reading = readingAt(at(1));
  const history = historyOf(range(1, 5), at(5), { pageMax: 2 });
  const cut = async (fields) => {
    if (fields.since > 2) throw new Error("cut");
    return history(fields);
  };
  const before = [];
  await assert.rejects(reading.readMissed(at(5), cut, { onMessage: ({ offset }) => before.push(offset), onGap() {} }), /cut/);

  assert.deepEqual(before, [2, 3]);
  assert.deepEqual(await read(reading, at(5), history), [4, 5]);
});
