// What carries the frames of one connection. A client knows no more of it than this.

import { ClientMisused } from "./errors.js";
import type { Frame } from "./frames.js";

/** The session that is wanted: of an agent, or, with null, one that joins rooms. */
export interface Endpoint {
  agentId: string | null;
  query: Record<string, string | number | null | undefined>;
}

/** One connection, opened once. It calls `onclose` once, unless `close` was called, and nothing after either. */
export interface Transport {
  onframe: (frame: Frame) => void;
  /** With the close code of docs/protocol.md §5, or 1006 if the connection ended without one. */
  onclose: (code: number, reason: string) => void;
  /** `url` is that of the cluster, `ws://…` or `wss://…`. */
  open(url: string, endpoint: Endpoint, token: string | null): void;
  /** Send one command as JSON. It is dropped if the connection has ended. */
  send(command: string): void;
  close(): void;
}

/** The part of the class WebSocket that is used: of browsers, Node, React Native, and of the package `ws`. */
export interface WebSocketClass {
  new (address: string, protocols: string[]): WebSocketLike;
}

export interface WebSocketLike {
  readonly readyState: number;
  onmessage: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  send(data: string): void;
  close(): void;
}

/** The query with its fields that have a value, or an empty text. */
export function buildQuery(query: Endpoint["query"]): string {
  const given = Object.entries(query).filter(([, value]) => value != null);
  return given.map(([name, value], index) => `${index ? "&" : "?"}${name}=${encodeURIComponent(value!)}`).join("");
}

/** The frame of a text; null if it is none. */
export function parseFrame(text: unknown): Frame | null {
  try {
    const frame = JSON.parse(text as string);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}

/** The class for WebSockets: the one that was given, or that of the platform. */
export function findWebSocket(given: WebSocketClass | undefined): WebSocketClass {
  const found = given ?? (globalThis as { WebSocket?: WebSocketClass }).WebSocket;
  if (found) return found;
  throw new ClientMisused(
    "there is no WebSocket here: give connect() that of the package ws",
  );
}
