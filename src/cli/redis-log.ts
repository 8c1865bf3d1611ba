import { troubleOf } from "../engine/client.js";
import type { Client } from "../engine/types.js";

/** Says once when Redis goes away, and why as far as is known, and once when it is back. Gives what ends that. */
export function logRedis(client: Client): () => void {
  let isThere = true;
  const gone = () => {
    const why = troubleOf(client);
    if (isThere) console.error(`Redis is not connected${why === undefined ? "" : `: ${why.message}`}`);
    isThere = false;
  };
  const back = () => {
    if (!isThere) console.error("Redis is connected");
    isThere = true;
  };
  client.on("close", gone).on("ready", back);
  // An attempt that has failed before anybody listened.
  if (client.status === "reconnecting" || client.status === "end") gone();
  return () => void client.off("close", gone).off("ready", back);
}
