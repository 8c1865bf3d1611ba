import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import type { Script } from "../../src/redis/script.js";
import { type Content, dump } from "./dump.js";
import { startRedis, type TestRedis } from "./redis.js";
import { textOf } from "./session-text.js";

/** Runs scripts as a Redis user with rights for the declared keys only. */
export interface TestScripts {
  readonly db: Redis;
  /** Returns the raw reply. Redis refuses a script that accesses a key outside `keys`. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** Returns the reply for the only session of a run. Rejects if it is an error. */
  runOne(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
}

/** The five index keys. They are the first keys of every script. */
export const INDEX = ["active", "users", "expiry", "user-sessions", "user-sessions-overflow"];

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
      const reply = await run(script, keys, args);
      if (Array.isArray(reply)) throw new Error(`not one reply: ${reply}`);
      return reply;
    },
  };
}

/** Returns a change of data in the format of the scripts. */
export function changes(write: readonly (string | number)[], remove: readonly string[] = []): string {
  const written = write.flatMap((key, i) => (i % 2 === 0 ? [`\n${key}:${write[i + 1]}`] : []));
  return [...written, ...remove.map((key) => `\n${key}:`)].join("");
}

/** Invalid texts of sessions, each with a description. */
export const DAMAGED: readonly (readonly [what: string, text: string])[] = [
  ["an empty text", ""],
  ["a session of another program", '{"cookie":{"path":"/"}}'],
  ["a session that ends after its creation", "1000\n1\n1\n100\n1000"],
  ["a session that ends after its id", '1000\n1\n1\n100\n1000\n"alice"'],
  ["a session that ends after its ip", '1000\n1\n1\n100\n1000\n"alice"\n"::1"'],
  ["a session without a last use", '\n1\n1\n100\n1000\n"alice"\n"::1"\n'],
  ["a session whose read count is not a number", '1000\nx\n1\n100\n1000\n"alice"\n"::1"\n'],
  ["a session with flags but no ttl", '1000\n1\n1\n no_resave\n1000\n"alice"\n"::1"\n'],
  ["a session without a ttl", '1000\n1\n1\n\n1000\n"alice"\n"::1"\n'],
];

/** The maximum number of refs in one run of a script. */
export const HUNDRED = Array.from({ length: 100 }, (_, i) => `r${i}`);

/** The refs that `plantMixed` prepares. */
export const MIXED = ["first", "missing", "moved", "hash", "last"];

/** Writes sessions of alice and bob, and between them a redirect to "new" and a key of another type. One ref is missing. */
export async function plantMixed(db: Redis): Promise<void> {
  await plant(db, { ref: "first", '"cart"': "1" });
  await db.set("moved", ">new");
  await db.hset("hash", "no", "text");
  await plant(db, { ref: "last", id: '"bob"', '"cart"': "2" });
}

/** Expects that the refs without a session are unchanged. Returns the rest of the database. */
export async function dumpMixed(db: Redis): Promise<Record<string, Content>> {
  const { missing, moved, hash, ...rest } = await dump(db);
  expect({ missing, moved, hash }).toEqual({ missing: undefined, moved: { to: "new" }, hash: { no: "text" } });
  return rest;
}

/** Writes a session and its index entries in the documented format of `create`. */
export async function plant(
  db: Redis,
  { ref, id = '"alice"', la = 1000, ...fields }: { ref: string; id?: string; la?: number } & Record<string, unknown>,
): Promise<void> {
  const own = { id: id === '""' ? "" : id, ip: '"::1"', ttl: 100, created: 1000, la, r: 1, w: 1 };
  await db.set(ref, textOf({ ...own, ...fields }), "PX", 100_000);
  await db.zadd("active", la, ref);
  await db.zadd("expiry", 5_000_000_000_000, id + ref);
  if (id === '""') return;
  await db.zadd("users", la, id);
  await db.hset("user-sessions", id, `${(await db.hget("user-sessions", id)) ?? "\n"}${ref}\n`);
}
