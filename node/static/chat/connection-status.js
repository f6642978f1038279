// How the line to the cluster is: the word in the bar, and the banner that says why it is gone and what comes next.

import { $, setText } from "./dom.js";

const COUNTDOWN_EVERY_MS = 250;
const STATE_WORDS = { idle: "Not connected", connecting: "Connecting", live: "Live", waiting: "Reconnecting", ended: "Ended" };
const REASONS = {
  1009: "A message was too large",
  1012: "This node is restarting",
  1013: "All places are taken just now",
  4001: "This node is being replaced",
  4002: "This tab read too slowly",
  4003: "The line went silent",
  4004: "The node lost sight of this session",
  4401: "The token has expired",
  4500: "A newer session took the place of this one",
  4501: "The token was not accepted",
  4503: "Access is not allowed",
  4504: "An operator ended this session",
  4505: "This tab sent too much that made no sense",
  4506: "This session was opened again elsewhere",
};

export class Line {
  #state = { name: "idle" };
  #interrupted = false;

  constructor({ onOpen }) {
    $("banner-action").addEventListener("click", onOpen);
    setInterval(() => this.#countDown(), COUNTDOWN_EVERY_MS);
  }

  update(state) {
    this.#state = state;
    const word = $("state");
    if (word.dataset.state !== state.name) {
      word.dataset.state = state.name;
      setText(word, STATE_WORDS[state.name]);
    }
    setText($("node"), state.name === "live" ? state.node : "");
    if (state.name === "waiting" || state.name === "ended") this.#interrupted = true;
    if (state.name === "live" || state.name === "idle") this.#interrupted = false;
    $("banner").hidden = !this.#interrupted;
    $("banner").dataset.state = state.name;
    this.#countDown();
  }

  #countDown() {
    if (!this.#interrupted) return;
    const state = this.#state;
    const action = $("banner-action");
    const text = $("banner-text");
    action.hidden = state.name === "connecting";
    // What ends for good is said aloud; a countdown is not.
    if (state.name === "ended") text.setAttribute("role", "alert");
    else text.removeAttribute("role");
    if (state.name === "connecting") {
      setText(text, "Trying again…");
      return;
    }
    const why = whyLost(state);
    if (state.name === "ended") {
      setText(text, `${why}. This tab does not come back by itself.`);
      setText(action, "Connect again");
      action.dataset.testid = "connect-again";
      return;
    }
    const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
    setText(text, `${why}. Trying again in ${seconds}\u00a0s.`);
    setText(action, "Now");
    action.dataset.testid = "reconnect-now";
  }
}

function whyLost({ name, code, reason }) {
  if (name === "waiting" && !navigator.onLine) return "You are offline";
  return REASONS[code] ?? (reason ? `Connection lost: ${reason}` : "Connection lost");
}
