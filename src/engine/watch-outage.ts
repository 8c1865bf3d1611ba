import type { EventEmitter } from "node:events";
import type { Client } from "./types.js";

/** Who is to be told about a client, and whether each thinks that it is connected. */
type Listeners = Map<EventEmitter, boolean>;

/** One watcher per client: a listener for each store would be a leak in Node's eyes from the eleventh on. */
const watched = new WeakMap<Client, Listeners>();

/**
 * Tells once when the connection is lost ("disconnect") and once when it is back ("connect"), in the words of
 * express-session's stores.
 */
export function watchOutage(client: Client, listener: EventEmitter): void {
  const listeners = watched.get(client) ?? watch(client);
  // Where the connection is lost already, the next vain attempt tells.
  listeners.set(listener, true);
}

function watch(client: Client): Listeners {
  const listeners: Listeners = new Map();
  watched.set(client, listeners);
  const tell = (event: string, connected: boolean) => {
    for (const [listener, before] of listeners) {
      if (before === connected) continue;
      listeners.set(listener, connected);
      listener.emit(event);
    }
  };
  client.on("close", () => tell("disconnect", false));
  client.on("ready", () => tell("connect", true));
  return listeners;
}
