// How a client connects, and how much it keeps: the options of `connect`, checked.

import { BadName, ClientError, ClientMisused, type SessionEnded } from "./errors.js";
import { type Token, TokenSource } from "./tokens.js";
import { findWebSocket, type Transport, type WebSocketClass } from "./transport.js";
import { WebSocketTransport } from "./websocket.js";

/** What happens to a message when `maxQueued` others are not confirmed yet: it is refused, or the oldest is given up. */
export type QueuePolicy = "refuse" | "drop_oldest";

export interface Options {
  /** A string, or a function that returns one and is asked again before it expires. */
  token?: Token | null;
  /** Who the client is, on nodes without tokens. */
  userId?: string;
  username?: string;
  /** Called when the user has to log in: 4501, 4503, or 4401 without a function for tokens. `client.connect()` goes on. */
  onAuthError?: (error: SessionEnded) => void;
  /** False: nothing is connected before `client.connect()`. */
  autoConnect?: boolean;
  /** Failed connections in a row after which the client gives up; unlimited if it is not given. */
  maxAttempts?: number;
  /** Seconds that a question, such as `history`, may take, over reconnections: 10. */
  timeout?: number;
  /** Seconds that a message may take, over reconnections: 120; at most 240, since a node knows its key for 300. */
  sendTimeout?: number;
  /** Messages that are not confirmed yet, also those said while the client is away: 1,000. */
  maxQueued?: number;
  queuePolicy?: QueuePolicy;
  /** Messages of one channel that wait while missed ones are read, or until somebody listens: 1,000. */
  queueSize?: number;
  /** The class for WebSockets, where the platform has none: that of the package `ws`. */
  WebSocket?: WebSocketClass;
}

const NUMBERS = { maxAttempts: Infinity, timeout: 10, sendTimeout: 120, maxQueued: 1000, queueSize: 1000 };
/** Of `sendTimeout`, in seconds. */
const SEND_TIMEOUT_MAX = 240;
const POLICIES: QueuePolicy[] = ["refuse", "drop_oldest"];

/** The options of a client, all of them. */
export interface Settings extends Pick<Options, "userId" | "username" | "onAuthError">, Record<keyof typeof NUMBERS, number> {
  url: string;
  tokens: TokenSource;
  queuePolicy: QueuePolicy;
  makeTransport(): Transport;
}

/** Throws ClientError, of which TokenRefused says that the token is blank. */
export function checkOptions(url: string, options: Options): Settings {
  const socketClass = findWebSocket(options.WebSocket);
  const numbers = { ...NUMBERS };
  for (const name of Object.keys(numbers) as (keyof typeof numbers)[]) {
    const value = (numbers[name] = options[name] ?? numbers[name]);
    if (value > 0 && !(name === "sendTimeout" && value > SEND_TIMEOUT_MAX)) continue;
    throw new ClientMisused(`${name}: ${value}: allowed are numbers above 0, of sendTimeout up to ${SEND_TIMEOUT_MAX}`);
  }
  const { queuePolicy = POLICIES[0]! } = options;
  if (!POLICIES.includes(queuePolicy)) throw new ClientMisused(`queuePolicy: ${queuePolicy}: allowed are ${POLICIES.join(", ")}`);
  return {
    ...options,
    ...numbers,
    queuePolicy,
    url: checkUrl(url),
    tokens: new TokenSource(options.token),
    makeTransport: () => new WebSocketTransport(socketClass),
  };
}

/** The address with ws or wss, without a slash at its end. */
function checkUrl(url: string): string {
  if (/^(ws|http)s?:\/\/[^/?#]+[^?#]*$/.test(url)) return url.replace(/^http/, "ws").replace(/\/+$/, "");
  throw new ClientError(`${url} is not ws://HOST:PORT or wss://HOST:PORT, with the path before /ws`);
}

/** The name of a room, an agent or a session, if it is one (docs/protocol.md §1). Throws BadName. */
export function checkName(what: string, name: string): string {
  if (/^[\w.:@~-]{1,128}$/.test(name)) return name;
  const bad = /[^\w.:@~-]/.exec(name)?.[0];
  throw new BadName(`${what} ${name}: ${bad ?? `${name.length} characters`}: allowed are 1 to 128 of A-Z a-z 0-9 _ . : @ ~ -`);
}
