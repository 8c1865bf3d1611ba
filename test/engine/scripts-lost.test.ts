import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import * as scripts from "../../src/lua/index.js";
import { readStored } from "../support/index-check.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { editFields } from "../support/session-text.js";

const ip = "127.0.0.1";
const app = "webapp";

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
  // The engine has told Redis of the app, and does so again only after a minute.
  await plain.zadd("rs:apps", Date.now(), app);
});

afterAll(() => redis.stop());

function lowerCase(commands: string[][]): string[] {
  return commands.map(([name]) => name?.toLowerCase() ?? "");
}

describe("a Redis that has lost the scripts", () => {
  const forget = () => plain.script("FLUSH");

  test("gets each of them again, between any two calls", async () => {
    await forget();
    const { token } = await rs.create({ app, id: "alice", ip });
    await forget();
    expect((await rs.get({ app, token }))?.r).toBe(1);
    await forget();
    expect((await rs.set({ app, token, d: { a: 1 } }))?.d).toEqual({ a: 1 });
    await forget();
    const rotated = await rs.rotate({ app, token });
    await forget();
    expect((await rs.get({ app, token }))?.ref).toBe(rotated?.ref);
    await forget();
    expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
    await forget();
    expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(1);
    await plain.zadd(`rs:{${app}}:expiry`, 1, `"alice"${rotated?.ref}`);
    await forget();
    expect(await rs.wipe()).toEqual({ wiped: 0 });
    await rs.create({ app, id: "alice", ip });
    await forget();
    expect(await rs.kill({ app, ref: rotated?.ref as string })).toEqual({ kill: 1 });
    await forget();
    expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
    await rs.create({ app, id: "alice", ip });
    await forget();
    expect(await rs.killall({ app })).toEqual({ kill: 1 });
    expect((await readStored(plain, app)).entries).toBe(0);
  });

  test("is sent EVALSHA and then EVAL, once", async () => {
    const { token } = await rs.create({ app, id: "alice", ip });
    await forget();
    expect(lowerCase(await redis.watch(() => rs.get({ app, token })))).toEqual(["evalsha", "eval"]);
    expect(lowerCase(await redis.watch(() => rs.get({ app, token })))).toEqual(["evalsha"]);
    expect((await rs.get({ app, token }))?.r).toBe(3);
  });

  test("loses no call of many that are under way, and runs none of them twice", async () => {
    const { token } = await rs.create({ app, id: "alice", ip });
    const flusher = redis.client();
    const calls: Promise<unknown>[] = [];
    for (let i = 0; i < 200; i++) {
      if (i % 20 === 0) void flusher.script("FLUSH");
      calls.push(i % 2 ? rs.get({ app, token }) : rs.set({ app, token, d: { [`key${i}`]: i } }));
      if (i % 10 === 0) await flusher.ping();
    }
    expect((await Promise.all(calls)).every((session) => session !== null)).toBe(true);
    const session = await rs.get({ app, token });
    expect(session).toMatchObject({ r: 101, w: 101 });
    expect(Object.keys(session?.d ?? {})).toHaveLength(100);
  });
});

test("a script that failed for another reason is not run again", async () => {
  const { token, ref } = await rs.create({ app, id: "alice", ip });
  await rs.get({ app, token });
  await plain.del(`rs:{${app}}:s:${ref}`);
  await plain.hset(`rs:{${app}}:s:${ref}`, "no", "text");
  const commands = await redis.watch(async () => {
    const failed = rs.get({ app, token });
    await expect(failed).rejects.toMatchObject({ name: "redisError", message: expect.stringContaining("WRONGTYPE") });
  });
  expect(lowerCase(commands)).toEqual(["evalsha"]);
});

