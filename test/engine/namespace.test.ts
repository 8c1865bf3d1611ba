import { describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { everyMethod } from "../support/every-method.js";

const t = useEngine();

/**
 * Four keys of the index, the list of apps, the layout, and a session. Where everyMethod rotated others three times: redirects
 * and a tombstone, marks, and the records of two families.
 */
const KEYS_LEFT = 15;

/** Property names of an object and of what it inherits. */
function surface(object: object): string[] {
  const names: string[] = [];
  for (let at: object | null = object; at !== null; at = Object.getPrototypeOf(at)) {
    names.push(...Object.getOwnPropertyNames(at));
  }
  return names.sort();
}

describe("with a keyPrefix on the client", () => {
  test("every method works, and every key in Redis carries it", async () => {
    const rs = new RedisSessions({ client: t.redis.client({ keyPrefix: "my:prefix:" }), wipe: 0 });
    await everyMethod(rs);
    await rs.create({ app: "webapp", id: "alice", ip: "::1" });
    const keys = await t.db.keys("*");
    expect(keys).toHaveLength(KEYS_LEFT);
    for (const key of keys) expect(key).toMatch(/^my:prefix:rs:/);
  });

  test("apps of two prefixes do not see each other", async () => {
    const [one, two] = ["one:", "two:"].map(
      (keyPrefix) => new RedisSessions({ client: t.redis.client({ keyPrefix }), wipe: 0 }),
    ) as [RedisSessions, RedisSessions];
    const { token } = await one.create({ app: "webapp", id: "alice", ip: "::1" });
    expect(await two.get({ app: "webapp", token })).toBeNull();
    expect(await two.killall({ app: "webapp" })).toEqual({ kill: 0 });
    expect(await one.get({ app: "webapp", token })).not.toBeNull();
  });
});

test("the namespace is the first part of every key", async () => {
  const rs = new RedisSessions({ client: t.db, wipe: 0, namespace: "my app:sessions" });
  await everyMethod(rs);
  await rs.create({ app: "webapp", id: "alice", ip: "::1" });
  const keys = await t.db.keys("*");
  expect(keys).toHaveLength(KEYS_LEFT);
  for (const key of keys) expect(key).toMatch(/^my app:sessions:/);
});

test("a client that is passed in stays open, and nothing is defined on it or its prototypes", async () => {
  const client = t.redis.client();
  await client.ping();
  const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)]);
  const before = [surface(client), listeners()];
  const rs = new RedisSessions({ client, wipe: 10 });
  await everyMethod(rs);
  await rs.quit();
  expect([surface(client), listeners()]).toEqual(before);
  expect(client.status).toBe("ready");
});
