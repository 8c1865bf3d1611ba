import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import express, { type ErrorRequestHandler } from "express";
import { Cluster, Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { type Client, RedisSessions, type SessionError } from "../../src/index.js";
import { sessions } from "../../src/middleware/index.js";
import { clientOf } from "../../src/redis/recognise.js";
import { CLIENTS, ofIoredis, type TestClient } from "../support/clients.js";
import { startCluster } from "../support/cluster.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const app = "webapp";
const ip = "127.0.0.1";
const TIMEOUT = 300;

const unhandled: unknown[] = [];
const note = (error: unknown) => void unhandled.push(error);

let redis: TestRedis;
let rs: RedisSessions;
const opened: (Redis | Cluster)[] = [];
const others: TestClient[] = [];

beforeAll(() => void process.on("unhandledRejection", note));
afterAll(() => void process.off("unhandledRejection", note));

beforeEach(async () => {
  redis = await startRedis();
});

afterEach(async () => {
  redis.resume();
  await rs?.quit().catch(() => {});
  for (const client of opened.splice(0)) client.disconnect();
  for (const client of others.splice(0)) client.close();
  await redis.stop();
  await sleep(20);
  expect(unhandled).toEqual([]);
});

function open<Opened extends Redis | Cluster>(client: Opened): Opened {
  client.on("error", () => {});
  opened.push(client);
  return client;
}

/** Calls repeatedly for a while, and returns the names of the errors of all calls. */
async function callFor(ms: number, call: (i: number) => Promise<unknown>): Promise<(string | undefined)[]> {
  const calls: Promise<string | undefined>[] = [];
  for (const end = performance.now() + ms; performance.now() < end; await sleep(5)) {
    const i = calls.length;
    calls.push(
      call(i).then(
        () => undefined,
        (error: Error) => error.name,
      ),
    );
  }
  return Promise.all(calls);
}

const retryStrategy = () => 50;

const clients: Record<string, (port: number) => TestClient> = {
  ...CLIENTS,
  "ioredis 6 with auto-pipelining": (port) => ofIoredis(new Redis({ port, retryStrategy, enableAutoPipelining: true })),
  "ioredis 6 that connects lazily": (port) => ofIoredis(new Redis({ port, retryStrategy, lazyConnect: true })),
};

function openClient(name: string): Client {
  const client = clients[name]?.(redis.port) as TestClient;
  others.push(client);
  return client.client;
}

describe.each(Object.keys(clients))("while Redis is away, on %s", (name) => {
  beforeEach(() => {
    rs = new RedisSessions({ client: openClient(name), wipe: 0, timeout: TIMEOUT });
  });

  test("never sends a call that ended with timeout, and answers at once when Redis is back", async () => {
    await rs.create({ app, id: "first", ip });
    await redis.kill();
    const names = await callFor(1500, (i) => rs.create({ app, id: `user${i}`, ip }));
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => name === "timeout").length).toBeGreaterThan(20);
    expect(names).not.toContain(undefined);
    await redis.start();
    await expect.poll(() => rs.ping().catch(() => undefined), { timeout: 5000 }).toBe("PONG");
    await sleep(50);
    expect((await rs.soapp({ app, dt: 60 })).sessions).toEqual([]);
    expect(await redis.client().dbsize()).toBe(0);
  });

  test("sends the calls that are still in time when Redis is back", async () => {
    const client = openClient(name);
    rs = new RedisSessions({ client, wipe: 0, timeout: 10_000 });
    await rs.ping();
    await redis.kill();
    // node-redis does not repeat a call that was sent before the connection was lost.
    await expect.poll(() => clientOf(client).isReady).toBe(false);
    const calls = [rs.get({ app, token: "x".repeat(64) }), rs.create({ app, id: "alice", ip })] as const;
    await sleep(100);
    await redis.start();
    const [none, created] = await Promise.all(calls);
    expect(none).toBeNull();
    expect((await rs.soid({ app, id: "alice" })).sessions.map(({ ref }) => ref)).toEqual([created.ref]);
  });
});

