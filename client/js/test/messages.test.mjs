// Messages in and out of a room, against a node that the test plays.
import assert from "node:assert/strict";
import { after, afterEach, before, mock, test } from "node:test";

import * as tannoy from "../dist/esm/index.js";
import { listen, message, reaches, ScriptedNode } from "./support/scripted-node.mjs";

let node;
before(async () => {
  node = await ScriptedNode.start();
  mock.method(Math, "random", () => 0.01);
});
after(() => node.stop());
afterEach(() => node.reset());

const texts = async (queue, count) => {
  const found = [];
  while (found.length < count) found.push((await queue.take("a message")).content.text);
  return found;
};

/** Lose the connection, and take the next one, with the join on it. */
async function comeBack(connection, join) {
  connection.socket.terminate();
  const next = await node.accept();
  next.welcome();
  return { connection: next, join: await next.confirmJoin(join) };
}

// ---- in

test("messages are heard once and in order, and one that was heard before is left out", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  connection.send(message(1), message(2), message(2), message(1), message(3));

  assert.deepEqual(await texts(heard, 3), ["m1", "m2", "m3"]);
  assert.deepEqual(room.position, { epoch: "e1", offset: 3 });
});

test("a message has the fields of its frame by the names of JavaScript", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  connection.send(message(1, { user_id: null, username: null, session_id: null }));
  const { type, offset, userId, username, sessionId, timestamp, content } = await heard.take();

  assert.deepEqual([type, offset, userId, username, sessionId], ["message", 1, null, null, null]);
  assert.equal(timestamp, "2026-01-01T00:00:00.001Z");
  assert.deepEqual(content, { text: "m1" });
});

test("messages that come before anybody listens are kept", async () => {
  const { room, connection } = await node.joined();
  connection.send(message(1), message(2));
  connection.send({ type: "ping" });
  await connection.take("pong"); // so it has received what came before
  const heard = listen(room, "message");

  assert.deepEqual(await texts(heard, 2), ["m1", "m2"]);
});

test("after a reconnect the room is joined again from where it was received last", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  const joined = listen(room, "joined");
  connection.send(message(1), message(2));
  await texts(heard, 2);
  const back = await comeBack(connection, { recovered: true, offset: 4 });
  back.connection.send(message(3), message(4));

  assert.deepEqual(back.join.recover, { epoch: "e1", offset: 2 });
  assert.deepEqual(await texts(heard, 2), ["m3", "m4"]);
  assert.deepEqual(await joined.take(), { isFirst: false, recovered: 2, position: { epoch: "e1", offset: 4 } });
});

test("what can't be recovered is read from the history, and what comes meanwhile waits", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  const gaps = listen(room, "gap");
  connection.send(message(1));
  await texts(heard, 1);
  const back = (await comeBack(connection, { recovered: false, offset: 4 })).connection;
  const history = await back.take("history");
  back.send(message(5), { type: "ok", id: history.id, epoch: "e1", offset: 4, messages: [message(3), message(4)] });

  assert.equal(history.since, 1);
  assert.deepEqual(await texts(heard, 3), ["m3", "m4", "m5"]);
  const { channel, after: from, until, isNewEpoch } = await gaps.take();
  assert.deepEqual({ channel, from, until, isNewEpoch }, {
    channel: "lobby",
    from: { epoch: "e1", offset: 1 },
    until: { epoch: "e1", offset: 2 },
    isNewEpoch: false,
  });
});

test("another epoch does not repeat what the program has read from the history", async () => {
  const { room, connection } = await node.joined({}, { offset: 2 });
  const heard = listen(room, "message");
  const reading = room.history();
  await connection.confirm("history", { epoch: "e1", offset: 2, messages: [message(1), message(2)] });
  await reading;
  connection.send({ type: "resync", room: "lobby", epoch: "e2", offset: 3, reason: "begun anew" });
  await connection.confirm("history", { epoch: "e2", offset: 3, messages: [message(1), message(2), message(3)] });

  assert.deepEqual(await texts(heard, 1), ["m3"]);
});

test("a resync makes the client read the history", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  connection.send({ type: "resync", room: "lobby", epoch: "e1", offset: 2, reason: "bus" });
  const history = await connection.take("history");
  connection.send({ type: "ok", id: history.id, epoch: "e1", offset: 2, messages: [message(1), message(2)] });

  assert.deepEqual(await texts(heard, 2), ["m1", "m2"]);
});

test("a history that is unavailable for a moment is asked for again", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  connection.send({ type: "resync", room: "lobby", epoch: "e1", offset: 1, reason: "bus" });
  await connection.refuse("history", "unavailable");
  await connection.confirm("history", { epoch: "e1", offset: 1, messages: [message(1)] });

  assert.deepEqual(await texts(heard, 1), ["m1"]);
});

