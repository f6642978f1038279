// The state of the connection: a word in the bar, and a banner with the reason of a loss and the time of the next try, or
// while the node is without Redis.

import { $, setText } from "./dom.js";

const COUNTDOWN_INTERVAL_MS = 250;
const STATE_WORDS = { idle: "Not connected", connecting: "Connecting", live: "Live", waiting: "Reconnecting", ended: "Ended" };
const BUS_DOWN = "This node can't reach Redis. You stay connected, but nothing can be sent until it is back.";
const REASONS = {
  1009: "A message was too large",
  1012: "This node is restarting",
  1013: "The connection limit is reached, too much was sent, or the node is overloaded or without Redis",
  4001: "This node is being replaced",
  4002: "This tab read too slowly",
  4003: "This tab did not answer in time",
  4004: "The node lost the state of this session",
  4401: "The token has expired",
  4500: "A newer session took the place of this one",
  4501: "The token was not accepted",
  4503: "Access is not allowed",
  4504: "An operator ended this session",
  4505: "This tab sent too many invalid frames",
  4506: "This session was opened again elsewhere",
};

export class ConnectionStatus {
  #state = { name: "idle" };
  #isInterrupted = false;

  constructor({ onOpen }) {
    $("banner-action").addEventListener("click", onOpen);
    setInterval(() => this.#updateCountdown(), COUNTDOWN_INTERVAL_MS);
  }

  update(state, isBusDown) {
    this.#state = state;
    const word = $("state");
    if (word.dataset.state !== state.name) {
      word.dataset.state = state.name;
      setText(word, STATE_WORDS[state.name]);
    }
    setText($("node"), state.name === "live" ? state.node : "");
    if (state.name === "waiting" || state.name === "ended") this.#isInterrupted = true;
    if (state.name === "live" || state.name === "idle") this.#isInterrupted = false;
    $("banner").hidden = !this.#isInterrupted && !isBusDown;
    $("banner").dataset.state = isBusDown ? "down" : state.name;
    if (isBusDown) this.#showBusDown();
    this.#updateCountdown();
  }

  #showBusDown() {
    $("banner-action").hidden = true;
    $("banner-text").setAttribute("role", "alert");
    setText($("banner-text"), BUS_DOWN);
  }

  #updateCountdown() {
    if (!this.#isInterrupted) return;
    const state = this.#state;
    const action = $("banner-action");
    const text = $("banner-text");
    action.hidden = state.name === "connecting";
    // Screen readers announce the end of a session, but not a countdown.
    if (state.name === "ended") text.setAttribute("role", "alert");
    else text.removeAttribute("role");
    if (state.name === "connecting") {
      setText(text, "Trying again…");
      return;
    }
    const reasonText = describeLoss(state);
    if (state.name === "ended") {
      setText(text, `${reasonText}. This tab does not reconnect by itself.`);
      setText(action, "Connect again");
      action.dataset.testid = "connect-again";
      return;
    }
    const seconds = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
    setText(text, `${reasonText}. Trying again in ${seconds}\u00a0s.`);
    setText(action, "Now");
    action.dataset.testid = "reconnect-now";
  }
}

function describeLoss({ name, code, reason, refusal }) {
  if (name === "waiting" && !navigator.onLine) return "You are offline";
  if (refusal && code in REASONS) return `${REASONS[code]}: ${refusal.message}`;
  return REASONS[code] ?? (reason ? `Connection lost: ${reason}` : "Connection lost");
}
