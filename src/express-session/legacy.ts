import type { SessionData } from "express-session";
import type { Connection } from "../engine/connection.js";
import { SessionError } from "../engine/errors.js";
import { toNumber } from "../engine/reply.js";
import type { Serializer } from "./serialize.js";

/**
 * Sessions that connect-redis wrote: strings under `<prefix><id>`. They are read, written anew in our layout, and only
 * then removed, so that a crash between two steps loses none. One that is ended in between does not come back: ending
 * leaves a mark (lua/include/leave-mark.lua), over which `replace` in the mode "absent" does not write.
 */
export function readLegacy(connection: Connection, key: string): Promise<string | null> {
  return connection.command((client) => client.get(key));
}

/** @throws SessionError `redisError` for a text that is no session */
export async function parseLegacy(text: string, serializer: Serializer): Promise<SessionData> {
  let left: unknown;
  try {
    left = await serializer.parse(text);
  } catch {
    // What it says may quote the session.
  }
  if (typeof left === "object" && left !== null) return left as SessionData;
  throw new SessionError(
    "redisError",
    "A session that connect-redis left cannot be read. Was it written with another serializer?",
  );
}

/** Seconds that it still lives: 0 when it is gone, undefined when it has no end. */
export async function legacyLife(connection: Connection, key: string): Promise<number | undefined> {
  const left = toNumber(await connection.command((client) => client.pttl(key)));
  return left === -1 ? undefined : Math.max(left, 0) / 1000;
}

export function removeLegacy(connection: Connection, key: string): Promise<number> {
  return connection.command((client) => client.del(key));
}
