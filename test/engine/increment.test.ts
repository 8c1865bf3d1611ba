import { afterEach, describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";
import { editFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";
const MAX = Number.MAX_SAFE_INTEGER;

afterEach(() => void vi.restoreAllMocks());

describe.each([
  ["a small session", {}],
  ["a session with many keys", Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`k${i}`, i]))],
  ["a large session", { big: "x".repeat(300_000) }],
])("increment of %s", (_kind, more) => {
  test("adds to the value, and counts a write", async () => {
    const { token, ref } = await t.create({ d: { n: 40, ...more, nn: 7 } });
    expect(await t.rs.increment({ app, token, key: "n" })).toEqual({ value: 41, applied: true });
    expect(await t.rs.increment({ app, ref, key: "n", by: 1000 })).toEqual({ value: 1041, applied: true });
    expect(await t.rs.increment({ app, ref, key: "n", by: -2041 })).toEqual({ value: -1000, applied: true });
    expect(await t.rs.increment({ app, ref, key: "n", by: 1000 })).toEqual({ value: 0, applied: true });
    const session = await t.rs.get({ app, token });
    expect(session).toMatchObject({ r: 1, w: 5, d: { n: 0, nn: 7 } });
    expect(Object.keys(session?.d ?? {})).toHaveLength(2 + Object.keys(more).length);
  });

  test("counts a missing key as 0, whatever its name is", async () => {
    const { token } = await t.create({ d: { ...more, other: "\nx" } });
    for (const key of ["n", "a.b", 'quote"', "line\nfeed", "딸기", "constructor", "%d", "[x]"]) {
      expect(await t.rs.increment({ app, token, key, by: 3 })).toEqual({ value: 3, applied: true });
      expect(await t.rs.increment({ app, token, key, by: 4 })).toEqual({ value: 7, applied: true });
      expect((await t.rs.get({ app, token }))?.d?.[key]).toBe(7);
    }
  });

  test("is exact up to 2^53 - 1, and refuses to go beyond", async () => {
    const { token } = await t.create({ d: { n: MAX - 1, m: 1 - MAX, ...more } });
    expect(await t.rs.increment({ app, token, key: "n" })).toEqual({ value: MAX, applied: true });
    expect(await t.rs.increment({ app, token, key: "m", by: -1 })).toEqual({ value: -MAX, applied: true });
    const before = await dump(t.db);
    for (const [key, by] of [
      ["n", 1],
      ["n", MAX],
      ["m", -1],
    ] as const) {
      await expect(t.rs.increment({ app, token, key, by })).rejects.toMatchObject({
        name: "invalidValue",
        message: `increment: d.${key} would exceed 2^53 - 1, the largest exact integer`,
      });
    }
    expect(await dump(t.db)).toEqual(before);
    expect(await t.rs.increment({ app, token, key: "n", by: -MAX })).toEqual({ value: 0, applied: true });
    expect((await t.rs.get({ app, token }))?.d).toMatchObject({ n: 0, m: -MAX });
  });

  test.each([["1"], [1.5], [true], [1e300], [2 ** 53], ["secret"]])(
    "refuses a value of %j, and does not quote it",
    async (value) => {
      const { token } = await t.create({ d: { "my key": value, ...more } });
      const before = await dump(t.db);
      await expect(t.rs.increment({ app, token, key: "my key" })).rejects.toMatchObject({
        name: "invalidValue",
        message: 'increment: d["my key"] is not an integer',
        hint: "set it to an integer first, or remove it with null",
      });
      expect(await dump(t.db)).toEqual(before);
    },
  );

  test("changes nothing beyond max, and says so", async () => {
    const { token, ref } = await t.create({ d: { n: 3, ...more } });
    await editFields(t.db, `rs:{${app}}:s:${ref}`, { la: { add: -60_000 } });
    const before = await dump(t.db);
    expect(await t.rs.increment({ app, token, key: "n", by: 3, max: 5 })).toEqual({ value: 3, applied: false });
    expect(await t.rs.increment({ app, token, key: "new", by: 1, max: 0 })).toEqual({ value: 0, applied: false });
    expect(await t.rs.increment({ app, token, key: "n", by: MAX, max: MAX })).toEqual({ value: 3, applied: false });
    expect(await dump(t.db)).toEqual(before);
    expect(await t.rs.increment({ app, token, key: "n", by: 2, max: 5 })).toEqual({ value: 5, applied: true });
    // Subtracting goes towards the limit.
    expect(await t.rs.increment({ app, token, key: "n", by: -1, max: 2 })).toEqual({ value: 4, applied: true });
  });

  test("prolongs the session as set does, unless touch is false", async () => {
    const { token, ref } = await t.create({ ttl: 100, d: { ...more, a: 1 } });
    const key = `rs:{${app}}:s:${ref}`;
    await t.db.setrange(key, 0, `${Date.now() - 60_000}`);
    await t.db.pexpire(key, 40_000);
    await t.rs.increment({ app, token, key: "n", touch: false });
    expect(await t.rs.get({ app, ref, touch: false })).toMatchObject({ idle: 60, d: { n: 1 } });
    expect(await t.db.pttl(key)).toBeLessThanOrEqual(40_000);
    await t.rs.increment({ app, token, key: "n" });
    expect(await t.rs.get({ app, ref, touch: false })).toMatchObject({ idle: 0, d: { n: 2 } });
    expect(await t.db.pttl(key)).toBeGreaterThan(90_000);
  });

  test("loses none of 50 calls of several processes at the same time, and never exceeds max", async () => {
    const { token, ref } = await t.create({ d: { n: 0, ...more } });
    const engines = Array.from(
      { length: 5 },
      () => new RedisSessions({ client: t.redis.client(), wipe: 0, timeout: 20_000 }),
    );
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, i) => engines[i % 5]?.increment({ app, token, key: "n" })),
    );
    expect(results.map((result) => result?.value).sort((a = 0, b = 0) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    const limited = await Promise.all(
      Array.from({ length: 20 }, (_, i) => engines[i % 5]?.increment({ app, ref, key: "n", max: 60 })),
    );
    expect(limited.filter((result) => result?.applied)).toHaveLength(10);
    expect(await t.rs.get({ app, token })).toMatchObject({ w: 61, d: { n: 60 } });
  });
});

