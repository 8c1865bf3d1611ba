import { once } from "node:events";
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Client, RedisSessions, SessionError } from "../../src/index.js";
import { CLIENT_NAMES, openClient, type TestClient } from "../support/clients.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const ip = "127.0.0.1";
const app = "webapp";
/** A port without a Redis. */
const NOWHERE = { host: "127.0.0.1", port: 1 };

const TIMEOUT = 300;
/** Margin for a busy machine. */
const SLACK = 1500;

const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);

let redis: TestRedis;
let rs: RedisSessions;
const opened: TestClient[] = [];

beforeAll(() => {
  process.on("unhandledRejection", note).on("uncaughtException", note);
});

beforeEach(async () => {
  redis = await startRedis();
});

afterEach(async () => {
  redis.resume();
  await rs.quit().catch(() => {});
  for (const client of opened.splice(0)) client.close();
  await redis.stop();
  // ioredis gives up what it had queued only now.
  await sleep(20);
  expect(uncaught).toEqual([]);
});

afterAll(() => {
  process.off("unhandledRejection", note).off("uncaughtException", note);
});

/** Opens a client of this package. */
function open(name: string): Client {
  const client = openClient(name, redis.port);
  opened.push(client);
  return client.client;
}

/** Waits for a call: what came of it, and how long it took, ms. */
async function timed(call: Promise<unknown>): Promise<{ took: number; error?: unknown }> {
  const began = performance.now();
  try {
    await call;
    return { took: performance.now() - began };
  } catch (error) {
    return { took: performance.now() - began, error };
  }
}

async function expectOutage(call: Promise<unknown>): Promise<void> {
  const { took, error } = await timed(call);
  expect(error).toBeInstanceOf(SessionError);
  expect((error as SessionError).name).toMatch(/^(timeout|unavailable)$/);
  expect(took).toBeLessThan(TIMEOUT + SLACK);
}

/** Resolves when the engine works again; it may take ioredis up to 2 s to try again. */
async function untilBack(): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(20)) {
    if ((await rs.ping().catch(() => undefined)) === "PONG") return;
  }
  throw new Error("The engine has not come back within 10 s");
}

function everyCall(token: string): (() => Promise<unknown>)[] {
  return [
    () => rs.get({ app, token }),
    () => rs.get({ app, token, touch: false }),
    () => rs.set({ app, token, d: { a: 1 } }),
    () => rs.create({ app, id: "alice", ip }),
    () => rs.create({ app: "never-met", id: "alice", ip }),
    () => rs.kill({ app, token }),
    () => rs.killsoid({ app, id: "alice" }),
    () => rs.killall({ app }),
    () => rs.soid({ app, id: "alice" }),
    () => rs.soapp({ app, dt: 60 }),
    () => rs.activity({ app, dt: 60 }),
    () => rs.rotate({ app, token }),
    () => rs.wipe(),
    () => rs.ping(),
  ];
}

