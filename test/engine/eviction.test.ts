import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

// Redis evicts sessions before their time; the index, which has no TTL, stays.

const app = "webapp";
const ip = "127.0.0.1";

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis(["--maxmemory", "4mb", "--maxmemory-policy", "volatile-lru"]);
});
beforeEach(() => redis.client().flushdb());
afterAll(() => redis.stop());

/** Creates sessions, far more than Redis has memory for. Returns how many sign-ins failed. */
async function signIn(rs: RedisSessions, count: number): Promise<number> {
  let failed = 0;
  for (let from = 0; from < count; from += 100) {
    const calls = Array.from({ length: 100 }, (_, i) => rs.create({ app, id: `user${from + i}`, ip }));
    failed += (await Promise.allSettled(calls)).filter(({ status }) => status === "rejected").length;
  }
  return failed;
}

describe("with volatile-lru", () => {
  test("sign-ins succeed when the index has taken all memory", async () => {
    const db = redis.client();
    const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 20_000 });
    expect(await signIn(rs, 15_000)).toBe(0);
    // At its limit Redis may evict a session as soon as it is there: the wiper comes by.
    await rs.wipe();
    const last = await rs.create({ app, id: "last", ip });
    expect(await rs.get({ app, token: last.token })).toMatchObject({ id: "last" });
    // Each entry takes some 300 bytes: 15,000 do not fit.
    expect(await db.zcard("rs:{webapp}:expiry")).toBeLessThan(14_000);
  });

  test("new sessions of a store succeed, too", async () => {
    const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 20_000 });
    const store = new RedisStore({ rs, app, legacy: false });
    await signIn(rs, 15_000);
    await rs.wipe();
    for (let i = 0; i < 300; i++) {
      await store.set(`${i}`.padStart(32, "s"), { cookie: { originalMaxAge: 60_000 }, userId: "alice" } as never);
    }
    expect((await store.soid("alice")).sessions.length).toBeGreaterThan(0);
  });
});

test("the wiper drops and counts entries of evicted sessions long before they would expire", async () => {
  const db = redis.client();
  const rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  const created = await Promise.all(Array.from({ length: 1000 }, (_, i) => rs.create({ app, id: `user${i}`, ip })));
  const dead = created.slice(0, 800).map(({ ref }) => `rs:{webapp}:s:${ref}`);
  await db.del(dead);
  expect(await rs.wipe()).toEqual({ wiped: 800 });
  for (const name of ["expiry", "active", "users"]) expect(await db.zcard(`rs:{webapp}:${name}`)).toBe(200);
  expect(await db.hlen("rs:{webapp}:user-sessions")).toBe(200);
});

test("the wiper reads only a sample if all sessions are alive", async () => {
  const rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  await Promise.all(Array.from({ length: 1000 }, (_, i) => rs.create({ app, id: `user${i}`, ip })));
  await rs.wipe();
  const commands = await redis.watch(() => rs.wipe());
  // The apps, the expired entries, a sample, and whether its sessions exist.
  expect(commands.length).toBeLessThanOrEqual(4);
});