test("increment returns null and writes nothing if there is no session", async () => {
  expect(await t.rs.increment({ app, token: "x".repeat(64), key: "n" })).toBeNull();
  expect(await t.db.dbsize()).toBe(0);
});

test("increment by an old token adds to the rotated session", async () => {
  const { token } = await t.create({ d: { n: 1 } });
  const rotated = await t.rs.rotate({ app, token });
  expect(await t.rs.increment({ app, token, key: "n" })).toEqual({ value: 2, applied: true });
  expect((await t.rs.get({ app, token: `${rotated?.token}` }))?.d).toEqual({ n: 2 });
});

test("increment accepts a whole session, and refuses an id that is not the session's", async () => {
  const { ref } = await t.create({ d: { n: 1 } });
  const session = await t.rs.get({ app, ref, touch: false });
  expect(await t.rs.increment({ app, ...session, ref, key: "n" })).toEqual({ value: 2, applied: true });
  await expect(t.rs.increment({ app, ref, key: "n", ...{ id: "bob" } })).rejects.toMatchObject({
    name: "invalidValue",
  });
});

test.each([
  ["maxKeys", { maxKeys: 2 }, "The session's data would have more than 2 keys"],
  ["maxBytes", { maxBytes: 20 }, "The session's data would be larger than 20 bytes"],
])("increment respects %s", async (_name, options, message) => {
  const rs = new RedisSessions({ client: t.db, wipe: 0, ...options });
  const { token } = await rs.create({ app, id: "alice", ip: "::1", d: { aaaa: 1, bbbb: 2 } });
  await expect(rs.increment({ app, token, key: "cccc", by: 1000 })).rejects.toMatchObject({
    name: "invalidValue",
    message,
  });
  expect(await rs.increment({ app, token, key: "aaaa" })).toEqual({ value: 2, applied: true });
});

test("increment is one command, and 50 together need one script", async () => {
  const { token } = await t.create({ d: { n: 0 } });
  await t.rs.increment({ app, token, key: "n" });
  expect(await t.redis.watch(() => t.rs.increment({ app, token, key: "n" }))).toHaveLength(1);
  const commands = await t.redis.watch(() =>
    Promise.all(Array.from({ length: 50 }, () => t.rs.increment({ app, token, key: "n" }))),
  );
  expect(commands.length).toBeLessThanOrEqual(2);
  expect((await t.rs.get({ app, token }))?.d).toEqual({ n: 52 });
});
