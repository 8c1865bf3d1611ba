import { syncBuiltinESMExports } from "node:module";
import timers, { setImmediate as realSetImmediate } from "node:timers";
import { Redis } from "ioredis";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** All timers that Vitest can replace in this pool. Jest and sinon replace them by default. */
const ALL = [
  "setImmediate",
  "clearImmediate",
  "setTimeout",
  "clearTimeout",
  "setInterval",
  "clearInterval",
  "queueMicrotask",
  "performance",
  "Date",
] as const;

const app = "webapp";
let redis: TestRedis;
let client: Redis;

beforeAll(async () => {
  redis = await startRedis();
  client = redis.client();
  await client.ping();
  return () => redis.stop();
});

afterEach(async () => {
  vi.useRealTimers();
  timers.setImmediate = realSetImmediate;
  syncBuiltinESMExports();
  await client.flushdb();
});

/** Makes calls that are sent alone, in one run, and in turns on one session. */
async function useSessions(rs: RedisSessions): Promise<void> {
  const ids = Array.from({ length: 20 }, (_, i) => `user${i}`);
  const created = await Promise.all(ids.map((id) => rs.create({ app, id, ip: "::1" })));
  const token = created[0]?.token ?? "";
  await Promise.all(created.map((one, i) => rs.set({ app, token: one.token, d: { i } })));
  await Promise.all(Array.from({ length: 20 }, (_, i) => rs.set({ app, token, d: { [`k${i}`]: i } })));
  const found = await Promise.all(created.map((one) => rs.get({ app, token: one.token })));
  expect(found.map((session) => session?.id)).toEqual(ids);
  expect(Object.keys(found[0]?.d ?? {})).toHaveLength(21);
  expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(20);
  let listed = 0;
  for await (const _ of rs.sessions({ app, dt: 60 })) listed++;
  expect(listed).toBe(20);
  const inCallbacks = created.map((one) => {
    return new Promise((resolve) => rs.get({ app, token: one.token }, (_error, session) => resolve(session?.id)));
  });
  expect(await Promise.all(inCallbacks)).toEqual(ids);
  expect(await rs.killall({ app })).toEqual({ kill: 20 });
  await rs.quit();
}

test("parallel calls end while all timers are fake", async () => {
  vi.useFakeTimers({ toFake: [...ALL] });
  await useSessions(new RedisSessions({ client, wipe: 0 }));
});

test("parallel calls end if the timers were fake before the package was loaded", async () => {
  vi.useFakeTimers({ toFake: [...ALL] });
  // sinon also replaces the timers of the module.
  timers.setImmediate = setImmediate;
  syncBuiltinESMExports();
  vi.resetModules();
  const fresh = await import("../../src/index.js");
  expect(fresh.RedisSessions).not.toBe(RedisSessions);
  await useSessions(new fresh.RedisSessions({ client, wipe: 0 }));
});

test("calls end on a client that connects while all timers are fake", async () => {
  vi.useFakeTimers({ toFake: [...ALL] });
  const late = new Redis(redis.url);
  await useSessions(new RedisSessions({ client: late, wipe: 0 }));
  late.disconnect();
});
