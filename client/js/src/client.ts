// `connect`: a client of a running cluster, with rooms, agents, private messages and events.

import { Agent, type AgentOptions } from "./agent.js";
import { call } from "./calls.js";
import { type ConnectionEvents, tellFrame } from "./connection-events.js";
import { Emitter } from "./emitter.js";
import { type Frame, OF_CHANNEL } from "./frames.js";
import { Link, type State, type Status } from "./link.js";
import { checkName, checkOptions, type Options, type Settings } from "./options.js";
import { Room, type RoomOptions } from "./room.js";

/**
 * Connect to a cluster. `url`: `ws://host:port` or `wss://host:port` of a node or load balancer, with a path before which
 * `/ws` is found, if there is one. Throws ClientError for a bad argument.
 */
export function connect(url: string, options: Options = {}): Client {
  const client = new Client(url, options);
  if (options.autoConnect !== false) client.connect();
  return client;
}

/** One user of a cluster. It reconnects by itself, and joins its rooms again. */
export class Client extends Emitter<ConnectionEvents> {
  readonly #settings: Settings;
  readonly #link: Link;
  readonly #rooms = new Map<string, Room>();
  readonly #agents = new Set<Agent>();

  /** @internal */
  constructor(url: string, options: Options) {
    super();
    this.#settings = checkOptions(url, options);
    this.#link = new Link(this.#settings, {
      agentId: null,
      buildQuery: () => ({}),
      handleStatus: (status) => this.emit("state", status),
      handleWelcome: () => {
        for (const room of this.#rooms.values()) void room.join(); // a new connection is in no room
      },
      handleFrame: (frame) => this.#handleFrame(frame),
      handleInterrupted: () => {
        for (const room of this.#rooms.values()) room.interrupt();
      },
    });
  }

  get state(): State {
    return this.#link.status.state;
  }

  /** The state, and what belongs to it. */
  get status(): Status {
    return this.#link.status;
  }

  /** Who the client is, as the node said; null before the first connection. */
  get userId(): string | null {
    return this.#link.userId;
  }

  /** Connect at once: first, after an end, or instead of waiting for the next try. */
  connect(): void {
    this.#link.connect();
  }

  /** Close the connection until `connect` is called. Rooms stay, and recover then. */
  disconnect(): void {
    this.#link.disconnect();
  }

  /** Close all connections for good. */
  close(): void {
    for (const agent of [...this.#agents]) agent.close();
    this.#link.close();
    for (const room of this.#rooms.values()) room.finish(null);
    this.#rooms.clear();
  }

  /** Look whether the connections are there still: where an app knows of a change of the network, as in React Native. */
  probe(): void {
    this.#link.probe();
    for (const agent of this.#agents) agent.probe();
  }

  /** A room, which is joined as soon as there is a connection; the same one until it was left. Throws BadName. */
  room<Content = any>(name: string, { observe = false }: RoomOptions = {}): Room<Content> {
    const known = this.#rooms.get(checkName("room", name));
    if (known) return known;
    const room = new Room<Content>(name, this.#link, observe, () => this.#rooms.delete(name));
    this.#rooms.set(name, room);
    if (this.#link.isLive) void room.join();
    return room;
  }

  /** Join a room, or return it if it is joined already. Rejects with BadName, CommandRefused and NoAnswer. */
  async join<Content = any>(name: string, options?: RoomOptions & { timeout?: number }): Promise<Room<Content>> {
    const known = this.#rooms.has(name);
    const room = this.room<Content>(name, options);
    try {
      return await room.ready(options?.timeout);
    } catch (error) {
      if (!known) room.leave();
      throw error;
    }
  }

  /** Open a session of an agent, over a connection of its own; `await agent.ready()` waits for it. Throws BadName. */
  agent<Content = any>(agentId: string, { sessionId }: AgentOptions = {}): Agent<Content> {
    const wanted = sessionId === undefined ? null : checkName("session_id", sessionId);
    const agent = new Agent<Content>(checkName("agent_id", agentId), this.#settings, wanted, () => {
      this.#agents.delete(agent);
    });
    this.#agents.add(agent);
    agent.connect();
    return agent;
  }

  /**
   * Send a private message to all sessions of a user; how many received it. It is not sent again once it was sent.
   * Rejects with CommandRefused, Unconfirmed, NoAnswer.
   */
  async private(userId: string, content: unknown, timeout?: number): Promise<number> {
    return (await this.request("private", { to: userId, content }, timeout, false)).sessions;
  }

  /** Send any command of the protocol until it is answered: its `ok`. Without `repeats` it is sent once at most. */
  request(type: string, fields: object = {}, timeout = this.#settings.timeout, repeats = true): Promise<Frame> {
    return call(this.#link, { type, ...fields }, { timeout, repeats });
  }

  /** Under which name it connects next, on nodes without tokens. */
  set username(username: string) {
    this.#settings.username = username;
  }

  #handleFrame(frame: Frame): void {
    const room = this.#rooms.get(frame.room);
    if (OF_CHANNEL.includes(frame.type)) return room?.receive(frame);
    switch (frame.type) {
      case "typing":
      case "user_joined":
      case "user_left":
      case "presence":
        room?.handleFrame(frame);
        break;
      default:
        tellFrame(this, frame);
    }
  }
}
