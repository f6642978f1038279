// What a browser tells of the network and of the page, where there is one: also in a worker, and nowhere else.

export interface PageListener {
  /** The network is back: do not wait for the next try. */
  onOnline(): void;
  /** The connection may be lost without a word: look. */
  onDoubt(): void;
  /** The page is put into the back/forward cache, where it can't have a connection. */
  onFrozen(): void;
  /** It is back from there. */
  onThawed(): void;
}

/** Tell the listener, until the function that is returned is called. */
export function watchPage(listener: PageListener): () => void {
  const { addEventListener, document } = globalThis as { addEventListener?: unknown; document?: Document };
  if (typeof addEventListener !== "function") return () => {}; // Node and React Native
  const events: [EventTarget | undefined, string, (event: Event) => void][] = [
    [globalThis, "online", () => listener.onOnline()],
    [globalThis, "offline", () => listener.onDoubt()],
    [globalThis, "pagehide", (event) => (event as PageTransitionEvent).persisted && listener.onFrozen()],
    [globalThis, "pageshow", (event) => (event as PageTransitionEvent).persisted && listener.onThawed()],
    [document, "visibilitychange", () => document!.hidden || listener.onDoubt()],
  ];
  for (const [target, name, handle] of events) target?.addEventListener(name, handle);
  return () => {
    for (const [target, name, handle] of events) target?.removeEventListener(name, handle);
  };
}
