// What goes over the wire (docs/protocol.md §3 and §4), as far as the client reads it.

/** One object on the wire. A type or a field that is not known here is left alone: later versions may add some. */
export interface Frame {
  type: string;
  [field: string]: any;
}

/** A place in a channel: within an epoch the offsets of its messages are contiguous. */
export interface Position {
  epoch: string;
  offset: number;
}

/** One message of a room or an agent. */
export interface Message<Content = unknown> {
  type: "message";
  content: Content;
  /** Its number in the channel; null without history. */
  offset: number | null;
  /** The author; null where a back end named none. */
  userId: string | null;
  username: string | null;
  sessionId: string | null;
  /** RFC 3339, in UTC with milliseconds. */
  timestamp: string;
}

/** A frame of a stream, a text that grows: docs/protocol.md §12. */
export interface StreamFrame {
  /** `stream`: it has begun, or its whole text so far. `delta`: it goes on. `stream_end`: it stands for the message. */
  type: "stream" | "delta" | "stream_end";
  streamId: string;
  /** Bytes in UTF-8 of the text before this piece, and with it. */
  from?: number;
  to: number;
  text?: string;
  /** Of `stream`. */
  userId?: string | null;
  username?: string | null;
  meta?: unknown;
  timestamp?: string;
  /** Of `stream_end`, with its offset in the history. */
  status?: "done" | "failed" | "stopped" | "lost";
  offset?: number;
}

/** The types of frames that belong to the messages of a channel, in their order. */
export const OF_CHANNEL = ["message", "resync", "stream", "delta", "stream_end"];

/**
 * Messages after the position `after`, up to and including `until`, may be missing: no node can send them any more.
 * Null: that end is not known, as without history.
 */
export interface Gap {
  type: "gap";
  channel: string;
  after: Position | null;
  until: Position | null;
  /** Redis has lost data: messages behind the gap may be repetitions, but for the last 300 that were read. */
  isNewEpoch: boolean;
}

/** The position in a `welcome`, a `resync` or an answer; null if the cluster keeps no history. */
export function positionOf(frame: Frame): Position | null {
  return typeof frame.epoch === "string" ? { epoch: frame.epoch, offset: frame.offset } : null;
}

/** The fields of a frame by the names that they have in JavaScript: `user_id` is `userId`. Their values stay as they are. */
export function renameFields(frame: object): any {
  return Object.fromEntries(
    Object.entries(frame).map(([name, value]) => [name.replace(/_(.)/g, (_, letter) => letter.toUpperCase()), value]),
  );
}

export function parseMessage(frame: Frame): Message<any> {
  return { offset: null, ...renameFields(frame), type: "message" };
}

export function makeGap(channel: string, after: Position | null, until: Position | null): Gap {
  return { type: "gap", channel, after, until, isNewEpoch: !!after && !!until && after.epoch !== until.epoch };
}
