import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisSessions } from "../../src/index.js";
import type { Sessions } from "../../src/sessions/sessions.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** What a read writes to the append-only file. A replica receives the same commands. */

let redis: TestRedis;
let rs: RedisSessions;
let sessions: Sessions;

beforeAll(async () => {
  redis = await startRedis(["--appendonly", "yes"]);
  rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  sessions = internalsOf(rs).sessions("webapp");
});
afterAll(() => redis.stop());

/** The size of the append-only file in bytes, with all commands that were answered. */
async function fileSize(): Promise<number> {
  const info = await redis.client().info("persistence");
  return Number(/aof_current_size:(\d+)/.exec(info)?.[1]) + Number(/aof_buffer_length:(\d+)/.exec(info)?.[1]);
}

/** Calls `use` a number of times, one after another. Returns the bytes that a call writes on average. */
async function bytesOf(count: number, use: (i: number) => Promise<unknown>): Promise<number> {
  const before = await fileSize();
  for (let i = 0; i < count; i++) await use(i);
  return ((await fileSize()) - before) / count;
}

async function createWith(characters: number): Promise<string> {
  const d = { text: "x".repeat(characters) };
  return (await rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", d })).ref;
}

describe.each([10, 2000, 100_000, 400_000])("a session of %i characters", (characters) => {
  test("costs at most 250 bytes a read that resets the idle timeout, also when the count gets more digits", async () => {
    const ref = await createWith(characters);
    expect(await bytesOf(200, () => sessions.get(ref, true, 0))).toBeLessThan(250);
    expect((await sessions.get(ref, false))?.r).toBe(201);
  });

  test("costs at most 500 bytes a touch by RedisStore, which always writes two index entries", async () => {
    const ref = await createWith(characters);
    const touch = { ref, id: "", now: Date.now(), ttl: 7200, changes: "", maxBytes: 2 ** 20, maxKeys: 1000 };
    expect(await bytesOf(20, () => sessions.update(touch))).toBeLessThan(500);
    expect(await redis.client().pttl(`rs:{webapp}:s:${ref}`)).toBeGreaterThan(7_100_000);
  });

  test("costs at most 450 bytes for the first read within a second, which writes two index entries", async () => {
    const ref = await createWith(characters);
    await redis.client().setrange(`rs:{webapp}:s:${ref}`, 0, `${Date.now() - 2000}`);
    expect(await bytesOf(1, () => rs.get({ app: "webapp", ref }))).toBeLessThan(450);
  });
});