test("calls that are made before the client is connected are sent in their order", async () => {
  const maker = new RedisSessions({ client: redis.client(), wipe: 0 });
  const { token } = await maker.create({ app, id: "alice", ip, d: { n: -1 } });
  await maker.set({ app, token, d: { n: -1 } });
  await maker.get({ app, token });
  rs = new RedisSessions({ client: open(new Redis(redis.port)), wipe: 0 });
  const calls = Array.from({ length: 50 }, (_, n) => [rs.set({ app, token, d: { n } }), rs.get({ app, token })]).flat();
  const seen = (await Promise.all(calls)).map((session) => session?.d?.n);
  expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => [n, n]).flat());
});

test("a lazy client is connected by the first call", async () => {
  const client = open(new Redis({ port: redis.port, lazyConnect: true }));
  rs = new RedisSessions({ client, wipe: 0, timeout: TIMEOUT });
  expect(client.status).toBe("wait");
  expect((await rs.create({ app, id: "alice", ip })).token).toHaveLength(64);
});

test("a client without the right to PING works", async () => {
  await redis.client().acl("SETUSER", "app", "on", ">secret", "~*", "+@all", "-ping");
  const client = open(new Redis({ port: redis.port, username: "app", password: "secret" }));
  rs = new RedisSessions({ client, wipe: 0, timeout: 1000 });
  // The client is not connected yet.
  expect((await rs.create({ app, id: "alice", ip })).token).toHaveLength(64);
});

test("a wrong password rejects calls at once, not after the timeout", async () => {
  await redis.client().acl("SETUSER", "app", "on", ">secret", "~*", "+@all");
  const client = open(new Redis({ port: redis.port, username: "app", password: "wrong" }));
  rs = new RedisSessions({ client, wipe: 0, timeout: 10_000 });
  await expect(rs.create({ app, id: "alice", ip })).rejects.toMatchObject({
    name: "redisError",
    message: expect.stringContaining("WRONGPASS"),
  });
});

test("the error of a call that was not sent says so", async () => {
  rs = new RedisSessions({ client: openClient("ioredis 6"), wipe: 0, timeout: TIMEOUT });
  await rs.ping();
  await redis.kill();
  await expect(rs.get({ app, token: "x".repeat(64) })).rejects.toMatchObject({
    name: "timeout",
    hint: expect.stringContaining("was not sent"),
  });
});

test("a Redis that hangs: calls wait, and calls that ended with timeout are never sent", async () => {
  const timeout = 500;
  rs = new RedisSessions({ client: open(new Redis(redis.port)), wipe: 0, timeout });
  await rs.create({ app, id: "first", ip });
  await rs.killall({ app });
  redis.pause();
  const names = await callFor(3000, (i) => rs.create({ app, id: `user${i}`, ip }));
  expect(names.length).toBeGreaterThan(200);
  redis.resume();
  await expect.poll(() => rs.ping().catch(() => undefined)).toBe("PONG");
  const { sessions: appeared } = await rs.soapp({ app, dt: 60 });
  // What was sent before Redis was known to be silent: a sixth.
  expect(appeared.length).toBeLessThan(names.length / 3);
});

test.each(["node-redis 5", "node-redis 6"])(
  "a Redis that hangs: %s never sends calls that it had queued until they ended with timeout",
  async (name) => {
    rs = new RedisSessions({ client: openClient(name), wipe: 0, timeout: 500 });
    // From now on, it knows both apps, and does not ask Redis first where their sessions are.
    for (const known of [app, "large"]) {
      const { token } = await rs.create({ app: known, id: "bob", ip });
      await rs.kill({ app: known, token });
    }
    redis.pause();
    // These fill the buffers of the connection, so that node-redis queues the next calls although it is connected.
    const large = { large: "x".repeat(1_000_000) };
    const first = Promise.allSettled(
      Array.from({ length: 40 }, (_, i) => rs.create({ app: "large", id: `user${i}`, ip, d: large })),
    );
    await sleep(50);
    const queued = Array.from({ length: 5 }, (_, i) => rs.create({ app, id: `user${i}`, ip }));
    const ends = await Promise.allSettled(queued);
    await first;
    for (const end of ends) {
      expect(end).toMatchObject({ reason: { name: "timeout", hint: expect.stringContaining("was not sent") } });
    }
    redis.resume();
    await expect.poll(() => rs.ping().catch(() => undefined)).toBe("PONG");
    expect((await rs.soapp({ app, dt: 60 })).sessions).toEqual([]);
  },
);

