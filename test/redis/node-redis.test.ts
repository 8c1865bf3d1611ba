import { createClient, createClientPool } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { clientOf } from "../../src/redis/recognise.js";
import { useEngine } from "../support/engine.js";
import { freePort } from "../support/redis.js";

const t = useEngine();
const app = "webapp";
const token = "x".repeat(64);
const opened: { isOpen: boolean; destroy(): void }[] = [];

afterEach(() => {
  for (const client of opened.splice(0)) if (client.isOpen) client.destroy();
});

/** The errors of both versions are the same. */
const VERSIONS = { "node-redis 5": createClient5 as unknown as typeof createClient, "node-redis 6": createClient };

describe.each(Object.entries(VERSIONS))("%s", (_name, create) => {
  function open(options: Parameters<typeof createClient>[0] = {}) {
    const client = create({ ...options, socket: { port: t.redis.port, ...options.socket } });
    opened.push(client);
    return client;
  }

  test("a client that was never connected gets an error that says so, and works when it is connected", async () => {
    const client = open();
    const rs = new RedisSessions({ client, wipe: 0 });
    await expect(rs.get({ app, token })).rejects.toMatchObject({
      name: "unavailable",
      message: "The client is not connected",
      hint: "call `await client.connect()` before the first call",
    });
    await client.connect();
    expect(await rs.get({ app, token })).toBeNull();
  });

  test("calls that are made while the client connects are sent in their order", async () => {
    const client = open();
    const rs = new RedisSessions({ client, wipe: 0 });
    const created = await t.create();
    const connecting = client.connect();
    const calls = Array.from({ length: 20 }, (_, n) => rs.set({ app, token: created.token, d: { n } }));
    const seen = await Promise.all(calls);
    expect(seen.map((session) => session?.d)).toEqual(seen.map((_, n) => ({ n })));
    await connecting;
  });

  test("a client that was closed gets an error that says so", async () => {
    const client = open();
    await client.connect();
    const rs = new RedisSessions({ client, wipe: 0 });
    client.destroy();
    await expect(rs.get({ app, token })).rejects.toMatchObject({
      name: "unavailable",
      message: "The client is closed",
    });
  });

  test("a client whose reconnectStrategy gives up gets the reason as the cause", async () => {
    const port = await freePort();
    const client = open({ socket: { port, reconnectStrategy: false } });
    const rs = new RedisSessions({ client, wipe: 0 });
    await expect(client.connect()).rejects.toThrow("ECONNREFUSED");
    await expect(rs.get({ app, token })).rejects.toMatchObject({
      name: "unavailable",
      message: "The client is closed",
      cause: { message: expect.stringContaining("ECONNREFUSED") },
    });
  });

  test("a call that times out because the client cannot connect gets the reason as the cause", async () => {
    const client = open({ socket: { port: await freePort(), reconnectStrategy: () => 50 } });
    const rs = new RedisSessions({ client, wipe: 0, timeout: 200 });
    client.connect().catch(() => {});
    await expect(rs.get({ app, token })).rejects.toMatchObject({
      name: "timeout",
      hint: expect.stringMatching(/its status is "connecting".*was not sent/),
      cause: { message: expect.stringContaining("ECONNREFUSED") },
    });
  });

  test("a client with disableOfflineQueue gets the error unavailable before the timeout", async () => {
    const client = open({ disableOfflineQueue: true, socket: { port: await freePort(), reconnectStrategy: () => 50 } });
    const rs = new RedisSessions({ client, wipe: 0, timeout: 20_000 });
    client.connect().catch(() => {});
    await expect(rs.get({ app, token })).rejects.toMatchObject({ name: "unavailable", status: 503 });
  });

  test("a wrong password rejects calls with the reason", async () => {
    await t.db.acl("SETUSER", "app", "on", ">secret", "~*", "+@all");
    const client = open({ username: "app", password: "wrong", socket: { reconnectStrategy: false } });
    const rs = new RedisSessions({ client, wipe: 0 });
    await expect(client.connect()).rejects.toThrow("WRONGPASS");
    await expect(rs.get({ app, token })).rejects.toMatchObject({
      name: "unavailable",
      cause: { message: expect.stringContaining("WRONGPASS") },
    });
  });

  test("a client without the right to PING works", async () => {
    await t.db.acl("SETUSER", "noping", "on", ">secret", "~*", "+@all", "-ping");
    const client = open({ username: "noping", password: "secret" });
    const rs = new RedisSessions({ client, wipe: 0, timeout: 1000 });
    client.connect().catch(() => {});
    expect(await rs.get({ app, token })).toBeNull();
  });

  test("quit leaves the client open", async () => {
    const client = open();
    await client.connect();
    const rs = new RedisSessions({ client, wipe: 0 });
    await rs.ping();
    await rs.quit();
    expect(await client.ping()).toBe("PONG");
  });

  test("engines and stores on one client add a fixed number of listeners", async () => {
    const client = open();
    await client.connect();
    const counts = () => client.eventNames().map((name) => client.listenerCount(name));
    new RedisStore({ client });
    const before = counts();
    for (let i = 0; i < 20; i++) new RedisStore({ client, prefix: `app${i}:` });
    expect(counts()).toEqual(before);
  });

  test("an outage does not end the process although the application listens to no error event", async () => {
    const client = open({ socket: { reconnectStrategy: () => 20 } });
    await client.connect();
    new RedisSessions({ client, wipe: 0 });
    // Node throws an error event without a listener. `once` would listen to errors, too.
    const back = new Promise<void>((resolve) => client.once("reconnecting", () => client.once("ready", resolve)));
    await t.db.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await back;
    expect(clientOf(client).lastError).toBeUndefined();
  });
});

test("node-redis 6 with a key prefix: keys get the prefix, in scripts and in plain commands", async () => {
  const client = createClient({ socket: { port: t.redis.port }, keyPrefix: "my:" });
  opened.push(client);
  await client.connect();
  const rs = new RedisSessions({ client, wipe: 0 });
  const created = await rs.create({ app, id: "alice", ip: "::1" });
  expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
  expect(await t.db.exists(`my:rs:{${app}}:s:${created.ref}`)).toBe(1);
  await client.set("sess:old", JSON.stringify({ cookie: { originalMaxAge: null }, userId: "alice" }));
  expect(await new RedisStore({ client }).get("old")).toMatchObject({ userId: "alice" });
  expect((await t.db.keys("*")).filter((key) => !key.startsWith("my:"))).toEqual([]);
});

describe("the option client refuses", () => {
  test.each<[string, () => object, string]>([
    ["a client of node-redis 4", () => ({ isOpen: true, sendCommand() {}, multiExecutor() {} }), "before version 5"],
    ["a legacy client", () => createClient().legacy(), "client.legacy()"],
    ["a client of node_redis 3", () => ({ connected: true, send_command() {}, EVALSHA() {} }), "before version 5"],
    ["a pool", () => createClientPool(), "pool of node-redis"],
    ["a promise of a client", () => Promise.resolve(createClient()), "await it"],
    ["any other object", () => ({}), "node-redis 5 or 6 (createClient() of the package redis)"],
    ["a prefix that spreads an app", () => createClient({ keyPrefix: "{}" }), 'must not contain "{}"'],
  ])("%s", (_what, client, message) => {
    let error: unknown;
    try {
      new RedisSessions({ client: client() as never });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: "invalidValue" });
    const { message: text, hint = "" } = error as Error & { hint?: string };
    expect(`${text}. ${hint}`).toContain(message);
  });
});
