import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startProxy, type TestProxy } from "../support/proxy.js";
import { startRedis, type TestRedis } from "../support/redis.js";

let redis: TestRedis;
let proxy: TestProxy;
let rs: RedisSessions;

beforeEach(async () => {
  redis = await startRedis();
  proxy = await startProxy(redis.port);
});

afterEach(async () => {
  await rs.quit();
  await proxy.stop();
  await redis.stop();
});

/** Calls until Redis answers. */
function untilBack(ms: number) {
  return expect.poll(() => rs.ping().catch(() => undefined), { timeout: ms }).toBe("PONG");
}

test("the engine's own connection is replaced when it has died silently", async () => {
  rs = new RedisSessions({ port: proxy.port, wipe: 0, timeout: 500 });
  await rs.ping();
  proxy.swallow();
  await expect(rs.ping()).rejects.toMatchObject({ name: "timeout" });
  await untilBack(10_000);
  expect(proxy.accepted).toBe(2);
}, 15_000);

test("socketTimeout can be set for the engine's own connection", async () => {
  rs = new RedisSessions({ port: proxy.port, options: { socketTimeout: 200 }, wipe: 0, timeout: 1000 });
  await rs.ping();
  proxy.swallow();
  // ioredis sends the command again on the new connection.
  expect(await rs.ping()).toBe("PONG");
});

test("the engine's own connection is kept when it is only idle", async () => {
  rs = new RedisSessions({ port: proxy.port, options: { socketTimeout: 100 }, wipe: 0 });
  await rs.ping();
  await new Promise((resolve) => setTimeout(resolve, 500));
  await rs.ping();
  expect(proxy.accepted).toBe(1);
});

test("a caller's connection that has died: the hint and one warning name socketTimeout", async () => {
  const client = new Redis({ port: proxy.port });
  client.on("error", () => {});
  const warnings: (Error & { code?: string })[] = [];
  const note = (warning: Error) => void warnings.push(warning);
  process.on("warning", note);
  try {
    rs = new RedisSessions({ client, wipe: 0, timeout: 100 });
    await once(client, "ready");
    await rs.ping();
    proxy.swallow();
    const hints: (string | undefined)[] = [];
    for (let i = 0; i < 2; i++) {
      const calls = [rs.ping(), rs.ping(), rs.ping()].map((call) => call.catch((error) => hints.push(error.hint)));
      await Promise.all(calls);
    }
    expect(hints[0]).toBeUndefined();
    expect(hints.at(-1)).toContain("socketTimeout: 3000");
    await new Promise(setImmediate);
    const ours = warnings.filter(({ name }) => name === "IoredisSessionsWarning");
    expect(ours.map(({ code }) => code)).toEqual(["NO_SOCKET_TIMEOUT"]);
  } finally {
    process.off("warning", note);
    client.disconnect();
  }
});

test("a caller's client with socketTimeout works again", async () => {
  const client = new Redis({ port: proxy.port, socketTimeout: 500 });
  client.on("error", () => {});
  rs = new RedisSessions({ client, wipe: 0, timeout: 200 });
  await rs.ping();
  proxy.swallow();
  await expect(rs.ping()).rejects.toMatchObject({ name: "timeout" });
  await untilBack(5000);
  client.disconnect();
});

test.each([
  ["node-redis 5", createClient5 as unknown as typeof createClient],
  ["node-redis 6", createClient],
])("a client of %s with the options that the hint names works again", async (_name, create) => {
  const plain = create({ socket: { port: proxy.port } });
  await plain.connect();
  rs = new RedisSessions({ client: plain, wipe: 0, timeout: 100 });
  await rs.ping();
  proxy.swallow();
  const hints: (string | undefined)[] = [];
  await Promise.all([1, 2, 3].map(() => rs.ping().catch((error) => hints.push(error.hint))));
  expect(hints.at(-1)).toMatch(/pingInterval.*socketTimeout.*reconnectStrategy/);
  plain.destroy();

  const socket = {
    port: proxy.port,
    socketTimeout: 300,
    reconnectStrategy: (retries: number) => Math.min(retries * 50, 1000),
  };
  const client = create({ pingInterval: 100, socket });
  await client.connect();
  rs = new RedisSessions({ client, wipe: 0, timeout: 200 });
  await rs.ping();
  const before = proxy.accepted;
  // The connection is idle for longer than socketTimeout, and stays open.
  await sleep(600);
  expect(proxy.accepted).toBe(before);
  proxy.swallow();
  await expect(rs.ping()).rejects.toMatchObject({ name: "timeout" });
  await untilBack(5000);
  client.destroy();
});
