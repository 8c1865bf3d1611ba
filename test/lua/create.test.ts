import { expect, test } from "vitest";
import { create } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { HUNDRED, INDEX, lines, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

interface New {
  ref: string;
  id?: string;
  now?: number;
  ttl?: number;
  absolute?: number;
  limit?: number;
  fields?: (string | number)[];
}

function argsOf({ ref, id = '"alice"', now = 5000, ttl = 100, absolute = 0, limit = 0, fields = [] }: New) {
  return [ref, id, now, ttl, absolute, limit, lines(["id", id, ...fields])];
}

function runAll(...sessions: New[]) {
  return t.run(create, [...INDEX, ...sessions.map(({ ref }) => ref)], sessions.flatMap(argsOf));
}

function run(ref: string, id: string, fields: (string | number)[], now = 5000, ttl = 100) {
  return t.runOne(create, [...INDEX, ref], argsOf({ ref, id, now, ttl, fields }));
}

test("replies 1 and writes the session with all its index entries", async () => {
  const before = Date.now();
  expect(await run("ref", '"alice"', ["ttl", 100, '"cart"', "3"])).toBe(1);
  const { expiry, ...rest } = await dump(t.db);
  expect(rest).toEqual({
    ref: { id: '"alice"', ttl: "100", '"cart"': "3" },
    active: { ref: "5000" },
    users: { '"alice"': "5000" },
    owners: { '"alice"ref': "0" },
  });
  const due = Number((expiry as Record<string, string>)['"alice"ref']);
  expect(due).toBeGreaterThanOrEqual(before + 100_000);
  expect(due).toBeLessThanOrEqual(Date.now() + 100_000);
});

test("gives the session its life in Redis's time, whatever the caller's clock says", async () => {
  await run("ref", '"alice"', [], 5000, 100);
  const left = await t.db.pttl("ref");
  expect(left).toBeGreaterThan(95_000);
  expect(left).toBeLessThanOrEqual(100_000);
});

test("takes more fields than Lua can unpack at once", async () => {
  const fields = Array.from({ length: 9000 }, (_, i) => [`"k${i}"`, i]).flat();
  expect(await run("ref", '"alice"', fields)).toBe(1);
  expect(await t.db.hlen("ref")).toBe(9001);
  expect(await t.db.hmget("ref", '"k0"', '"k499"', '"k500"', '"k8999"')).toEqual(["0", "499", "500", "8999"]);
});

test("changes nothing when the very same call comes again", async () => {
  await run("ref", '"alice"', ["ttl", 100]);
  const before = await dump(t.db);
  expect(await run("ref", '"alice"', ["ttl", 100])).toBe(1);
  expect(await dump(t.db)).toEqual(before);
});

test("writes the longest ttl in full digits", async () => {
  await run("ref", '"alice"', [], 5000, 9_007_199_254_740);
  expect(await t.db.pttl("ref")).toBeGreaterThan(9_007_199_254_739_000);
});

test("replies 0 when the user has as many sessions as they may have, and writes nothing", async () => {
  await plant(t.db, { ref: "one" });
  const before = await dump(t.db);
  expect(await runAll({ ref: "two", limit: 1 })).toEqual([0]);
  expect(await dump(t.db)).toEqual(before);
  expect(await runAll({ ref: "two", limit: 2 })).toEqual([1]);
});

test("writes each session of a run with what is its own", async () => {
  const before = Date.now();
  const replies = await runAll(
    { ref: "a", now: 5000, ttl: 100, fields: ['"n"', 1] },
    { ref: "b", id: '"bob"', now: 6000, ttl: 200, absolute: 150, fields: ['"n"', 2, '"m"', 3] },
    { ref: "c", now: 7000, ttl: 300, absolute: 900 },
  );
  expect(replies).toEqual([1, 1, 1]);
  const after = Date.now();

  const { a, b, c, expiry, ...index } = (await dump(t.db)) as Record<string, Record<string, string>>;
  const { end: endOfB, ...restOfB } = b ?? {};
  const { end: endOfC, ...restOfC } = c ?? {};
  expect([a, restOfB, restOfC]).toEqual([
    { id: '"alice"', '"n"': "1" },
    { id: '"bob"', '"n"': "2", '"m"': "3" },
    { id: '"alice"' },
  ]);
  expect(index).toEqual({
    active: { a: "5000", b: "6000", c: "7000" },
    users: { '"alice"': "7000", '"bob"': "6000" },
    owners: { '"alice"a': "0", '"alice"c': "0", '"bob"b': "0" },
  });
  expect(Object.keys(expiry ?? {}).sort()).toEqual(['"alice"a', '"alice"c', '"bob"b']);
  for (const [moment, seconds] of [
    [expiry?.['"alice"a'], 100],
    [expiry?.['"bob"b'], 150],
    [expiry?.['"alice"c'], 300],
    [endOfB, 150],
    [endOfC, 900],
  ] as const) {
    expect(Number(moment)).toBeGreaterThanOrEqual(before + seconds * 1000);
    expect(Number(moment)).toBeLessThanOrEqual(after + seconds * 1000);
  }
  for (const [ref, seconds] of [["a", 100] as const, ["b", 150] as const, ["c", 300] as const]) {
    expect(await t.db.pttl(ref)).toBeGreaterThan(seconds * 1000 - 5000);
    expect(await t.db.pttl(ref)).toBeLessThanOrEqual(seconds * 1000);
  }
});

test.each([
  ["two of a user who may have one", [1, 1], [1, 0]],
  ["three of a user who may have two", [2, 2, 2], [1, 1, 0]],
  ["one without a limit before one that has one", [0, 1], [1, 0]],
])("counts the sessions of the same run, too: %s", async (_which, limits, replies) => {
  const sessions = limits.map((limit, i) => ({ ref: `r${i}`, limit }));
  expect(await runAll(...sessions)).toEqual(replies);
  const written = sessions.map(({ ref }) => ref).filter((_, i) => replies[i] === 1);
  expect(Object.keys(await dump(t.db))).toEqual(["active", "expiry", "owners", ...written, "users"]);
  expect(await t.db.zrange("active", "0", "-1")).toEqual(written);
});

test("one that is refused leaves no trace, and those before and after it are written whole", async () => {
  await plant(t.db, { ref: "old", id: '"bob"' });
  const replies = await runAll(
    { ref: "a" },
    { ref: "b", id: '"bob"', limit: 1 },
    { ref: "c", id: '"carol"', limit: 1 },
    { ref: "d", id: '"dave"' },
  );
  expect(replies).toEqual([1, 0, 1, 1]);
  expect(await t.db.exists("b")).toBe(0);
  expect(await dump(t.db)).toMatchObject({ a: { id: '"alice"' }, c: { id: '"carol"' }, d: { id: '"dave"' } });
  expect(await t.db.zrange("active", "0", "-1")).toEqual(["old", "a", "c", "d"]);
  expect(await t.db.zrange("users", "0", "-1")).toEqual(['"bob"', '"alice"', '"carol"', '"dave"']);
  expect(await t.db.zrange("owners", "0", "-1")).toEqual(['"alice"a', '"bob"old', '"carol"c', '"dave"d']);
  expect((await t.db.zrange("expiry", "0", "-1")).sort()).toEqual(['"alice"a', '"bob"old', '"carol"c', '"dave"d']);
});

test.each([
  ["without a limit", 0],
  ["with a limit", 100],
])("takes 100 sessions in a run, %s", async (_which, limit) => {
  const sessions = HUNDRED.map((ref, i) => ({ ref, now: 5000 + i, limit, fields: ['"n"', i] }));
  expect(await runAll(...sessions)).toEqual(HUNDRED.map(() => 1));
  expect(await Promise.all(HUNDRED.map((ref) => t.db.hget(ref, '"n"')))).toEqual(HUNDRED.map((_, i) => `${i}`));
  expect(await t.db.zrange("active", "0", "-1")).toEqual(HUNDRED);
  const entries = HUNDRED.map((ref) => `"alice"${ref}`).sort();
  expect(await t.db.zrange("owners", "0", "-1")).toEqual(entries);
  expect((await t.db.zrange("expiry", "0", "-1")).sort()).toEqual(entries);
  expect(await t.db.zrange("users", "0", "-1", "WITHSCORES")).toEqual(['"alice"', "5099"]);
});

test("takes a session that comes again for the one that is there, not for one too many", async () => {
  expect(await runAll({ ref: "one", limit: 1 })).toEqual([1]);
  // ioredis repeats a command whose answer was lost with the connection.
  expect(await runAll({ ref: "one", limit: 1 })).toEqual([1]);
  expect(await runAll({ ref: "two", limit: 1 })).toEqual([0]);
  expect(await t.db.zcard("owners")).toBe(1);
});
