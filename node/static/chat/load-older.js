// The top of a conversation: a button that loads older messages, or a note that none are kept.

const BUTTON_TEXTS = {
  more: "Load older messages",
  reading: "Loading…",
  failed: "Older messages could not be loaded. Try again",
};

export class LoadOlder {
  element = document.createElement("li");
  #state = "none";
  #button = document.createElement("button");
  #end = document.createElement("span");

  constructor({ onLoad }) {
    this.element.className = "older";
    this.#button.type = "button";
    this.#button.dataset.testid = "load-older";
    this.#button.addEventListener("click", () => { if (this.#state !== "reading") onLoad(); });
    this.#end.dataset.testid = "no-older";
    this.#end.textContent = "No older messages are kept.";
    this.element.append(this.#button, this.#end);
    this.state = "none";
  }

  /** "none": show nothing; "more", "reading" and "failed": show the button; "end": no older message is kept. */
  set state(state) {
    const hadFocus = document.activeElement === this.#button;
    this.#state = state;
    this.element.hidden = state === "none";
    this.#button.hidden = !(state in BUTTON_TEXTS);
    this.#button.textContent = BUTTON_TEXTS[state] ?? "";
    this.#end.hidden = state !== "end";
    if (hadFocus && this.#button.hidden) this.element.closest("[tabindex]")?.focus();
  }

  get state() {
    return this.#state;
  }
}

/** Runs `insert`, which adds elements above the visible ones, without moving those. Screen readers do not announce them. */
export function insertAbove(scroller, insert) {
  if (!scroller) {
    insert();
    return;
  }
  const below = scroller.scrollHeight - scroller.scrollTop;
  scroller.setAttribute("aria-live", "off");
  insert();
  scroller.scrollTop = scroller.scrollHeight - below;
  requestAnimationFrame(() => scroller.setAttribute("aria-live", "polite"));
}
