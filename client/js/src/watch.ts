// Whether a connection is there still: something has to be received in time.

/** Seconds within which a node has to send its first frame. */
const WELCOME_SECONDS = 15;
/** Seconds without a frame, beyond `ping_interval`, after which the connection counts as lost. */
const SILENCE_GRACE = 12;
/** Seconds within which something has to come behind a `ping` of the client. */
const PROBE_SECONDS = 5;

export class Watch {
  #heardAt = 0;
  #limit = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #probeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly sendPing: () => void,
    readonly onSilence: (reason: string) => void,
  ) {}

  /** A connection is being opened. */
  start(): void {
    this.#expectWithin(WELCOME_SECONDS);
  }

  /** From now on the node sends something every `interval` seconds. */
  expectPings(interval: number): void {
    this.#expectWithin(interval + SILENCE_GRACE);
  }

  heard(): void {
    this.#heardAt = Date.now();
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
  }

  /** Ask the node for a sign of life. */
  probe(): void {
    if (this.#probeTimer !== undefined) return;
    this.#probeTimer = setTimeout(() => this.onSilence("no answer to a ping"), PROBE_SECONDS * 1000);
    this.sendPing();
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#probeTimer);
    this.#probeTimer = undefined;
  }

  #expectWithin(seconds: number): void {
    this.#limit = seconds * 1000;
    this.#heardAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), this.#limit);
  }

  #check(): void {
    const left = this.#heardAt + this.#limit - Date.now();
    if (left > 0) this.#timer = setTimeout(() => this.#check(), left);
    else this.onSilence(`nothing was received for ${this.#limit / 1000} s`);
  }
}
