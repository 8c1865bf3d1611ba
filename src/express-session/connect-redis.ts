import type { SessionData } from "express-session";
import { isForbidden, SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { toNumber } from "../redis/reply.js";
import type { Client } from "../types.js";
import type { Serializer } from "./changes.js";

/** Where connect-redis keeps a session. */
export interface LegacyKey {
  prefix: string;
  sid: string;
}

/**
 * Sessions that connect-redis wrote: strings under `<prefix><id>`. They are read, written anew in our layout, and only
 * then removed, so that a crash between two steps loses none. One that is ended in between does not come back: ending
 * leaves a mark (lua/include/leave-tombstone.lua), over which `replace` in the mode "absent" does not write.
 */
export function readLegacy(connection: Connection, key: LegacyKey): Promise<string | null> {
  return command(connection, key, (client, at) => client.get(at));
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
export async function legacyTtl(connection: Connection, key: LegacyKey): Promise<number | undefined> {
  const left = toNumber(await command(connection, key, (client, at) => client.pttl(at)));
  return left === -1 ? undefined : Math.max(left, 0) / 1000;
}

export function removeLegacy(connection: Connection, key: LegacyKey): Promise<number> {
  return command(connection, key, (client, at) => client.del(at));
}

/** @throws SessionError whose hint names the keys, where the Redis user may not use them */
async function command<Reply>(
  connection: Connection,
  { prefix, sid }: LegacyKey,
  send: (client: Client, key: string) => Promise<Reply>,
): Promise<Reply> {
  try {
    return await connection.command((client) => send(client, prefix + sid));
  } catch (error) {
    if (!isForbidden(error)) throw error;
    const { name, message, cause } = error;
    const hint = `RedisStore looks for sessions of connect-redis: allow the keys ~${prefix}*, or set legacy: false`;
    throw new SessionError(name, message, { hint, cause });
  }
}
