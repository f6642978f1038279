// One WebSocket connection to the cluster that reconnects: the only file with sockets, close codes and back-off.
// It reports its state (connecting, live, waiting, ended) and every frame that it does not handle itself.

const SUBPROTOCOL = "tannoy.v1.json";
const FIRST_DELAY_S = 0.5;
const LONGEST_DELAY_S = 30;
const STABLE_AFTER_S = 30;
const WELCOME_WITHIN_S = 15;
const SILENCE_GRACE_S = 12;
const PROBE_WITHIN_S = 5;
const ANSWER_WITHIN_S = 15;
const LOST_WITHOUT_CLOSE = 1006;
const TOKEN_EXPIRED = 4401;

/** A command that failed: an error code of the node, or `disconnected` or `no_answer`. */
export class CommandError extends Error {
  constructor({ code, message, retry_after: retryAfter }) {
    super(message);
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

export function asCommandError(error) {
  if (error instanceof CommandError) return error;
  throw error;
}

/** Full jitter: a random delay up to a bound that doubles, so that many clients do not reconnect at once. */
export function backoffSeconds(failures, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** failures);
}

/** After 4500-4999 a client must not reconnect, and after 4401 not with the same token; after every other code it may. */
export function isFinal(code, bye) {
  return (code >= 4500 && code <= 4999) || code === TOKEN_EXPIRED || bye?.reconnect === false;
}

export class Connection {
  #address; // () => URL, called before each try
  #token; // () => the token to connect with, or null
  #onState;
  #onFrame;
  #socket = null;
  #live = false;
  #failures = 0;
  #bye = null;
  #refusal = null; // an `error` in place of `welcome`: why the node will close the connection
  #requests = new Map(); // command id -> {resolve, reject, timer}
  #nextId = 1;
  #messageMaxBytes = Infinity;
  #receivedAt = 0;
  #silenceLimit = WELCOME_WITHIN_S;
  #silenceTimer = 0;
  #retryTimer = 0;
  #stableTimer = 0;
  #listeners = new AbortController();

  constructor({ address, token, onState, onFrame }) {
    this.#address = address;
    this.#token = token;
    this.#onState = onState;
    this.#onFrame = onFrame;
    const { signal } = this.#listeners;
    window.addEventListener("online", () => this.#handleOnline(), { signal });
    window.addEventListener("offline", () => this.#probe(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#probe(), { signal });
  }

  get live() {
    return this.#live;
  }

  /** Connects at once: at the start, on the "Now" button, and when the user reconnects an ended session. */
  open() {
    this.#discardSocket();
    this.#bye = null;
    this.#refusal = null;
    this.#onState({ name: "connecting" });
    const token = this.#token();
    const socket = new WebSocket(this.#address(), token === null ? [SUBPROTOCOL] : [SUBPROTOCOL, "bearer", token]);
    socket.onmessage = (event) => this.#handleData(event.data);
    socket.onclose = (event) => this.#handleLoss(event.code, event.reason);
    this.#socket = socket;
    this.#setSilenceLimit(WELCOME_WITHIN_S);
  }

  close() {
    this.#listeners.abort();
    this.#discardSocket();
  }

  /** Sends a command and resolves with its `ok`, or rejects with a CommandError. */
  request(command) {
    if (!this.#live) return Promise.reject(disconnected());
    // The node would not refuse it, but close the connection.
    if (this.excessBytes(command) > 0) return Promise.reject(new CommandError({ code: "too_large", message: "too large" }));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(new CommandError({ code: "no_answer", message: "the node did not answer" }));
      }, ANSWER_WITHIN_S * 1000);
      this.#requests.set(id, { resolve, reject, timer });
      this.#send({ ...command, id });
    });
  }

