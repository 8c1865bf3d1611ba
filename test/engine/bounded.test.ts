import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const app = "webapp";
const ip = "127.0.0.1";
const COUNT = 450;

let redis: TestRedis;
let plain: Redis;
let rs: RedisSessions;

beforeAll(async () => {
  redis = await startRedis();
  plain = redis.client();
  rs = new RedisSessions({ client: redis.client(), wipe: 0 });
});

beforeEach(async () => {
  await plain.flushdb();
  await plain.zadd("rs:apps", Date.now(), app);
  await Promise.all(Array.from({ length: COUNT }, () => rs.create({ app, id: "alice", ip })));
});

afterAll(() => redis.stop());

test.each([
  ["killsoid", async () => (await rs.killsoid({ app, id: "alice" })).kill],
  ["killall", async () => (await rs.killall({ app })).kill],
  ["soid", async () => (await rs.soid({ app, id: "alice" })).sessions.length],
  ["soapp", async () => (await rs.soapp({ app, dt: 60 })).sessions.length],
  ["wipe", async () => (await rs.wipe()).wiped],
])("%s of many sessions works in chunks of 100 and never scans", async (name, call) => {
  if (name === "wipe") {
    const queue = await plain.zrange(`rs:{${app}}:expiry`, "0", "-1");
    await plain.zadd(`rs:{${app}}:expiry`, ...queue.flatMap((entry) => [1, entry]));
    await plain.del(queue.map((entry) => `rs:{${app}}:s:${entry.slice('"alice"'.length)}`));
  }
  const commands = await redis.watch(async () => expect(await call()).toBe(COUNT));
  expect(commands.length).toBeGreaterThan(COUNT / 100);
  for (const [command, ...args] of commands) {
    expect(command?.toLowerCase()).toMatch(/^(evalsha|eval|exists|hget|zrangebylex|zscan)$/);
    if (command?.toLowerCase() === "exists") expect(args.length).toBeLessThanOrEqual(100);
    // The index, the excepted session, and the sessions.
    if (command?.toLowerCase().startsWith("eval")) expect(Number(args[1])).toBeLessThanOrEqual(106);
  }
});
