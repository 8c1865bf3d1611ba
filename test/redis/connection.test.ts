import { expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { freePort } from "../support/redis.js";

const t = useEngine();

async function connections(): Promise<number> {
  return String(await t.db.client("LIST"))
    .trim()
    .split("\n").length;
}

test("ping returns PONG, as a promise and to a callback", async () => {
  expect(await t.rs.ping()).toBe("PONG");
  expect(await new Promise((resolve) => t.rs.ping((error, pong) => resolve([error, pong])))).toEqual([null, "PONG"]);
});

test("quit resolves to undefined and does not close a client that was passed in", async () => {
  expect(await t.rs.quit()).toBeUndefined();
  expect(t.db.status).toBe("ready");
  expect(await t.db.ping()).toBe("PONG");
});

test("quit can be called twice", async () => {
  await t.rs.quit();
  expect(await t.rs.quit()).toBeUndefined();
});

test("quit closes the engine's own connection", async () => {
  const before = await connections();
  const rs = new RedisSessions({ port: t.redis.port });
  expect(await rs.ping()).toBe("PONG");
  expect(await connections()).toBe(before + 1);
  expect(await rs.quit()).toBeUndefined();
  await expect.poll(connections).toBe(before);
});

test("calls after quit fail with the error unavailable", async () => {
  const rs = new RedisSessions({ port: t.redis.port, wipe: 0 });
  await rs.ping();
  await rs.quit();
  await expect(rs.get({ app: "webapp", token: "x".repeat(64) })).rejects.toMatchObject({
    name: "unavailable",
    code: "ERR_UNAVAILABLE",
  });
});

test.each([
  ["timeout", {}],
  ["unavailable", { retryStrategy: () => null }],
])("the error %s has the reason why the engine's own connection fails as its cause", async (name, options) => {
  const rs = new RedisSessions({ port: await freePort(), options, wipe: 0, timeout: 300 });
  await expect(rs.get({ app: "webapp", token: "x".repeat(64) })).rejects.toMatchObject({
    name,
    cause: { message: expect.stringContaining("ECONNREFUSED") },
  });
  await rs.quit();
});
