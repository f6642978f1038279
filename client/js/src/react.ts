// Hooks for React: a room or an agent for as long as a component shows it.

import { useMemo, useSyncExternalStore } from "react";

import type { Agent } from "./agent.js";
import type { Channel, ChannelEvents } from "./channel.js";
import type { Client } from "./client.js";
import type { ClientError } from "./errors.js";
import type { Gap, Message, Position } from "./frames.js";
import type { Status } from "./link.js";
import type { User } from "./presence.js";
import type { Room } from "./room.js";

export interface ChannelView<Content> {
  /** The last `keep` messages, the oldest first, and a Gap wherever some may be missing between them. */
  items: readonly (Message<Content> | Gap)[];
  /** It is joined on the present connection. */
  isJoined: boolean;
  /** Of the connection. */
  status: Status;
  /** Why the room can't be joined, or the agent's session has ended. */
  error: ClientError | null;
  /** As `send` of a room: null is its position without history. Rejects if the component shows no channel. */
  send(content: Content, options?: { key?: string; timeout?: number }): Promise<Position | null>;
}

export interface RoomView<Content> extends ChannelView<Content> {
  /** In a large room not all of them; `count` counts them all. */
  users: readonly User[];
  count: number;
  typing(): void;
}

export interface ViewOptions {
  /** Messages that are kept: 200. */
  keep?: number;
  /** Messages from the history that are shown at first, at most 300: 50. */
  history?: number;
}

/**
 * A room, joined while a component shows it; null: none. Components that show the same room share it, with the options of
 * the first one.
 */
export function useRoom<Content = any>(
  client: Client,
  name: string | null,
  options: ViewOptions & { observe?: boolean } = {},
): RoomView<Content> {
  return useStore(client, `room:${name}`, name === null ? null : () => new RoomStore<Content>(client, name, options));
}

/** A session of an agent, open while a component shows it; null: none. */
export function useAgent<Content = any>(
  client: Client,
  agentId: string | null,
  options: ViewOptions & { sessionId?: string } = {},
): ChannelView<Content> {
  const make = agentId === null ? null : () => new AgentStore<Content>(client, agentId, options);
  return useStore(client, `agent:${agentId}:${options.sessionId ?? ""}`, make);
}

/** The state of the client's own connection. */
export function useStatus(client: Client): Status {
  const subscribe = useMemo(() => (onChange: () => void) => client.on("state", onChange), [client]);
  const read = () => client.status;
  return useSyncExternalStore(subscribe, read, read);
}

// ---- what the hooks read: one store for each channel of a client

const stores = new WeakMap<Client, Map<string, Store<any, any>>>();

function useStore<View>(client: Client, key: string, make: (() => Store<any, View>) | null): View {
  const store = useMemo(() => {
    const ofClient = stores.get(client) ?? new Map<string, Store<any, any>>();
    stores.set(client, ofClient);
    const found: Store<any, View> = ofClient.get(key) ?? (make ? make() : new NoStore());
    found.onUsed = () => make && ofClient.set(key, found);
    found.onUnused = () => ofClient.delete(key);
    found.onUsed();
    return found;
  }, [client, key]);
  return useSyncExternalStore(store.subscribe, store.read, store.read);
}

const NOT_CONNECTED: Status = { state: "disconnected" };

abstract class Store<Content, View> {
  onUsed: () => void = () => {};
  onUnused: () => void = () => {};
  protected view: any = {
    items: [],
    users: [],
    count: 0,
    isJoined: false,
    status: NOT_CONNECTED,
    error: null,
    send: (content: Content, options?: object) => this.send(content, options),
    typing: () => this.typing(),
  };
  #listeners = new Set<() => void>();
  #close: (() => void) | null = null;

  protected abstract open(): () => void;
  protected abstract send(content: Content, options?: object): Promise<Position | null>;
  protected typing(): void {}

  readonly read = (): View => this.view;

