// One session of an agent: it hears what is said to the agent on any node, over a connection of its own.

import { Channel, type ChannelEvents } from "./channel.js";
import type { ConnectionEvents } from "./connection-events.js";
import { tellFrame } from "./connection-events.js";
import { type Frame, OF_CHANNEL, renameFields } from "./frames.js";
import { Link, type State, type Status } from "./link.js";
import type { Settings } from "./options.js";

export interface AgentEvents<Content> extends ChannelEvents<Content>, ConnectionEvents {}

export interface AgentOptions {
  /** Names the session, else the node does. A session of this name that is open elsewhere is replaced. */
  sessionId?: string;
}

/** One of an agent's sessions, on whichever node. `connectedAt` is RFC 3339. */
export interface AgentSession {
  sessionId: string;
  userId: string;
  username: string;
  node: string;
  connectedAt: string;
}

export class Agent<Content = any> extends Channel<Content, AgentEvents<Content>> {
  #sessionId: string | null;
  readonly #onEnd: () => void;

  /** @internal */
  constructor(name: string, settings: Settings, sessionId: string | null, onEnd: () => void) {
    const owner = {
      agentId: name,
      buildQuery: () => ({ session_id: this.#sessionId, ...this.recoverFrom }),
      handleStatus: (status: Status) => this.emit("state", status),
      handleWelcome: (welcome: Frame) => {
        this.#sessionId = welcome.session_id; // the next connection replaces this one, if it is still there
        this.enter(welcome);
      },
      handleFrame: (frame: Frame) => {
        if (OF_CHANNEL.includes(frame.type)) this.receive(frame);
        else tellFrame(this, frame);
      },
      handleInterrupted: () => this.interrupt(),
    };
    super(name, new Link(settings, owner));
    this.#sessionId = sessionId;
    this.#onEnd = onEnd;
  }

  get state(): State {
    return this.link.status.state;
  }

  /** The state, and what belongs to it. */
  get status(): Status {
    return this.link.status;
  }

  /** The agent's sessions on all nodes. Rejects as `send` does. */
  async sessions(timeout?: number): Promise<AgentSession[]> {
    return (await this.request("presence", {}, timeout)).sessions.map(renameFields);
  }

  /** Connect at once: after an end, or instead of waiting for the next try. */
  connect(): void {
    this.link.connect();
  }

  /** Close the connection until `connect` is called. The session recovers then. */
  disconnect(): void {
    this.link.disconnect();
  }

  /** Look whether the connection is there still. */
  probe(): void {
    this.link.probe();
  }

  /** Close the connection. */
  close(): void {
    if (this.hasEnded) return;
    this.link.close();
    this.finish(null);
    this.#onEnd();
  }

  /** @internal */
  command(type: string, fields: object = {}): Frame {
    return { type, ...fields };
  }
}