describe("a Redis without memory that evicts nothing", () => {
  let token: string;
  let ref: string;
  const key = () => `rs:{${app}}:s:${ref}`;
  const full = { name: "redisError", code: "ERR_REDIS", message: expect.stringContaining("OOM") };

  async function fill() {
    await plain.config("SET", "maxmemory", "1");
  }

  beforeEach(async () => {
    await plain.config("SET", "maxmemory", "0");
    ({ token, ref } = await rs.create({ app, id: "alice", ip, ttl: 100, d: { a: 1 } }));
    return () => plain.config("SET", "maxmemory", "0");
  });

  test("refuses new sessions and new data, once, and keeps the stored ones", async () => {
    await fill();
    const create = await redis.watch(() => expect(rs.create({ app, id: "bob", ip })).rejects.toMatchObject(full));
    const set = await redis.watch(() => expect(rs.set({ app, token, d: { b: 2 } })).rejects.toMatchObject(full));
    // It also looks whether there is something to drop: what is due, and a sample (of both Redis may lack the script).
    const runs = create.filter(([, script]) => script === scripts.create.sha || script === scripts.create.source);
    expect(runs).toHaveLength(1);
    expect(create.some(([, script]) => script === scripts.sweep.sha)).toBe(false);
    expect(lowerCase(set)).toEqual(["evalsha"]);
    expect(await rs.get({ app, token, touch: false })).toMatchObject({ d: { a: 1 }, w: 1 });
    expect(await readStored(plain, app)).toMatchObject({ sessions: [ref], problems: [] });
  });

  test("reads and prolongs a session", async () => {
    await editFields(plain, key(), { la: { add: -2000 } });
    await plain.pexpire(key(), 50_000);
    await fill();
    expect(await rs.get({ app, token })).toMatchObject({ id: "alice", d: { a: 1 } });
    expect(await plain.pttl(key())).toBeGreaterThan(90_000);
    expect(await rs.get({ app, token })).toMatchObject({ r: 2, idle: 0 });
  });

  test("reads a no_resave session and keeps its expiry", async () => {
    await editFields(plain, key(), { no_resave: 1, la: { add: -2000 } });
    await plain.pexpire(key(), 50_000);
    await fill();
    expect(await rs.get({ app, token })).toMatchObject({ id: "alice", no_resave: true });
    expect(await plain.pttl(key())).toBeLessThanOrEqual(50_000);
  });

  test("does not hide another error of a read", async () => {
    await editFields(plain, key(), { r: "not a number" });
    await expect(rs.get({ app, token })).rejects.toMatchObject({ name: "redisError" });
  });

  test("ends sessions, even if it has lost the scripts", async () => {
    for (let i = 0; i < 150; i++) await rs.create({ app, id: "bob", ip });
    await rs.create({ app, id: "carol", ip });
    await fill();
    await plain.script("FLUSH");
    expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
    expect(await rs.kill({ app, token })).toEqual({ kill: 1 });
    expect(await rs.killsoid({ app, id: "bob" })).toEqual({ kill: 150 });
    expect(await rs.killall({ app })).toEqual({ kill: 1 });
    expect((await readStored(plain, app)).entries).toBe(0);
  });

  test("rotates a session", async () => {
    await fill();
    const rotated = await rs.rotate({ app, token });
    expect((await rs.get({ app, token }))?.ref).toBe(rotated?.ref);
    expect((await readStored(plain, app)).problems).toEqual([]);
  });

  test("is wiped, which frees memory", async () => {
    for (let i = 0; i < 150; i++) await rs.create({ app, id: "bob", ip });
    const queue = await plain.zrange(`rs:{${app}}:expiry`, "0", "-1");
    await plain.zadd(`rs:{${app}}:expiry`, ...queue.flatMap((entry) => [1, entry]));
    await plain.del(
      queue.filter((entry) => entry.startsWith('"bob"')).map((entry) => `rs:{${app}}:s:${entry.slice(5)}`),
    );
    await fill();
    expect(await rs.wipe()).toEqual({ wiped: 150 });
    expect(await readStored(plain, app)).toMatchObject({ problems: [], entries: 4 });
  });
});
