import { EventEmitter } from "node:events";
import { troubleOf } from "../engine/client.js";
import type { Client } from "../engine/types.js";
import { watchOutage } from "../engine/watch-outage.js";

/** Says once when Redis goes away, and why as far as is known, and once when it is back. Gives what ends that. */
export function logRedis(client: Client): () => void {
  const log = new EventEmitter()
    .on("disconnect", () => {
      const why = troubleOf(client);
      console.error(`Redis is not connected${why === undefined ? "" : `: ${why.message}`}`);
    })
    .on("connect", () => console.error("Redis is connected"));
  watchOutage(client, log);
  // A connection that was given up makes no further attempt, which would tell.
  if (client.status === "end") log.emit("disconnect");
  return () => void log.removeAllListeners();
}