describe.each([
  ["the engine's own connection", () => new RedisSessions({ port: redis.port, wipe: 0, timeout: TIMEOUT })],
  ...CLIENT_NAMES.map((name): [string, () => RedisSessions] => [
    `a client of ${name}`,
    () => new RedisSessions({ client: open(name), wipe: 0, timeout: TIMEOUT }),
  ]),
])("%s", (_name, engine) => {
  let token: string;

  beforeEach(async () => {
    rs = engine();
    ({ token } = await rs.create({ app, id: "alice", ip }));
  });

  test("Redis hangs: every call ends within the timeout, and the next works when Redis does", async () => {
    redis.pause();
    await Promise.all(everyCall(token).map((call) => expectOutage(call())));
    redis.resume();
    await untilBack();
    const created = await rs.create({ app, id: "alice", ip });
    expect((await rs.get({ app, token: created.token }))?.id).toBe("alice");
  });

  test("Redis is down: every call ends within the timeout, and the next works when Redis does", async () => {
    await redis.kill();
    await Promise.all(everyCall(token).map((call) => expectOutage(call())));
    await redis.start();
    await untilBack();
    const created = await rs.create({ app, id: "alice", ip });
    expect((await rs.get({ app, token: created.token }))?.id).toBe("alice");
  });

  test("Redis hangs, dies and restarts under load: every call ends within the timeout", async () => {
    let busy = true;
    const results: { took: number; error?: unknown }[] = [];
    const loops = Array.from({ length: 50 }, async (_, i) => {
      while (busy) {
        const calls = [
          () => rs.get({ app, token }),
          () => rs.set({ app, token, d: { [`key${i}`]: i } }),
          () => rs.create({ app, id: `user${i}`, ip }),
        ];
        for (const call of calls) results.push(await timed(call()));
        await sleep(5);
      }
    });
    await sleep(100);
    redis.pause();
    await sleep(TIMEOUT + 100);
    redis.resume();
    await sleep(50);
    await redis.kill();
    await sleep(TIMEOUT + 100);
    await redis.start();
    await untilBack();
    busy = false;
    await Promise.all(loops);

    const failed = results.filter(({ error }) => error !== undefined);
    expect(failed.length).toBeGreaterThanOrEqual(50);
    const names = new Set(failed.map(({ error }) => (error instanceof SessionError ? error.name : error)));
    for (const name of names) expect(name).toMatch(/^(timeout|unavailable)$/);
    expect(Math.max(...results.map(({ took }) => took))).toBeLessThan(TIMEOUT + SLACK);
    expect(await rs.set({ app, token, d: { a: 1 } })).toBeNull();
  });

  test.each(["hangs", "is away"])("quit ends within the timeout when Redis %s", async (how) => {
    if (how === "hangs") redis.pause();
    else await redis.kill();
    const { took, error } = await timed(rs.quit());
    expect(took).toBeLessThan(TIMEOUT + SLACK);
    expect(error).toBeUndefined();
  });
});

test("killsoid and killall of many sessions end within the timeout when Redis hangs in between", async () => {
  rs = new RedisSessions({ port: redis.port, wipe: 0, timeout: TIMEOUT });
  const maker = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 10_000 });
  await Promise.all(Array.from({ length: 3000 }, (_, i) => maker.create({ app, id: i % 2 ? "alice" : "bob", ip })));
  const plain = redis.client();
  await plain.ping();
  const calls = [rs.killsoid({ app, id: "alice" }), rs.killall({ app })].map(timed);
  // The first chunks of thirty are through.
  while ((await plain.zcard(`rs:{${app}}:active`)) > 2800);
  redis.pause();
  const paused = performance.now();
  const ended = await Promise.all(calls);
  expect(performance.now() - paused).toBeLessThan(TIMEOUT + SLACK);
  expect(ended.map(({ error }) => (error as SessionError | undefined)?.name)).toEqual(["timeout", "timeout"]);
  redis.resume();
  await untilBack();
  await rs.killall({ app });
  expect((await rs.soapp({ app, dt: 60 })).sessions).toEqual([]);
});

test("an engine that is constructed before Redis starts works as soon as Redis runs", async () => {
  await redis.kill();
  rs = new RedisSessions({ port: redis.port, wipe: 0, timeout: TIMEOUT });
  await expect(rs.create({ app, id: "alice", ip })).rejects.toMatchObject({
    name: "timeout",
    hint: expect.stringMatching(/^The client is not connected, its status is "\w+": .*check that Redis runs/),
  });
  await redis.start();
  await untilBack();
  expect((await rs.create({ app, id: "alice", ip })).token).toHaveLength(64);
});

test("the engine's own connection is closed if its database does not exist, and does not use another one", async () => {
  rs = new RedisSessions({ port: redis.port, options: { db: 99 }, wipe: 0, timeout: TIMEOUT });
  await once(redis.client(), "ready");
  await expect(rs.create({ app, id: "alice", ip })).rejects.toMatchObject({
    name: "unavailable",
    cause: { message: "ERR DB index is out of range" },
  });
  expect(await redis.client().keys("*")).toEqual([]);
});