  /** The channel is opened for the first component. It stays a moment behind the last one: React may mount it again. */
  readonly subscribe = (onChange: () => void): (() => void) => {
    this.#listeners.add(onChange);
    this.onUsed();
    this.#close ??= this.open();
    return () => {
      this.#listeners.delete(onChange);
      setTimeout(() => this.#closeIfUnused());
    };
  };

  protected change(fields: object): void {
    this.view = { ...this.view, ...fields };
    for (const listener of this.#listeners) listener();
  }

  #closeIfUnused(): void {
    if (this.#listeners.size > 0 || !this.#close) return;
    this.#close();
    this.#close = null;
    this.onUnused();
  }
}

abstract class ChannelStore<Content, View> extends Store<Content, View> {
  protected channel: Channel<Content, any> | null = null;

  constructor(readonly options: ViewOptions) {
    super();
  }

  protected follow(channel: Channel<Content, any>): void {
    this.channel = channel;
    channel.on("joined", ({ isFirst }: ChannelEvents<Content>["joined"]) => {
      this.change({ isJoined: true, error: null, ...(isFirst && { items: [] }) }); // a channel before may have left some
      if (isFirst) void this.#loadHistory(channel);
    });
    channel.on("message", (message: Message<Content>) => this.#add(message));
    channel.on("gap", (gap: Gap) => this.#add(gap));
    channel.on("end", (error: ClientError | null) => this.change({ isJoined: false, error }));
  }

  protected showStatus(status: Status): void {
    this.change({ status, isJoined: this.channel?.isJoined ?? false, ...(status.error && { error: status.error }) });
  }

  protected send(content: Content, options?: object): Promise<Position | null> {
    if (!this.channel) return Promise.reject(new Error("the component that sends is not mounted"));
    return this.channel.send(content, options);
  }

  #add(item: Message<Content> | Gap): void {
    this.change({ items: [...this.view.items, item].slice(-(this.options.keep ?? 200)) });
  }

  /** Messages from before it was joined; they stand in front of those that came meanwhile. */
  async #loadHistory(channel: Channel<Content, any>): Promise<void> {
    const limit = this.options.history ?? 50;
    const start = channel.position;
    if (!start?.offset || limit === 0) return;
    try {
      const { messages } = await channel.history({ limit, before: start.offset + 1 });
      this.change({ items: [...messages, ...this.view.items].slice(-(this.options.keep ?? 200)) });
    } catch (error) {
      this.change({ error }); // such as a token that does not allow to read the history
    }
  }
}

class RoomStore<Content> extends ChannelStore<Content, RoomView<Content>> {
  #room: Room<Content> | null = null;

  constructor(
    readonly client: Client,
    readonly name: string,
    override readonly options: ViewOptions & { observe?: boolean },
  ) {
    super(options);
  }

  protected open(): () => void {
    const room = (this.#room = this.client.room<Content>(this.name, this.options));
    const off = this.client.on("state", (status) => this.showStatus(status));
    this.follow(room);
    room.on("presence", ({ users, count }) => this.change({ users: [...users.values()], count }));
    this.showStatus(this.client.status);
    return () => {
      off();
      room.leave();
    };
  }

  protected override typing(): void {
    this.#room?.typing();
  }
}

class AgentStore<Content> extends ChannelStore<Content, ChannelView<Content>> {
  constructor(
    readonly client: Client,
    readonly agentId: string,
    override readonly options: ViewOptions & { sessionId?: string },
  ) {
    super(options);
  }

  protected open(): () => void {
    const agent: Agent<Content> = this.client.agent<Content>(this.agentId, this.options);
    agent.on("state", (status) => this.showStatus(status));
    this.follow(agent);
    this.showStatus(agent.status);
    return () => agent.close();
  }
}

/** Of a component that shows no channel. */
class NoStore<View> extends Store<any, View> {
  protected open(): () => void {
    return () => {};
  }

  protected send(): Promise<never> {
    return Promise.reject(new Error("no channel is shown"));
  }
}