test("a connection that is lost while the history is read makes no gap", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  const gaps = listen(room, "gap");
  connection.send({ type: "resync", room: "lobby", epoch: "e1", offset: 2, reason: "bus" });
  await connection.take("history");
  const back = (await comeBack(connection, { recovered: true, offset: 2 })).connection;
  await back.confirm("history", { epoch: "e1", offset: 2, messages: [message(1), message(2)] });

  assert.deepEqual(await texts(heard, 2), ["m1", "m2"]);
  assert.ok(gaps.isEmpty);
});

test("what does not fit while the history is read is read from the history too", async () => {
  const { room, connection } = await node.joined({ queueSize: 2 });
  const heard = listen(room, "message");
  connection.send({ type: "resync", room: "lobby", epoch: "e1", offset: 1, reason: "bus" });
  const first = await connection.take("history");
  connection.send(...[2, 3, 4, 5].map((offset) => message(offset)));
  connection.send({ type: "ok", id: first.id, epoch: "e1", offset: 5, messages: [message(1)] });
  const second = await connection.confirm("history", { epoch: "e1", offset: 5, messages: [message(4), message(5)] });

  assert.equal(second.since, 3);
  assert.deepEqual(await texts(heard, 5), ["m1", "m2", "m3", "m4", "m5"]);
});

test("a message that comes before the answer to a join waits for the recovery", async () => {
  const { room, connection } = await node.joined();
  const heard = listen(room, "message");
  connection.socket.terminate();
  const next = await node.accept();
  next.welcome();
  const join = await next.take("join");
  next.send(message(3), { type: "ok", id: join.id, users_count: 1, version: 1, epoch: "e1", offset: 3, recovered: true });
  next.send(message(1), message(2), message(3));

  assert.deepEqual(await texts(heard, 3), ["m1", "m2", "m3"]);
});

test("the frames of a stream come in their order among the messages, and its end stands for a message", async () => {
  const { room, connection } = await node.joined();
  const heard = [];
  room.on("message", ({ offset }) => heard.push(offset));
  room.on("stream", ({ type, streamId, to, status }) => heard.push([type, streamId, to, status]));
  const stream = { room: "lobby", stream_id: "s1" };
  connection.send(
    message(1),
    { type: "stream", ...stream, user_id: null, username: null, timestamp: "t", from: 0, to: 0 },
    { type: "delta", ...stream, from: 0, to: 2, text: "hi" },
    { type: "stream_end", ...stream, to: 2, status: "done", offset: 2 },
    message(2),
    message(3),
    { type: "ping" },
  );
  await connection.take("pong");

  const [one, open, piece, end, three] = heard;
  assert.deepEqual([one, three, heard.length], [1, 3, 5]);
  assert.deepEqual([open, piece, end], [["stream", "s1", 0, undefined], ["delta", "s1", 2, undefined], ["stream_end", "s1", 2, "done"]]);
  assert.deepEqual(room.position, { epoch: "e1", offset: 3 });
});

// ---- joining

test("a room that is joined already at the node is left, and joined again", async () => {
  const { client, connection } = await node.connected();
  const joining = client.join("lobby");
  await connection.refuse("join", "already_joined");
  await connection.confirm("leave");
  await connection.confirmJoin();

  assert.equal((await joining).name, "lobby");
});

test("a room that is left before it is joined is left when it is", async () => {
  const { client, connection } = await node.connected();
  const room = client.room("lobby");
  room.leave();
  await connection.confirmJoin();

  assert.equal((await connection.take("leave")).room, "lobby");
});

test("a join that the token does not allow to recover is made without", async () => {
  const { connection } = await node.joined();
  connection.socket.terminate();
  const next = await node.accept();
  next.welcome();
  const first = await next.refuse("join", "forbidden");
  const second = await next.confirmJoin();

  assert.deepEqual([first.recover, second.recover], [{ epoch: "e1", offset: 0 }, undefined]);
});

test("a room that can't be joined ends with the refusal, and can be asked for again", async () => {
  const { client, connection } = await node.connected();
  const joining = client.join("secret");
  await connection.refuse("join", "forbidden");

  await assert.rejects(joining, (error) => error instanceof tannoy.CommandRefused && error.code === "forbidden");
  const again = client.join("secret");
  await connection.confirmJoin();
  assert.equal((await again).name, "secret");
});

