// The top of a conversation: what was said before it is read when the reader asks for it.

const WORDS = {
  more: "Load older messages",
  reading: "Loading…",
  failed: "Older messages could not be loaded. Try again",
};

export class Older {
  element = document.createElement("li");
  #state = "none";
  #button = document.createElement("button");
  #end = document.createElement("span");

  constructor({ onOlder }) {
    this.element.className = "older";
    this.#button.type = "button";
    this.#button.dataset.testid = "load-older";
    this.#button.addEventListener("click", () => { if (this.#state !== "reading") onOlder(); });
    this.#end.dataset.testid = "no-older";
    this.#end.textContent = "No older messages are kept.";
    this.element.append(this.#button, this.#end);
    this.state = "none";
  }

  /** "none": there is nothing to say; "more", "reading", "failed"; "end": nothing older is kept. */
  set state(state) {
    const hadFocus = document.activeElement === this.#button;
    this.#state = state;
    this.element.hidden = state === "none";
    this.#button.hidden = !(state in WORDS);
    this.#button.textContent = WORDS[state] ?? "";
    this.#end.hidden = state !== "end";
    if (hadFocus && this.#button.hidden) this.element.closest("[tabindex]")?.focus();
  }

  get state() {
    return this.#state;
  }
}

/** Puts something in above what the reader looks at, which stays where it is. It is not read out. */
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
