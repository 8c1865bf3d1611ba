import session from "express-session";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const client = new Redis({ lazyConnect: true });

afterAll(() => client.disconnect());

describe("the constructor names what it was given instead of options:", () => {
  test.each<[string, () => unknown]>([
    ["a Redis client", () => client],
    ["an engine", () => new RedisSessions({ client, wipe: 0 })],
    ["a store", () => new session.MemoryStore()],
    ["a function", () => session],
    ["a string", () => "redis://:hunter2@localhost"],
    ["undefined", () => undefined],
  ])("%s", (kind, options) => {
    const refusal = `RedisStore takes an object of options, not ${kind}: new RedisStore({ client })`;
    expect(() => new RedisStore(options() as RedisStoreOptions)).toThrow(refusal);
  });
});

test.each([
  ["host", "host"],
  ["url", "url"],
  ["pass", "password"],
])("the constructor says where the option %s belongs", (name, here) => {
  expect(() => new RedisStore({ [name]: "hunter2" } as RedisStoreOptions)).toThrow(
    `RedisStore has no option "${name}". It belongs to the client: client: new Redis({ ${here} })`,
  );
});

test.each([
  ["soid", ["alice", 10], "soid takes an object of options, not a number: store.soid(id, { limit })"],
  ["killsoid", ["alice", "sid"], "killsoid takes an object of options, not a string: store.killsoid(id, { except })"],
  ["soapp", [600, 10], "soapp takes an object of options, not a number: store.soapp(dt, { limit })"],
  ["soapp", [{ dt: 600 }], "dt must be a positive integer >= 10"],
  ["activity", [], "No dt supplied"],
  ["soid", [{ id: "alice" }], "Invalid id format"],
  ["killsoid", [{ id: "alice", except: "sid" }], "Invalid id format"],
])("%s(%j) is refused", async (method, args, message) => {
  const store = t.store();
  await store.set("sid", withCookie({ userId: "alice" }));
  const call = store as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  await expect(call[method]?.(...args)).rejects.toMatchObject({ message });
  expect(await store.length()).toBe(1);
});
