export type { Agent, AgentEvents, AgentOptions, AgentSession } from "./agent.js";
export type { ChannelEvents, HistoryOptions, HistoryPage, SendOptions } from "./channel.js";
export { type Client, connect } from "./client.js";
export type { ConnectionEvents, NodeError, PrivateMessage } from "./connection-events.js";
export {
  AccessForbidden,
  BadName,
  ClientError,
  ClientMisused,
  CommandRefused,
  ConnectionLost,
  Disconnected,
  Evicted,
  NoAnswer,
  QueueFull,
  Replaced,
  SessionEnded,
  TokenExpired,
  TokenRefused,
  TooManyBadFrames,
  Unconfirmed,
  UserChanged,
} from "./errors.js";
export type { Frame, Gap, Message, Position, StreamFrame } from "./frames.js";
export type { State, Status } from "./link.js";
export type { Options, QueuePolicy } from "./options.js";
export type { Presence, User } from "./presence.js";
export type { Room, RoomChange, RoomEvents, RoomOptions, RoomUser } from "./room.js";
export type { Token, TokenProvider } from "./tokens.js";
export type { WebSocketClass, WebSocketLike } from "./transport.js";
