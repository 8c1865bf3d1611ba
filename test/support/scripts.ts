import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach } from "vitest";
import type { Script } from "../../src/engine/script.js";
import { startRedis, type TestRedis } from "./redis.js";

/** Runs scripts as a Redis user who may touch the declared keys and no others. */
export interface TestScripts {
  readonly db: Redis;
  /** The raw reply. Redis refuses the script as soon as it touches a key that is not among `keys`. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
}

/** The four index keys, as every script takes them first. */
export const INDEX = ["active", "users", "expiry", "owners"];

/** Call it at the top of a test file. */
export function useScripts(): TestScripts {
  let redis: TestRedis;
  let db: Redis;
  let limited: Redis;
  beforeAll(async () => {
    redis = await startRedis();
    db = redis.client();
    await db.acl("SETUSER", "limited", "on", "nopass", "+@all");
    limited = redis.client({ username: "limited", password: "any" });
  });
  beforeEach(() => db.flushdb());
  afterAll(() => redis.stop());
  return {
    get db() {
      return db;
    },
    async run(script, keys, args) {
      await db.acl("SETUSER", "limited", "resetkeys", ...keys.map((key) => `~${key}`));
      return limited.eval(script.source, keys.length, ...keys, ...args);
    },
  };
}

/** Writes a session and its index entries by hand, as `create` is documented to leave them. */
export async function plant(
  db: Redis,
  { ref, id = '"alice"', la = 1000, ...fields }: { ref: string; id?: string; la?: number } & Record<string, unknown>,
): Promise<void> {
  const hash = { id, ip: '"::1"', ttl: 100, created: 1000, la, r: 1, w: 1, ...fields };
  await db.hset(ref, Object.fromEntries(Object.entries(hash).map(([name, value]) => [name, String(value)])));
  await db.pexpire(ref, 100_000);
  await db.zadd("active", la, ref);
  await db.zadd("expiry", 5_000_000_000_000, id + ref);
  if (id === '""') return;
  await db.zadd("users", la, id);
  await db.zadd("owners", 0, id + ref);
}