test("a join that is rate limited is repeated", async () => {
  const { client, connection } = await node.connected();
  const joining = client.join("lobby");
  await connection.refuse("join", "rate_limited", { retry_after: 0.01 });
  await connection.confirmJoin();

  await joining;
});

test("a join that takes too long leaves the room, unless somebody else has it", async () => {
  const { client, connection } = await node.connected();
  await assert.rejects(client.join("mine", { timeout: 0.01 }), tannoy.NoAnswer);
  const shared = client.room("shared");
  await assert.rejects(client.join("shared", { timeout: 0.01 }), tannoy.NoAnswer);
  await connection.take("join"); // of the first one, which is left when it is answered
  await connection.confirmJoin();

  assert.equal(await shared.ready(), shared);
  assert.equal(client.room("shared"), shared);
});

test("observe is said in the join", async () => {
  const { client, connection } = await node.connected();
  client.room("lobby", { observe: true });

  assert.equal((await connection.confirmJoin()).observe, true);
});

test("a room that was left is left at the node, and its calls are refused", async () => {
  const { client, room, connection } = await node.joined();
  const ended = listen(room, "end");
  room.leave();

  assert.equal((await connection.take("leave")).room, "lobby");
  assert.equal(await ended.take(), null);
  await assert.rejects(room.send(1), tannoy.ClientMisused);
  assert.notEqual(client.room("lobby"), room);
});

// ---- out

test("a message is sent with a key, and answers with its position", async () => {
  const { room, connection } = await node.joined();
  const sending = room.send({ text: "hi" });
  const command = await connection.confirm("message", { epoch: "e1", offset: 1 });

  assert.deepEqual(await sending, { epoch: "e1", offset: 1 });
  assert.deepEqual([command.room, command.content], ["lobby", { text: "hi" }]);
  assert.match(command.key, /^.{16,}$/);
});

test("a message that was not confirmed is repeated with its key, on the next connection", async () => {
  const { room, connection } = await node.joined();
  const content = { text: "first" };
  const sending = room.send(content);
  content.text = "changed later";
  const first = await connection.take("message");
  const back = (await comeBack(connection, { recovered: true })).connection;
  const second = await back.confirm("message", { epoch: "e1", offset: 1 });
  await sending;

  assert.deepEqual([second.key, second.content], [first.key, { text: "first" }]);
});

test("a message that the bus did not confirm is repeated with its key", async () => {
  const { room, connection } = await node.joined();
  const sending = room.send(1);
  const first = await connection.refuse("message", "unavailable");
  const second = await connection.confirm("message", {});

  assert.equal(await sending, null);
  assert.equal(first.key, second.key);
});

test("messages that are said while the client is away are sent in their order when it is back", async () => {
  const { client, room, connection } = await node.joined();
  connection.socket.terminate();
  await reaches(client, "waiting");
  const sending = [1, 2, 3].map((content) => room.send(content));
  const next = await node.accept();
  next.welcome();
  await next.confirmJoin({ recovered: true });
  const contents = [];
  for (const _ of sending) contents.push((await next.confirm("message", {})).content);
  await Promise.all(sending);

  assert.deepEqual(contents, [1, 2, 3]);
});

test("a private message is not repeated when it may have arrived", async () => {
  const { client, connection } = await node.connected();
  const sending = client.private("bob", 1);
  await connection.take("private");
  connection.socket.terminate();

  await assert.rejects(sending, tannoy.Unconfirmed);
});

test("a private message that was not carried out is repeated", async () => {
  const { client, connection } = await node.connected();
  const sending = client.private("bob", 1);
  await connection.refuse("private", "rate_limited", { retry_after: 0.01 });
  await connection.confirm("private", { sessions: 2 });

  assert.equal(await sending, 2);
});

test("more messages than maxQueued are refused, and those before them are sent", async () => {
  const { client, connection, room } = await node.joined({ maxQueued: 2 });
  const sending = [1, 2, 3].map((content) => room.send(content));

  await assert.rejects(sending[2], tannoy.QueueFull);
  await connection.confirm("message", {});
  await connection.confirm("message", {});
  await Promise.all(sending.slice(0, 2));
  client.close();
});

test("with drop_oldest the oldest message is given up for a new one", async () => {
  const client = node.connect({ maxQueued: 2, queuePolicy: "drop_oldest" });
  const room = client.room("lobby");
  const sending = [1, 2, 3].map((content) => room.send(content));
  await assert.rejects(sending[0], tannoy.QueueFull);
  const connection = await node.accept();
  connection.welcome();
  await connection.confirmJoin();

  const contents = [(await connection.confirm("message")).content, (await connection.confirm("message")).content];
  await Promise.all(sending.slice(1));

  assert.deepEqual(contents, [2, 3]);
});

