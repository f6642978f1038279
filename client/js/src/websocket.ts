// A connection over a WebSocket: docs/protocol.md §2.

import { NO_CLOSE_FRAME } from "./closing.js";
import type { Frame } from "./frames.js";
import {
  buildQuery,
  type Endpoint,
  parseFrame,
  type Transport,
  type WebSocketClass,
  type WebSocketLike,
} from "./transport.js";

const SUBPROTOCOL = "tannoy.v1.json";
const OPEN = 1;

export class WebSocketTransport implements Transport {
  onframe: (frame: Frame) => void = () => {};
  onclose: (code: number, reason: string) => void = () => {};
  #socket: WebSocketLike | null = null;

  constructor(readonly socketClass: WebSocketClass) {}

  /** A browser can't set headers, so the token is a subprotocol beside that of the wire format. */
  open(url: string, { agentId, query }: Endpoint, token: string | null): void {
    const path = agentId === null ? "/ws" : `/ws/agents/${encodeURIComponent(agentId)}`;
    const protocols = token === null ? [SUBPROTOCOL] : [SUBPROTOCOL, "bearer", token];
    const socket = (this.#socket = new this.socketClass(url + path + buildQuery(query), protocols));
    let failure = "";
    socket.onmessage = ({ data }) => {
      const frame = parseFrame(data);
      if (frame) this.onframe(frame);
      else this.#end(NO_CLOSE_FRAME, "the node sent a frame that can't be read");
    };
    socket.onclose = ({ code, reason }) => this.#end(code ?? NO_CLOSE_FRAME, reason || failure);
    socket.onerror = ({ message }) => {
      failure = message ?? ""; // browsers do not tell; a close event follows
    };
  }

  send(command: string): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(command);
  }

  /** Does not wait for the closing handshake, which may never end. */
  close(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.onerror = () => {}; // the package `ws` throws an error to which nobody listens
    socket.close();
  }

  #end(code: number, reason: string): void {
    this.close();
    this.onclose(code, reason);
  }
}
