// What a connection tells besides the messages of channels.

import type { Emitter } from "./emitter.js";
import { type Frame, renameFields } from "./frames.js";
import type { Status } from "./link.js";

/** Private messages are stored nowhere: those that were sent while the client was away are lost. */
export interface PrivateMessage {
  fromUserId: string | null;
  fromUsername: string | null;
  content: any;
  /** RFC 3339. */
  timestamp: string;
}

export interface NodeError {
  code: string;
  message: string;
}

export interface ConnectionEvents {
  state: Status;
  private: PrivateMessage;
  /** `down`: the node is without Redis, and nothing can be sent until it is `up` again. */
  bus: "up" | "down";
  /** The node reported an error that answers no call of the program. */
  nodeError: NodeError;
  /** A frame of a type that this version does not know. */
  frame: Frame;
}

/** @internal The event of a frame that belongs to no channel. */
export function tellFrame(emitter: Pick<Emitter<any>, "emit">, frame: Frame): void {
  switch (frame.type) {
    case "private":
    case "error":
      return emitter.emit(frame.type === "error" ? "nodeError" : "private", renameFields(frame));
    case "status":
      return emitter.emit("bus", frame.bus);
    default:
      emitter.emit("frame", frame);
  }
}