test("a command that is larger than the node accepts is refused before it is sent", async () => {
  const { room, connection } = await node.joined();
  const characters = 65536 / 3; // each has three bytes

  await assert.rejects(room.send("€".repeat(characters)), (error) => error.code === "too_large");
  assert.ok(connection.isSilent);
});

test("a room whose join is larger than the node accepts ends", async () => {
  const { client } = await node.connected({}, { message_max_bytes: 128 });

  await assert.rejects(client.join("x".repeat(128)), (error) => error.code === "too_large");
});

test("what is not answered in time is unconfirmed, and what was not sent is not", async () => {
  const { client, room, connection } = await node.joined();
  const sent = room.send(1, { timeout: 0.05 });
  await connection.take("message");
  await assert.rejects(sent, tannoy.Unconfirmed);
  client.disconnect();

  await assert.rejects(room.send(2, { timeout: 0.05 }), tannoy.NoAnswer);
});

test("at most 64 commands wait for an answer at the same time", async () => {
  const { room, connection } = await node.joined();
  const sending = Array.from({ length: 70 }, (_, index) => room.send(index));
  const commands = [];
  while (commands.length < 64) commands.push(await connection.take("message"));
  connection.send({ type: "ping" });
  await connection.take("pong"); // so nothing else was sent before it
  for (const { id } of commands) connection.send({ type: "ok", id });
  for (let rest = 0; rest < 6; rest += 1) await connection.confirm("message");

  await Promise.all(sending);
});

test("a page of the history has its messages, the head, and whether there are more", async () => {
  const { room, connection } = await node.joined();
  const reading = room.history({ limit: 2, before: 9 });
  const command = await connection.confirm("history", { epoch: "e1", offset: 9, messages: [message(7), message(8)], more: true });
  const page = await reading;

  assert.deepEqual([command.limit, command.before, command.since], [2, 9, undefined]);
  assert.deepEqual(page.messages.map(({ offset }) => offset), [7, 8]);
  assert.deepEqual([page.position, page.more], [{ epoch: "e1", offset: 9 }, true]);
});

// ---- users

test("who comes and goes is told, and the list is kept", async () => {
  const { room, connection } = await node.joined({}, { users_count: 1, users: [{ user_id: "ada", username: "Ada", sessions: 1 }] });
  const joined = listen(room, "userJoined");
  const left = listen(room, "userLeft");
  connection.send(
    { type: "user_joined", room: "lobby", user_id: "bob", username: "Bob", users_count: 2, version: 2 },
    { type: "user_left", room: "lobby", user_id: "ada", username: "Ada", users_count: 1, version: 3 },
  );

  const { userId, usersCount } = await joined.take();
  assert.deepEqual([userId, usersCount], ["bob", 2]);
  assert.equal((await left.take()).userId, "ada");
  assert.deepEqual([...room.presence.users.keys()], ["bob"]);
});

test("a change that was not sent makes the client ask who is there", async () => {
  const { room, connection } = await node.joined();
  connection.send({ type: "user_joined", room: "lobby", user_id: "bob", username: "Bob", users_count: 3, version: 5 });
  const changed = listen(room, "presence");
  await connection.refuse("presence", "unavailable");
  const users = ["ada", "bob", "cem"].map((name) => ({ user_id: name, username: name, sessions: 1 }));
  await connection.confirm("presence", { users_count: 3, version: 5, users });
  while (room.presence.users.size < 3) await changed.take();

  assert.deepEqual([...room.presence.users.keys()], ["ada", "bob", "cem"]);
});

test("who is there is asked for when the program wants to know", async () => {
  const { room, connection } = await node.joined();
  const asking = room.refreshPresence();
  await connection.confirm("presence", { users_count: 1, version: 1, users: [{ user_id: "ada", username: "Ada", sessions: 2 }] });
  await asking;

  assert.equal(room.presence.users.get("ada").sessions, 2);
});

test("a command that the client does not know is sent, and its answer is the frame", async () => {
  const { room, connection } = await node.joined();
  const asking = room.request("stop", { stream_id: "s1" });
  const command = await connection.confirm("stop", { stopped_by: "ada" });

  assert.deepEqual([command.room, command.stream_id], ["lobby", "s1"]);
  assert.equal((await asking).stopped_by, "ada");
});

test("typing is sent, and told", async () => {
  const { room, connection } = await node.joined();
  const typing = listen(room, "typing");
  room.typing();
  await connection.take("typing");
  connection.send({ type: "typing", room: "lobby", user_id: "bob", username: "Bob" });

  assert.equal((await typing.take()).userId, "bob");
});