test("the error of a connection that cannot be opened says why", async () => {
  await redis.kill();
  rs = new RedisSessions({ port: redis.port, options: { maxRetriesPerRequest: 0 }, wipe: 0, timeout: 5000 });
  await expect(rs.ping()).rejects.toMatchObject({
    name: "unavailable",
    cause: { message: `connect ECONNREFUSED 127.0.0.1:${redis.port}` },
  });
  await redis.start();
  await untilBack();
});

test.each([
  ["queues nothing", { enableOfflineQueue: false }],
  ["tries once", { maxRetriesPerRequest: 0 }],
])("a client that %s gets the error unavailable, before the timeout", async (_name, options) => {
  const client = redis.client(options);
  await once(client, "ready");
  rs = new RedisSessions({ client, wipe: 0, timeout: 5000 });
  const { token } = await rs.create({ app, id: "alice", ip });
  await redis.kill();
  await expect(rs.get({ app, token })).rejects.toMatchObject({ name: "unavailable", code: "ERR_UNAVAILABLE" });
  await Promise.all(everyCall(token).map((call) => expect(call()).rejects.toMatchObject({ name: "unavailable" })));
  await redis.start();
  await untilBack();
});

test.each<[string, () => Cluster | Redis]>([
  ["a Cluster that queues nothing", () => new Cluster([NOWHERE], { enableOfflineQueue: false })],
  ["a Sentinel that gives up", () => new Redis({ sentinels: [NOWHERE], name: "m", sentinelRetryStrategy: () => null })],
])("%s gives the error unavailable", async (_what, connect) => {
  const client = connect();
  client.on("error", () => {});
  rs = new RedisSessions({ client, wipe: 0 });
  await expect(rs.get({ app, token: "x".repeat(64) })).rejects.toMatchObject({ name: "unavailable", status: 503 });
  client.disconnect();
});

describe("a Redis that cannot write now: the error is unavailable and has Redis's reason, when it", () => {
  const refusals: [what: string, reason: string, refuse: (plain: Redis) => Promise<unknown>][] = [
    ["is a replica, as after a failover", "READONLY", (plain) => plain.replicaof("127.0.0.1", redis.port)],
    ["lacks replicas", "NOREPLICAS", (plain) => plain.config("SET", "min-replicas-to-write", "1")],
    ["cannot save to disk", "MISCONF", failToSave],
    ["is busy with somebody's endless script", "BUSY", endlessScript],
  ];

  test.each(refusals)("%s", async (_what, reason, refuse) => {
    const plain = redis.client();
    rs = new RedisSessions({ client: redis.client(), wipe: 0 });
    const { token } = await rs.create({ app, id: "alice", ip });
    await refuse(plain);
    const writes = [
      () => rs.create({ app, id: "alice", ip }),
      () => rs.get({ app, token }),
      () => rs.set({ app, token, d: { a: 1 } }),
      () => rs.kill({ app, token }),
      () => rs.rotate({ app, token }),
      () => rs.killsoid({ app, id: "alice" }),
      () => rs.killall({ app }),
    ];
    for (const write of writes) {
      await expect(write(), String(write)).rejects.toMatchObject({
        name: "unavailable",
        cause: { message: expect.stringMatching(`^${reason} `) },
      });
    }
  });

  /** Removes the directory that Redis saves to. */
  async function failToSave(plain: Redis): Promise<void> {
    const [, dir] = (await plain.config("GET", "dir")) as [string, string];
    rmSync(dir, { recursive: true });
    await plain.config("SET", "save", "1 1");
    await plain.bgsave();
    while (!(await plain.info("persistence")).includes("rdb_last_bgsave_status:err")) await sleep(10);
  }

  async function endlessScript(plain: Redis): Promise<void> {
    await plain.config("SET", "lua-time-limit", "1");
    plain.eval("while true do end", 0).catch(() => {});
    const asking = redis.client();
    while (
      await asking.ping().then(
        () => true,
        () => false,
      )
    )
      await sleep(10);
  }
});
