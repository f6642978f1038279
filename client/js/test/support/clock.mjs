// A clock in the test's hand, in place of `setTimeout` and `Date.now`. It needs no experimental part of Node.

export class ManualClock {
  #now = Date.now();
  #timers = new Map();
  #last = 0;
  #real = { setTimeout, clearTimeout, now: Date.now };

  install() {
    globalThis.setTimeout = (call, delay = 0) => {
      this.#timers.set(++this.#last, { call, at: this.#now + delay });
      return this.#last;
    };
    globalThis.clearTimeout = (id) => {
      if (!this.#timers.delete(id)) this.#real.clearTimeout(id); // it may be from before
    };
    Date.now = () => this.#now;
    return this;
  }

  restore() {
    globalThis.setTimeout = this.#real.setTimeout;
    globalThis.clearTimeout = this.#real.clearTimeout;
    Date.now = this.#real.now;
  }

  /** Let so many milliseconds pass; timers run in their order. */
  advance(milliseconds) {
    const end = this.#now + milliseconds;
    for (;;) {
      const [id, timer] = [...this.#timers].sort(([, one], [, other]) => one.at - other.at)[0] ?? [];
      if (timer === undefined || timer.at > end) break;
      this.#now = Math.max(this.#now, timer.at);
      this.#timers.delete(id);
      timer.call();
    }
    this.#now = end;
  }
}
