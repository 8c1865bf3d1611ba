import type { Redis } from "ioredis";
import { internalsOf } from "../../src/engine/internals.js";
import type { RedisSessions } from "../../src/index.js";
import type { Resharded, ReshardOptions } from "../../src/sessions/reshard.js";

/** The lease of the engines of tests that move an app, ms. */
export const LEASE = 100;

/** How long the move waits in tests, ms. */
const WAIT = 4 * LEASE;

/** Moves an app as the command does, with a shorter wait. */
export function reshard(
  rs: RedisSessions,
  app: string,
  to: number,
  options: Partial<ReshardOptions> = {},
): Promise<Resharded> {
  return internalsOf(rs).reshard(app, {
    to,
    dryRun: false,
    wait: WAIT,
    signal: new AbortController().signal,
    onProgress: () => {},
    ...options,
  });
}

/** The keys of an app with this number of shards, but those that expire soon by themselves. */
export async function keysOfShards(db: Redis, app: string, shards: number): Promise<string[]> {
  const keys = await db.keys(shards === 1 ? `rs:{${app}}:*` : `rs:{${app}.${shards}.*`);
  return keys.filter((key) => !/\}:(fence|moved):.*$/.test(key));
}
