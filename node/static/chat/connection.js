// One WebSocket to the cluster, kept alive: the only file that knows sockets, close codes and back-off.
// It reports a state (connecting, live, waiting, ended) and every frame that is not its own business.

const SUBPROTOCOL = "tannoy.v1.json";
const FIRST_DELAY_S = 0.5;
const LONGEST_DELAY_S = 30;
const STABLE_AFTER_S = 30;
const WELCOME_WITHIN_S = 15;
const SILENCE_GRACE_S = 12;
const PROBE_WITHIN_S = 5;
const ANSWER_WITHIN_S = 15;
const LOST_WITHOUT_CLOSE = 1006;

/** A command that did not succeed: the node's error code, or `disconnected` and `no_answer` of our own. */
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

/** Full jitter: anything from nothing to a ceiling that doubles, so that a crowd does not come back at once. */
export function backoffSeconds(failures, random = Math.random) {
  return random() * Math.min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** failures);
}

/** 4500-4999 say: do not come back. Everything else is worth another try. */
export function isFinal(code, bye) {
  return (code >= 4500 && code <= 4999) || bye?.reconnect === false;
}

export class Connection {
  #address; // () => URL, asked before each try
  #onState;
  #onFrame;
  #socket = null;
  #live = false;
  #failures = 0;
  #bye = null;
  #requests = new Map(); // command id -> {resolve, reject, timer}
  #nextId = 1;
  #heardAt = 0;
  #silenceLimit = WELCOME_WITHIN_S;
  #silenceTimer = 0;
  #retryTimer = 0;
  #stableTimer = 0;
  #listeners = new AbortController();

  constructor({ address, onState, onFrame }) {
    this.#address = address;
    this.#onState = onState;
    this.#onFrame = onFrame;
    const { signal } = this.#listeners;
    window.addEventListener("online", () => this.#wake(), { signal });
    window.addEventListener("offline", () => this.#probe(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#probe(), { signal });
  }

  get live() {
    return this.#live;
  }

  /** Connects at once: at the start, on the "now" button, and when the reader wants an ended session back. */
  open() {
    this.#drop();
    this.#bye = null;
    this.#onState({ name: "connecting" });
    const socket = new WebSocket(this.#address(), SUBPROTOCOL);
    socket.onmessage = (event) => this.#read(event.data);
    socket.onclose = (event) => this.#lost(event.code, event.reason);
    this.#socket = socket;
    this.#watch(WELCOME_WITHIN_S);
  }

  close() {
    this.#listeners.abort();
    this.#drop();
  }

  /** Sends a command and resolves with its `ok`, or rejects with a CommandError. */
  request(command) {
    if (!this.#live) return Promise.reject(disconnected());
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

  #send(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #read(data) {
    this.#heardAt = Date.now();
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
        this.#take(frame.id)?.resolve(frame);
        return;
      case "error":
        this.#failed(frame);
        return;
      case "welcome":
        this.#welcomed(frame);
    }
    this.#onFrame(frame);
  }

  #welcomed({ node, ping_interval: pingInterval }) {
    this.#live = true;
    this.#watch((pingInterval ?? 25) + SILENCE_GRACE_S);
    this.#stableTimer = setTimeout(() => { this.#failures = 0; }, STABLE_AFTER_S * 1000);
    this.#onState({ name: "live", node });
  }

  #failed(error) {
    const request = this.#take(error.id);
    if (request) request.reject(new CommandError(error));
    else this.#onFrame(error);
  }

  #take(id) {
    const request = this.#requests.get(id);
    if (!request) return undefined;
    this.#requests.delete(id);
    clearTimeout(request.timer);
    return request;
  }

  /** The socket is gone, or as good as gone: say so, then either end or wait for another try. */
  #lost(closeCode, closeReason) {
    const bye = this.#bye;
    const code = bye?.code ?? closeCode;
    const reason = bye?.reason ?? closeReason;
    this.#drop();
    if (isFinal(code, bye)) {
      this.#failures = 0;
      this.#onState({ name: "ended", code, reason });
      return;
    }
    const delay = this.#delaySeconds(bye);
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.open(), delay * 1000);
    this.#onState({ name: "waiting", code, reason, until: Date.now() + delay * 1000 });
  }

  /** The node's own wish first; a node that keeps turning us away cannot wish us into a tight loop. */
  #delaySeconds(bye) {
    const jitter = backoffSeconds(this.#failures);
    if (typeof bye?.retry_after !== "number") return jitter;
    return this.#failures === 0 ? bye.retry_after : Math.max(bye.retry_after, jitter);
  }

  /** Forgets the socket without waiting for its closing handshake, which may never end on a dead line. */
  #drop() {
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
    for (const id of [...this.#requests.keys()]) this.#take(id).reject(disconnected());
  }

  /** From now on a silence longer than `limit` seconds counts as a lost connection. */
  #watch(limit) {
    this.#silenceLimit = limit;
    this.#heardAt = Date.now();
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.#checkSilence(), limit * 1000);
  }

  #checkSilence() {
    const left = this.#heardAt + this.#silenceLimit * 1000 - Date.now();
    if (left > 0) this.#silenceTimer = setTimeout(() => this.#checkSilence(), left);
    else this.#lost(LOST_WITHOUT_CLOSE, "the node went silent");
  }

  /** The network or the tab came back: do not sit out a long wait. */
  #wake() {
    if (this.#retryTimer) this.open();
    else this.#probe();
  }

  /** Is the line still there? Any frame in answer will do. */
  #probe() {
    if (!this.#live) return;
    const asked = Date.now();
    const socket = this.#socket;
    this.#send({ type: "ping" });
    setTimeout(() => {
      if (this.#socket === socket && this.#heardAt < asked) this.#lost(LOST_WITHOUT_CLOSE, "the line is dead");
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
