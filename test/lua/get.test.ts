import { expect, test } from "vitest";
import { get } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { dumpMixed, HUNDRED, INDEX, MIXED, plant, plantMixed, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(ref: string, now: number, touch = 1) {
  return t.runOne(get, [...INDEX, ref], [touch, 1000, ref, now]);
}

/** Reads several, each with its own `now`. */
function runAll(refs: readonly string[], nows: readonly number[], { touch = 1, gap = 1000 } = {}) {
  return t.run(get, [...INDEX, ...refs], [touch, gap, ...refs.flatMap((ref, i) => [ref, nows[i] ?? 0])]);
}

test("replies the fields and values as they were before this read", async () => {
  await plant(t.db, { ref: "ref", '"cart"': "3" });
  const lines = ["id", '"alice"', "ip", '"::1"', "ttl", "100", "created", "1000", "la", "1000", "r", "1", "w", "1"];
  expect(await run("ref", 1000)).toBe([...lines, '"cart"', "3"].join("\n"));
  expect(await t.db.hmget("ref", "r", "w")).toEqual(["2", "1"]);
});

test("replies an empty string when there is no session, and leaves no ghost", async () => {
  expect(await run("ref", 9000)).toBe("");
  expect(await t.db.dbsize()).toBe(0);
});

test("replies where a rotated session went, and does not touch the forwarding", async () => {
  await t.db.hset("ref", "to", "new");
  await t.db.pexpire("ref", 500);
  expect(await run("ref", 9000)).toBe("to\nnew");
  expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(500);
});

test("leaves no trace when told so", async () => {
  await plant(t.db, { ref: "ref" });
  await t.db.pexpire("ref", 50_000);
  const before = await dump(t.db);
  expect(await run("ref", 900_000, 0)).toContain("la\n1000");
  expect(await dump(t.db)).toEqual(before);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
});

test.each([
  ["within a second", 1999],
  ["within a second before, on a server whose clock is behind", 1],
])("does not prolong a session that was used %s", async (_when, now) => {
  await plant(t.db, { ref: "ref" });
  await t.db.pexpire("ref", 50_000);
  await run("ref", now);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  expect(await t.db.hget("ref", "la")).toBe("1000");
  expect(await t.db.zscore("active", "ref")).toBe("1000");
});

test.each([
  ["a second ago", 2000],
  ["a second ahead of this clock", 0],
])("prolongs a session that was used %s, and notes it in the index", async (_when, now) => {
  await plant(t.db, { ref: "ref" });
  await t.db.pexpire("ref", 50_000);
  const due = await t.db.zscore("expiry", '"alice"ref');
  await run("ref", now);
  expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
  expect(await t.db.hget("ref", "la")).toBe(`${now}`);
  expect(await t.db.zscore("active", "ref")).toBe(`${now}`);
  expect(await t.db.zscore("users", '"alice"')).toBe(`${Math.max(now, 1000)}`);
  expect(await t.db.zscore("expiry", '"alice"ref')).toBe(due);
});

test("does not prolong a no_resave session, but notes its use", async () => {
  await plant(t.db, { ref: "ref", no_resave: 1 });
  await t.db.pexpire("ref", 50_000);
  await run("ref", 9000);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  expect(await t.db.zscore("active", "ref")).toBe("9000");
});

test("writes index entries anew that were lost", async () => {
  await plant(t.db, { ref: "ref" });
  await t.db.del(...INDEX);
  await run("ref", 9000);
  expect(await dump(t.db)).toMatchObject({
    active: { ref: "9000" },
    users: { '"alice"': "9000" },
    expiry: { '"alice"ref': "9000" },
    owners: { '"alice"ref': "0" },
  });
});

test("takes a data key for data, even one that is named like a field of the session", async () => {
  await plant(t.db, { ref: "ref", '"la"': "9000", '"no_resave"': "1", '"to"': '"x"' });
  await t.db.pexpire("ref", 50_000);
  await run("ref", 9000);
  expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
});

test("prolongs a session of nobody without making a user of it", async () => {
  await plant(t.db, { ref: "ref", id: '""' });
  await run("ref", 9000);
  expect(await t.db.exists("users", "owners")).toBe(0);
});

test("replies for each session of a run, in order, and counts and prolongs each as it needs it", async () => {
  await plantMixed(t.db);
  const replies = await runAll(MIXED, [1500, 9000, 9000, 9000, 8000]);
  expect(replies).toEqual([
    expect.stringMatching(/^id\n"alice"\n.*\nr\n1\n.*\n"cart"\n1$/s),
    "",
    "to\nnew",
    expect.any(Error),
    expect.stringMatching(/^id\n"bob"\n.*\nr\n1\n.*\n"cart"\n2$/s),
  ]);
  expect(replies).toHaveProperty("3.message", expect.stringMatching(/^WRONGTYPE /));
  expect(await dumpMixed(t.db)).toEqual({
    first: expect.objectContaining({ r: "2", la: "1000" }),
    last: expect.objectContaining({ r: "2", la: "8000" }),
    active: { first: "1000", last: "8000" },
    users: { '"alice"': "1000", '"bob"': "8000" },
    owners: { '"alice"first': "0", '"bob"last': "0" },
    expiry: { '"alice"first': "5000000000000", '"bob"last': "5000000000000" },
  });
});

test("leaves no trace in any session of a run when told so", async () => {
  await plantMixed(t.db);
  await t.db.pexpire("last", 50_000);
  const sessions = await Promise.all(["first", "last"].map((ref) => t.db.hgetall(ref)));
  const replies = await runAll(MIXED, [9000, 9000, 9000, 9000, 9000], { touch: 0 });
  expect(replies).toEqual([
    expect.stringContaining('"cart"\n1'),
    "",
    "to\nnew",
    expect.any(Error),
    expect.stringContaining('"cart"\n2'),
  ]);
  expect(await dumpMixed(t.db)).toMatchObject({
    first: sessions[0],
    last: sessions[1],
    active: { first: "1000", last: "1000" },
  });
  expect(await t.db.pttl("last")).toBeLessThanOrEqual(50_000);
});

test("the gap after which a session is prolonged holds for all of a run", async () => {
  for (const ref of ["a", "b", "c"]) await plant(t.db, { ref });
  await runAll(["a", "b", "c"], [61_000, 60_999, 99_000], { gap: 60_000 });
  expect(await dump(t.db)).toMatchObject({ active: { a: "61000", b: "1000", c: "99000" } });
});

test("a session that comes twice in a run is read twice", async () => {
  await plant(t.db, { ref: "ref" });
  const replies = await runAll(["ref", "ref"], [1000, 1000]);
  expect(replies).toEqual([expect.stringContaining("\nr\n1\n"), expect.stringContaining("\nr\n2\n")]);
  expect(await t.db.hget("ref", "r")).toBe("3");
});

test("takes 100 sessions in a run", async () => {
  for (const [i, ref] of HUNDRED.entries()) await plant(t.db, { ref, '"n"': i });
  const nows = HUNDRED.map((_, i) => 9000 + i);
  const replies = await runAll(HUNDRED, nows);
  expect(replies).toEqual(HUNDRED.map((_, i) => expect.stringMatching(new RegExp(`\n"n"\n${i}$`))));
  expect(await Promise.all(HUNDRED.map((ref) => t.db.hmget(ref, "r", "la")))).toEqual(
    nows.map((now) => ["2", `${now}`]),
  );
  expect(await dump(t.db)).toMatchObject({ active: Object.fromEntries(HUNDRED.map((ref, i) => [ref, `${9000 + i}`])) });
});
