import type { EventEmitter } from "node:events";
import type { Client } from "../engine/types.js";

/**
 * Tells express-session when the connection is lost ("disconnect") and when it is back ("connect"). In between it lets
 * requests pass without a session.
 */
export function watchOutage(client: Client, store: EventEmitter): void {
  let connected = true;
  client.on("close", () => {
    if (connected) store.emit("disconnect");
    connected = false;
  });
  client.on("ready", () => {
    if (!connected) store.emit("connect");
    connected = true;
  });
}
