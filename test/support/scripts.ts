import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import type { Script } from "../../src/engine/script.js";
import { type Content, dump } from "./dump.js";
import { startRedis, type TestRedis } from "./redis.js";

/** Runs scripts as a Redis user who may touch the declared keys and no others. */
export interface TestScripts {
  readonly db: Redis;
  /** The raw reply. Redis refuses the script as soon as it touches a key that is not among `keys`. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** The reply for the only session of a run. Rejects when that is an error. */
  runOne(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
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
  const run: TestScripts["run"] = async (script, keys, args) => {
    await db.acl("SETUSER", "limited", "resetkeys", ...keys.map((key) => `~${key}`));
    return limited.eval(script.source, keys.length, ...keys, ...args);
  };
  return {
    get db() {
      return db;
    },
    run,
    async runOne(script, keys, args) {
      const replies = await run(script, keys, args);
      if (!Array.isArray(replies) || replies.length !== 1) throw new Error(`not one reply: ${replies}`);
      if (replies[0] instanceof Error) throw replies[0];
      return replies[0];
    },
  };
}

/** Fields and values, or fields alone, as scripts take them. */
export function lines(parts: readonly (string | number)[]): string {
  return parts.join("\n");
}

/** As many refs as one run of a script may serve. */
export const HUNDRED = Array.from({ length: 100 }, (_, i) => `r${i}`);

/** What `plantMixed` plants, and how it stands with each. */
export const MIXED = ["first", "missing", "moved", "text", "last"];

/** A session of alice and one of bob, and between them none, one that went to "new", and a key of another type. */
export async function plantMixed(db: Redis): Promise<void> {
  await plant(db, { ref: "first", '"cart"': "1" });
  await db.hset("moved", "to", "new");
  await db.set("text", "no hash");
  await plant(db, { ref: "last", id: '"bob"', '"cart"': "2" });
}

/** The same, afterwards: fails unless what is no session is as it was. Gives the rest of the database. */
export async function dumpMixed(db: Redis): Promise<Record<string, Content>> {
  expect(await db.getdel("text")).toBe("no hash");
  const { missing, moved, ...rest } = await dump(db);
  expect({ missing, moved }).toEqual({ missing: undefined, moved: { to: "new" } });
  return rest;
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