  /** Bytes by which a command is larger than the node accepts, whatever its id will be; 0 or less if it is not. */
  excessBytes(command) {
    const longest = JSON.stringify({ ...command, id: Number.MAX_SAFE_INTEGER });
    return new TextEncoder().encode(longest).length - this.#messageMaxBytes;
  }

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #handleData(data) {
    this.#receivedAt = Date.now();
    const frame = parse(data);
    if (frame === null) return;
    switch (frame.type) {
      case "ping":
        this.#send({ type: "pong" });
        return;
      case "pong":
        return;
      case "bye":
        this.#bye = frame;
        return;
      case "ok":
        this.#takeRequest(frame.id)?.resolve(frame);
        return;
      case "error":
        this.#handleError(frame);
        return;
      case "welcome":
        this.#handleWelcome(frame);
    }
    this.#onFrame(frame);
  }

  #handleWelcome({ node, ping_interval: pingInterval, message_max_bytes: messageMaxBytes }) {
    this.#live = true;
    this.#messageMaxBytes = messageMaxBytes ?? Infinity;
    this.#setSilenceLimit((pingInterval ?? 25) + SILENCE_GRACE_S);
    this.#stableTimer = setTimeout(() => { this.#failures = 0; }, STABLE_AFTER_S * 1000);
    this.#onState({ name: "live", node });
  }

  #handleError(error) {
    const request = this.#takeRequest(error.id);
    if (request) request.reject(new CommandError(error));
    else if (!this.#live && this.#token() !== null) this.#refusal = error;
    else this.#onFrame(error);
  }

  #takeRequest(id) {
    const request = this.#requests.get(id);
    if (!request) return undefined;
    this.#requests.delete(id);
    clearTimeout(request.timer);
    return request;
  }

  /** The connection is lost: report it, then end or wait for the next try. */
  #handleLoss(closeCode, closeReason) {
    const bye = this.#bye;
    const code = bye?.code ?? closeCode;
    const reason = bye?.reason ?? closeReason;
    this.#discardSocket();
    if (isFinal(code, bye)) {
      this.#failures = 0;
      this.#onState({ name: "ended", code, reason, refusal: this.#refusal });
      return;
    }
    const delay = this.#delaySeconds(bye);
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.open(), delay * 1000);
    this.#onState({ name: "waiting", code, reason, until: Date.now() + delay * 1000 });
  }

  /** The first retry follows the node. A node that refuses again and again can't cause a tight loop. */
  #delaySeconds(bye) {
    const jitter = backoffSeconds(this.#failures);
    if (typeof bye?.retry_after !== "number") return jitter;
    return this.#failures === 0 ? bye.retry_after : Math.max(bye.retry_after, jitter);
  }

  /** Discards the socket without waiting for its closing handshake, which may never end. */
  #discardSocket() {
    clearTimeout(this.#silenceTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#stableTimer);
    this.#retryTimer = 0;
    this.#live = false;
    if (this.#socket) {
      this.#socket.onmessage = null;
      this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
    }
    for (const id of [...this.#requests.keys()]) this.#takeRequest(id).reject(disconnected());
  }

  /** From now on the connection counts as lost if no frame is received for `limit` seconds. */
  #setSilenceLimit(limit) {
    this.#silenceLimit = limit;
    this.#receivedAt = Date.now();
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#checkSilence(), limit * 1000);
  }

  #checkSilence() {
    const left = this.#receivedAt + this.#silenceLimit * 1000 - Date.now();
    if (left > 0) this.#silenceTimer = setTimeout(() => this.#checkSilence(), left);
    else this.#handleLoss(LOST_WITHOUT_CLOSE, "no frame was received in time");
  }

  /** The network is back: do not wait for the next try. */
  #handleOnline() {
    if (this.#retryTimer) this.open();
    else this.#probe();
  }

  /** Checks the connection with a ping; any frame counts as an answer. */
  #probe() {
    if (!this.#live) return;
    const sentAt = Date.now();
    const socket = this.#socket;
    this.#send({ type: "ping" });
    setTimeout(() => {
      if (this.#socket === socket && this.#receivedAt < sentAt) this.#handleLoss(LOST_WITHOUT_CLOSE, "no answer to a ping");
    }, PROBE_WITHIN_S * 1000);
  }
}

function disconnected() {
  return new CommandError({ code: "disconnected", message: "the connection was lost" });
}

function parse(data) {
  try {
    const frame = JSON.parse(data);
    return typeof frame?.type === "string" ? frame : null;
  } catch {
    return null;
  }
}
