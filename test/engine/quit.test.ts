import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const app = "webapp";
const ip = "127.0.0.1";
let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});
beforeEach(() => redis.client().flushall());
afterAll(() => redis.stop());

describe.each<[string, () => RedisSessions]>([
  ["the engine's own connection", () => new RedisSessions({ port: redis.port, wipe: 0 })],
  ["a client that was handed in", () => new RedisSessions({ client: redis.client(), wipe: 0 })],
])("quit, on %s", (_name, open) => {
  test("waits for calls that were made before it", async () => {
    const rs = open();
    const { token, ref } = await rs.create({ app, id: "alice", ip });
    const calls = Array.from({ length: 10 }, (_, n) => rs.set({ app, token, d: { [`key${n}`]: n } }));
    await rs.quit();
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(calls.map(() => "fulfilled"));
    const other = new RedisSessions({ client: redis.client(), wipe: 0 });
    expect(Object.keys((await other.get({ app, ref }))?.d ?? {})).toHaveLength(10);
  });

  test("waits for calls that take many steps", async () => {
    const rs = open();
    await Promise.all(Array.from({ length: 2000 }, () => rs.create({ app, id: "alice", ip })));
    const killing = rs.killsoid({ app, id: "alice" });
    await rs.quit();
    expect(await killing).toEqual({ kill: 2000 });
    expect(await redis.client().zcard(`rs:{${app}}:active`)).toBe(0);
  });

  test("waits for calls of a RedisStore on the engine", async () => {
    const rs = open();
    const store = new RedisStore({ rs, app });
    const saves = Array.from({ length: 10 }, (_, n) =>
      store.set(`sid${n}`, { cookie: { originalMaxAge: null } } as never),
    );
    await rs.quit();
    await Promise.all(saves);
    expect(await redis.client().zcard(`rs:{${app}}:active`)).toBe(10);
    await expect(store.get("sid1")).rejects.toMatchObject({
      name: "unavailable",
      message: expect.stringContaining("quit()"),
    });
  });

  test("refuses later calls and says why", async () => {
    const rs = open();
    await rs.ping();
    const quitting = rs.quit();
    const closed = { name: "unavailable", status: 503, message: expect.stringContaining("quit()") };
    await expect(rs.create({ app, id: "alice", ip })).rejects.toMatchObject(closed);
    await expect(rs.ping()).rejects.toMatchObject(closed);
    expect(() => rs.sessions({ app, dt: 60 })).toThrow(expect.objectContaining(closed));
    await quitting;
    await expect(rs.killall({ app })).rejects.toMatchObject(closed);
    expect(await rs.quit()).toBeUndefined();
    expect(await redis.client().dbsize()).toBe(0);
  });

  test("ends within the timeout when Redis does not answer", async () => {
    const rs = open();
    await rs.ping();
    redis.pause();
    try {
      const calls = [rs.ping(), rs.create({ app, id: "alice", ip })].map((call) => call.catch((error) => error.name));
      const began = performance.now();
      await rs.quit();
      expect(performance.now() - began).toBeLessThan(3500);
      await Promise.all(calls);
    } finally {
      redis.resume();
    }
  });
});

test("quit calls a callback", async () => {
  const rs = new RedisSessions({ port: redis.port, wipe: 0 });
  expect(await new Promise((resolve) => rs.quit((error) => resolve(error)))).toBeNull();
});

test.each(["answers", "is away"])(
  "quit lets the process end when Redis %s",
  async (how) => {
    const script = `
    import { RedisSessions } from "./dist/index.js";
    const rs = new RedisSessions({ port: ${how === "answers" ? redis.port : 1}, timeout: 1000 });
    rs.create({ app: "webapp", id: "alice", ip: "::1" }).catch(() => {});
    await rs.quit();
    await rs.quit();
    process.stdout.write("quit");
  `;
    // Where the process goes on, it is ended, and this rejects.
    const ended = promisify(execFile)(process.execPath, ["--input-type=module", "-e", script], { timeout: 20_000 });
    expect((await ended).stdout).toBe("quit");
  },
  30_000,
);
