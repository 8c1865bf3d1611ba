import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { readFields } from "../support/session-text.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const client = new Redis({ lazyConnect: true });
const rs = new RedisSessions({ client, wipe: 0 });

afterAll(() => client.disconnect());

describe("the constructor refuses bad options with a helpful message:", () => {
  const bad: [string, unknown, string][] = [
    ["none", undefined, "RedisStore takes an object of options"],
    ["neither client nor engine", {}, "RedisStore takes a client"],
    ["both client and engine", { client, rs, app: "webapp" }, "RedisStore takes a client"],
    ["an engine without app", { rs }, "RedisStore takes rs and app together"],
    ["an app without engine", { client, app: "webapp" }, "RedisStore takes rs and app together"],
    ["a misspelt option", { client, disableTtl: true }, 'has no option "disableTtl". Did you mean "disableTTL"?'],
    ["another misspelt option", { client, hashIDs: true }, 'Did you mean "hashIds"?'],
    ["an unknown option", { client, collection: "sessions" }, "It takes client, prefix, rs, app, ttl"],
    [
      "an object that is not a client",
      { client: { get: () => {}, scanIterator: () => {} } },
      "client must be a client of node-redis 5 or 6",
    ],
    ["a client that is not an object", { client: "redis://localhost" }, "client must be a client of node-redis 5 or 6"],
    ["an rs that is not an engine", { rs: {}, app: "webapp" }, "rs must be an engine: new RedisSessions(…)"],
    ["an invalid app", { rs, app: "a b" }, "Invalid app format"],
    ["a prefix that is not a string", { client, prefix: 1 }, "prefix must be a string"],
    ["a ttl of 0", { client, ttl: 0 }, "ttl must be a number of seconds > 0"],
    ["an absolute of less than ten seconds", { client, absolute: 9 }, "absolute must be an integer from 10"],
    ["a maxPerUser of 0", { client, maxPerUser: 0 }, "maxPerUser must be an integer >= 1"],
    ["an unknown overflow", { client, overflow: "newest" }, 'overflow must be "oldest" or "idle" or "reject"'],
    ["a ttl in words", { client, ttl: "1d" }, "ttl must be a number of seconds > 0"],
    ["a ttl that is not a number", { client, ttl: Number.NaN }, "ttl must be a number of seconds > 0"],
    ["a switch that is not a boolean", { client, disableTTL: "yes" }, "disableTTL must be true or false"],
    ["another one", { client, legacy: 0 }, "legacy must be true or false"],
    ["a userId that is not a function", { client, userId: "userId" }, "userId must be a function"],
    [
      "a serializer without its functions",
      { client, serializer: "json" },
      "serializer must be an object with the functions parse and stringify",
    ],
    [
      "a serializer without its methods",
      { client, serializer: {} },
      "serializer must be an object with the functions parse and stringify",
    ],
  ];

  test.each(bad)("%s", (_what, options, message) => {
    expect(() => new RedisStore(options as RedisStoreOptions)).toThrow(message);
  });
});

test("options that are undefined get their defaults", async () => {
  const store = new RedisStore({ client: t.db, prefix: undefined, ttl: undefined, app: undefined } as never);
  await store.set("sid", withCookie({}, null));
  expect(await t.db.pttl("rs:{sess}:s:~sid")).toBeGreaterThan(86_390_000);
});

test("a prefix in the form of an app name is that app in the engine", async () => {
  await t.store({ prefix: "myapp:" }).set("sid", withCookie({ userId: "alice" }));
  expect((await t.rs.soid({ app: "myapp", id: "alice" })).sessions).toHaveLength(1);
});

test("stores of different prefixes share nothing", async () => {
  const prefixes = [
    "sess:",
    "sess",
    "sess::",
    ":sess:",
    "",
    "a:",
    "{a}:",
    "%7Ba%7D:",
    "%7Ba}:",
    "=sess",
    "x".repeat(40),
  ];
  const stores = prefixes.map((prefix) => t.store({ prefix }));
  for (const [i, store] of stores.entries()) await store.set("sid", withCookie({ prefix: prefixes[i] }));
  for (const [i, store] of stores.entries()) {
    expect(await store.get("sid")).toMatchObject({ prefix: prefixes[i] });
    expect(await store.length()).toBe(1);
  }
  await stores[0]?.clear();
  for (const store of stores.slice(1)) expect(await store.length()).toBe(1);
});

test("stores of the same prefix share their sessions", async () => {
  await t.store().set("sid", withCookie({ userId: "alice" }));
  expect(await t.store({ client: t.redis.client() }).get("sid")).toMatchObject({ userId: "alice" });
});

test("accepts scanCount, and JSON as a serializer", async () => {
  const store = t.store({ scanCount: 100, serializer: JSON });
  await store.set("sid", withCookie({ color: "red" }));
  expect(await readFields(t.db, "rs:{sess}:s:~sid")).toMatchObject({ '"color"': '"red"' });
});
