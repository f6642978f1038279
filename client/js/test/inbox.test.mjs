import assert from "node:assert/strict";
import { test } from "node:test";

import { Inbox, Missed } from "../dist/esm/inbox.js";
import { message } from "./support/scripted-node.mjs";

function makeInbox(size) {
  const inbox = new Inbox(size);
  inbox.head = { epoch: "e1", offset: 0 };
  return inbox;
}

test("messages come out in order, and the head is the last that was received", () => {
  const inbox = makeInbox(3);
  inbox.addMessage(message(1));
  inbox.addMessage(message(2));

  assert.deepEqual([inbox.take().offset, inbox.take().offset, inbox.take()], [1, 2, undefined]);
  assert.deepEqual(inbox.head, { epoch: "e1", offset: 2 });
});

test("what does not fit is one entry of messages that were missed", () => {
  const inbox = makeInbox(2);
  for (const offset of [1, 2, 3, 4, 5]) inbox.addMessage(message(offset));

  assert.equal(inbox.length, 3);
  inbox.take();
  inbox.take();
  assert.deepEqual(inbox.take(), new Missed({ epoch: "e1", offset: 5 }));
});

test("after an overflow there is nothing to recover: the history is read anyway", () => {
  const inbox = makeInbox(1);
  inbox.addMessage(message(1));
  assert.deepEqual(inbox.recoverFrom, { epoch: "e1", offset: 1 });

  inbox.addMessage(message(2));

  assert.equal(inbox.recoverFrom, null);
});

test("once the overflow was taken, messages are kept again", () => {
  const inbox = makeInbox(1);
  inbox.addMessage(message(1));
  inbox.addMessage(message(2));
  inbox.take();
  inbox.take();

  inbox.addMessage(message(3));

  assert.equal(inbox.take().offset, 3);
});

test("two reports of missed messages in a row are one", () => {
  const inbox = makeInbox(3);
  inbox.addMissed({ epoch: "e1", offset: 4 });
  inbox.addMissed({ epoch: "e2", offset: 1 });

  assert.equal(inbox.length, 1);
  assert.deepEqual(inbox.take().head, { epoch: "e2", offset: 1 });
});