test("a run whose script Redis has lost is not sent again after its deadline", async () => {
  rs = new RedisSessions({ client: open(new Redis(redis.port)), wipe: 0, timeout: TIMEOUT });
  const plain = redis.client();
  const maker = new RedisSessions({ client: plain, wipe: 0 });
  const { token } = await maker.create({ app, id: "alice", ip });
  await rs.get({ app, token });
  await plain.script("FLUSH");
  const watched = await redis.watch(async () => {
    redis.pause();
    await expect(rs.set({ app, token, d: { a: 1 } })).rejects.toMatchObject({ name: "timeout" });
    redis.resume();
    await sleep(300);
  });
  expect(watched.filter(([name]) => /^eval$/i.test(name ?? ""))).toEqual([]);
  expect(await maker.get({ app, token })).not.toHaveProperty("d");
});

test("a mass logout that ended with timeout does not continue when Redis is back", async () => {
  rs = new RedisSessions({ client: open(new Redis({ port: redis.port, retryStrategy })), wipe: 0, timeout: TIMEOUT });
  await rs.ping();
  await redis.kill();
  const calls = [rs.killsoid({ app, id: "alice" }), rs.killall({ app }), rs.wipe()];
  expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(calls.map(() => "rejected"));
  await redis.start();
  const watched = await redis.watch(() => sleep(500));
  expect(watched.filter(([name]) => /^(evalsha|eval|hget|zscan)$/i.test(name ?? ""))).toEqual([]);
});

test("RedisStore never sends a save that ended with timeout", async () => {
  rs = new RedisSessions({ client: open(new Redis({ port: redis.port, retryStrategy })), wipe: 0, timeout: TIMEOUT });
  const store = new RedisStore({ rs, app });
  store.on("error", () => {});
  await rs.ping();
  await redis.kill();
  const session = (i: number) => ({ cookie: { originalMaxAge: null }, i }) as never;
  const names = await callFor(800, (i) => store.set(`sid${i}`, session(i)));
  expect(names).not.toContain(undefined);
  await redis.start();
  await expect.poll(() => rs.ping().catch(() => undefined), { timeout: 5000 }).toBe("PONG");
  await sleep(50);
  expect(await redis.client().dbsize()).toBe(0);
});

test("the middleware's sign-ins that were answered with 503 leave no session", async () => {
  rs = new RedisSessions({ client: open(new Redis({ port: redis.port, retryStrategy })), wipe: 0, timeout: TIMEOUT });
  const auth = sessions({ rs, app, secret: "s".repeat(32), cookie: { secure: false } });
  const server = express()
    .use(auth)
    .post("/", async (req, res) => {
      await req.rs.create("alice");
      res.end();
    })
    .use(((error: SessionError, _req, res, _next) => {
      res.status(error.status ?? 500).end();
    }) as ErrorRequestHandler)
    .listen(0);
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  try {
    await rs.ping();
    await redis.kill();
    const statuses: number[] = [];
    await callFor(800, async () => {
      statuses.push((await fetch(`http://127.0.0.1:${port}/`, { method: "POST" })).status);
    });
    expect(new Set(statuses)).toEqual(new Set([503]));
    await redis.start();
    await expect.poll(() => rs.ping().catch(() => undefined), { timeout: 5000 }).toBe("PONG");
    await sleep(50);
    expect(await redis.client().dbsize()).toBe(0);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a Cluster that is not reached yet: calls that ended with timeout are never sent", async () => {
  const cluster = await startCluster();
  try {
    const nodes = cluster.nodes.map(({ port }) => ({ port, host: "127.0.0.1" }));
    for (const node of cluster.nodes) node.pause();
    const client = open(new Cluster(nodes, { clusterRetryStrategy: () => 50, slotsRefreshTimeout: 3000 }));
    rs = new RedisSessions({ client, wipe: 0, timeout: TIMEOUT });
    const names = await callFor(800, (i) => rs.create({ app, id: `user${i}`, ip }));
    expect(names.length).toBeGreaterThan(50);
    for (const node of cluster.nodes) node.resume();
    await expect.poll(() => rs.ping().catch(() => undefined), { timeout: 5000 }).toBe("PONG");
    await sleep(50);
    expect((await rs.soapp({ app, dt: 60 })).sessions).toEqual([]);
  } finally {
    for (const node of cluster.nodes) node.resume();
    await rs.quit();
    await cluster.stop();
  }
}, 20_000);
