// A node whose every frame the test says: for what a real one does rarely, or never twice in the same way.
import { once } from "node:events";

import { WebSocket, WebSocketServer } from "ws";

import { connect } from "../../dist/esm/index.js";

const BUSY_MACHINE_MS = 20_000;
const { setTimeout, clearTimeout } = globalThis; // also where a test has a clock of its own

/** The value, or an error that says what did not come. */
export async function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), BUSY_MACHINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Values that come one after the other, and are taken one by one. */
export class Queue {
  #values = [];
  #takers = [];

  put(value) {
    const taker = this.#takers.shift();
    if (taker) taker(value);
    else this.#values.push(value);
  }

  take(what = "a value") {
    if (this.#values.length > 0) return Promise.resolve(this.#values.shift());
    return within(new Promise((resolve) => this.#takers.push(resolve)), what);
  }

  get isEmpty() {
    return this.#values.length === 0;
  }
}

/** The events of one name, one by one. */
export function listen(emitter, name) {
  const queue = new Queue();
  emitter.on(name, (event) => queue.put(event));
  return queue;
}

/** The next event of this name that fulfils the condition. */
export function nextEvent(emitter, name, condition = () => true) {
  const found = new Promise((resolve) => {
    const off = emitter.on(name, (event) => {
      if (!condition(event)) return;
      off();
      resolve(event);
    });
  });
  return within(found, name);
}

export function reaches(client, state) {
  return client.state === state ? Promise.resolve(client.status) : nextEvent(client, "state", (status) => status.state === state);
}

class Connection {
  #frames = new Queue();

  constructor(socket, request) {
    this.socket = socket;
    this.url = new URL(request.url, "http://node");
    this.protocols = request.headers["sec-websocket-protocol"];
    this.closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
    socket.on("message", (data) => this.#frames.put(JSON.parse(data)));
  }

  /** The next command, which has to be of this type. */
  async take(type) {
    const frame = await this.#frames.take(type);
    if (frame.type !== type) throw new Error(`${type} was expected, not ${JSON.stringify(frame)}`);
    return frame;
  }

  get isSilent() {
    return this.#frames.isEmpty;
  }

  send(...frames) {
    for (const frame of frames) this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  welcome(fields = {}) {
    this.send({
      type: "welcome",
      session_id: "s-1",
      user_id: "ada",
      username: "Ada",
      node: "node-1",
      ping_interval: 25,
      message_max_bytes: 65536,
      ...fields,
    });
  }

  /** Answer the next command of this type with `ok`; returns the command. */
  async confirm(type, fields = {}) {
    const command = await this.take(type);
    this.send({ type: "ok", id: command.id, ...fields });
    return command;
  }

  async refuse(type, code, fields = {}) {
    const command = await this.take(type);
    this.send({ type: "error", id: command.id, code, message: code, ...fields });
    return command;
  }

  /** Answer a join: one user, at this position. */
  confirmJoin(fields = {}) {
    return this.confirm("join", { users_count: 1, version: 1, users: [], epoch: "e1", offset: 0, ...fields });
  }

  bye(code, { reconnect = code < 4500, ...fields } = {}) {
    this.send({ type: "bye", code, reason: "told", reconnect, ...fields });
    this.socket.close(code, "told");
  }
}

export class ScriptedNode {
  #connections = new Queue();
  #clients = [];

  static async start() {
    const node = new ScriptedNode();
    node.server = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "tannoy.v1.json" });
    await once(node.server, "listening");
    node.url = `ws://127.0.0.1:${node.server.address().port}`;
    node.server.on("connection", (socket, request) => node.#connections.put(new Connection(socket, request)));
    return node;
  }

  connect(options = {}) {
    const client = connect(this.url, { WebSocket, ...options });
    this.#clients.push(client);
    return client;
  }

  accept() {
    return this.#connections.take("a connection");
  }

  /** A client that is connected, and its connection. */
  async connected(options = {}, welcome = {}) {
    const client = this.connect(options);
    const connection = await this.accept();
    connection.welcome(welcome);
    await reaches(client, "connected");
    return { client, connection };
  }

  /** A client in the room, and its connection. */
  async joined(options = {}, join = {}) {
    const { client, connection } = await this.connected(options);
    const room = client.room("lobby");
    await connection.confirmJoin(join);
    await room.ready();
    return { client, connection, room };
  }

  /** Close all that a test has opened, so that the next one begins with nothing. */
  async reset() {
    for (const client of this.#clients.splice(0)) client.close();
    for (const socket of this.server.clients) {
      socket.terminate();
      await once(socket, "close");
    }
    this.#connections = new Queue();
  }

  async stop() {
    await this.reset();
    this.server.close();
    await once(this.server, "close");
  }
}

/** A message of the room, as a node sends it. */
export function message(offset, fields = {}) {
  return {
    type: "message",
    room: "lobby",
    user_id: "bob",
    username: "Bob",
    session_id: "s-2",
    content: { text: `m${offset}` },
    timestamp: `2026-01-01T00:00:00.${String(offset).padStart(3, "0")}Z`,
    offset,
    ...fields,
  };
}
