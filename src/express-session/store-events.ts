import type { EventEmitter } from "node:events";
import type { Sink } from "../engine/event-feed.js";
import { EVENT_NAMES, emitSafely } from "../engine/events.js";
import { isStoreRef } from "./store-ref.js";

/**
 * Emits the events of a store's sessions on the store, as long as it has a listener for one.
 * @param listen begins to pass the events of the store's app to a sink, or throws; returns a function that ends it
 */
export function emitEvents(store: EventEmitter, listen: (sink: Sink) => () => void): void {
  let stop: (() => void) | undefined;
  const isOurs = (name: string | symbol) => (EVENT_NAMES as readonly (string | symbol)[]).includes(name);
  // Emitted before the listener is added, so that an engine without events refuses it.
  store.on("newListener", (name: string | symbol) => {
    if (stop !== undefined || !isOurs(name)) return;
    stop = listen({
      onEvent: (event) => {
        // An engine may hold sessions in the same app.
        if (isStoreRef(event.ref)) emitSafely(store, event.kind, event);
      },
      onSubscribed: (event) => emitSafely(store, "subscribed", event),
    });
  });
  store.on("removeListener", (name: string | symbol) => {
    if (!isOurs(name) || EVENT_NAMES.some((one) => store.listenerCount(one) > 0)) return;
    stop?.();
    stop = undefined;
  });
}
