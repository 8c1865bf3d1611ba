import type { Connection } from "../engine/connection.js";

/**
 * Sessions that connect-redis wrote: strings under `<prefix><id>`. They are read, written anew in our layout, and only
 * then removed, so that a crash between two steps loses none. That one which is ended meanwhile does not come back is
 * the mark's doing that ending leaves (see lua/include/bury.lua).
 */
export function readLegacy(connection: Connection, key: string): Promise<string | null> {
  return connection.command((client) => client.get(key));
}

export function removeLegacy(connection: Connection, key: string): Promise<number> {
  return connection.command((client) => client.del(key));
}
