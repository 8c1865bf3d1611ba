import type { EventEmitter } from "node:events";
import type { Client } from "../engine/types.js";

/** The stores on a client, and whether each thinks that it is connected. */
type Stores = Map<EventEmitter, boolean>;

/** One watcher per client: a listener for each store would be a leak in Node's eyes from the eleventh on. */
const watched = new WeakMap<Client, Stores>();

/**
 * Tells express-session when the connection is lost ("disconnect") and when it is back ("connect"). In between it lets
 * requests pass without a session.
 */
export function watchOutage(client: Client, store: EventEmitter): void {
  const stores = watched.get(client) ?? watch(client);
  // Where the connection is lost already, the next vain attempt tells.
  stores.set(store, true);
}

function watch(client: Client): Stores {
  const stores: Stores = new Map();
  watched.set(client, stores);
  const tell = (event: string, connected: boolean) => {
    for (const [store, before] of stores) {
      if (before === connected) continue;
      stores.set(store, connected);
      store.emit(event);
    }
  };
  client.on("close", () => tell("disconnect", false));
  client.on("ready", () => tell("connect", true));
  return stores;
}
