import { describe, expect, test } from "vitest";
import { update } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { readUserSessions } from "../support/index-check.js";
import { changes, DAMAGED, dumpMixed, HUNDRED, INDEX, plant, plantMixed, useScripts } from "../support/scripts.js";
import { readFields } from "../support/session-text.js";

const t = useScripts();

interface Change {
  ref?: string;
  id?: string;
  now?: number;
  ttl?: number | "";
  write?: string[];
  remove?: string[];
}

function argsOf({ ref = "ref", id = "", now = 5000, ttl = 50, write = [], remove = [] }: Change) {
  return [ref, id, now, ttl, changes(write, remove)];
}

/** The maximum bytes and keys of the data. */
const BOUNDS = [10_000_000, 100_000];

function run(change: Change) {
  return t.runOne(update, [...INDEX, "ref"], [...BOUNDS, ...argsOf(change)]);
}

function runAll(...all: Change[]) {
  return t.run(update, [...INDEX, ...all.map(({ ref = "ref" }) => ref)], [...BOUNDS, ...all.flatMap(argsOf)]);
}

describe("update", () => {
  test("replies 1, writes and removes data, and counts the write", async () => {
    await plant(t.db, { ref: "ref", '"old"': "1", '"gone"': "2" });
    expect(await run({ write: ['"old"', "9", '"new"', '"x"'], remove: ['"gone"'] })).toBe(1);
    const session = await readFields(t.db, "ref");
    expect(session).toMatchObject({ '"old"': "9", '"new"': '"x"', id: '"alice"', w: "2", r: "1", la: "5000" });
    expect(session).not.toHaveProperty('"gone"');
  });

  test("replies 1 for a new ttl alone, applies it from now, and does not count a write", async () => {
    await plant(t.db, { ref: "ref" });
    expect(await run({ ttl: 50 })).toBe(1);
    expect(await readFields(t.db, "ref")).toMatchObject({ ttl: "50", w: "1", la: "5000" });
    expect(await t.db.pttl("ref")).toBeGreaterThan(45_000);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
    expect(await dump(t.db)).toMatchObject({ active: { ref: "5000" }, users: { '"alice"': "5000" } });
  });

  test("changes neither session nor index if Redis is out of memory", async () => {
    await plant(t.db, { ref: "ref" });
    const before = await dump(t.db);
    await t.db.config("SET", "maxmemory", "1");
    try {
      await expect(run({ id: '"bob"', write: ['"a"', "1"] })).rejects.toThrow("OOM");
    } finally {
      await t.db.config("SET", "maxmemory", "0");
    }
    expect(await dump(t.db)).toEqual(before);
  });

  describe("flags", () => {
    test("limits the TTL to the time of the flag `until`", async () => {
      const end = Date.now() + 20_000;
      await plant(t.db, { ref: "ref", end });
      expect(await run({ ttl: 50 })).toBe(1);
      expect(await readFields(t.db, "ref")).toMatchObject({ ttl: "50", end: `${end}` });
      expect(await t.db.pttl("ref")).toBeGreaterThan(15_000);
      expect(await t.db.pttl("ref")).toBeLessThanOrEqual(20_000);
    });

    test("keeps the expiry of a no_resave session", async () => {
      await plant(t.db, { ref: "ref", no_resave: 1 });
      await t.db.pexpire("ref", 30_000);
      expect(await run({ ttl: 5000, write: ['"a"', "1"] })).toBe(1);
      expect(await readFields(t.db, "ref")).toMatchObject({ ttl: "5000", no_resave: "1", '"a"': "1" });
      expect(await t.db.pttl("ref")).toBeLessThanOrEqual(30_000);
    });
  });

  test.each([
    ["the session does not exist", undefined],
    ["the session was rotated", ">new"],
    ["there is a tombstone", ">"],
  ])("replies 0 or the tombstone, and writes nothing if %s", async (_when, tombstone) => {
    if (tombstone !== undefined) await t.db.set("ref", tombstone);
    const before = await dump(t.db);
    expect(await run({ write: ['"a"', "1"] })).toBe(tombstone ?? 0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies -5 and writes nothing if the new user has the maximum number of sessions", async () => {
    await plant(t.db, { ref: "other" });
    await plant(t.db, { ref: "ref", id: '""' });
    const before = await dump(t.db);
    expect(await run({ id: '1"alice"', write: ['"a"', "1"] })).toBe(-5);
    expect(await dump(t.db)).toEqual(before);
    expect(await run({ id: '2"alice"' })).toBe(1);
    expect(await run({ id: '1"alice"', write: ['"a"', "1"] })).toBe(1);
    expect(await readUserSessions(t.db, "")).toEqual(['"alice"other', '"alice"ref']);
  });

  test("counts the sessions that the same run has given to a user", async () => {
    for (const ref of ["a", "b", "c"]) await plant(t.db, { ref, id: '""' });
    const ids = ["a", "b", "c"].map((ref) => ({ ref, id: '2"alice"' }));
    expect(await runAll(...ids)).toEqual([1, 1, -5]);
    expect(await readUserSessions(t.db, "")).toEqual(['"alice"a', '"alice"b']);
  });

  test("assigns the session to another user, and removes the old user if it was the last session", async () => {
    await plant(t.db, { ref: "ref" });
    expect(await run({ id: '"bob"' })).toBe(1);
    expect(await dump(t.db)).toMatchObject({ ref: { id: '"bob"' }, active: { ref: "5000" } });
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"bob"']);
    expect(await readUserSessions(t.db, "")).toEqual(['"bob"ref']);
    expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['"bob"ref']);
  });

  test("makes the session anonymous", async () => {
    await plant(t.db, { ref: "ref" });
    expect(await run({ id: '""' })).toBe(1);
    expect(await readFields(t.db, "ref")).not.toHaveProperty("id");
    expect(await t.db.exists("users", "user-sessions", "user-sessions-overflow")).toBe(0);
    expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['""ref']);
  });

  test("moves the wiper's next check forward if the session expires earlier, but never back", async () => {
    await plant(t.db, { ref: "ref" });
    await run({ ttl: 50 });
    const wipeAt = Number(await t.db.zscore("expiry", '"alice"ref'));
    expect(wipeAt).toBeLessThanOrEqual(Date.now() + 50_000);
    await run({ ttl: 90 });
    expect(await t.db.zscore("expiry", '"alice"ref')).toBe(`${wipeAt}`);
  });

  test("accepts a fractional ttl, and 0 for no expiry", async () => {
    await plant(t.db, { ref: "ref" });
    await run({ ttl: 0.5 });
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(500);
    expect(await t.db.pttl("ref")).toBeGreaterThan(0);
    await run({ ttl: 0 });
    expect(await t.db.pttl("ref")).toBe(-1);
  });

  test("ignores the spaces after the ttl of a session that was large", async () => {
    await plant(t.db, { ref: "ref", ttl: `100${" ".repeat(500)}` });
    expect(await run({ ttl: 0 })).toBe(1);
    expect(await t.db.pttl("ref")).toBe(-1);
  });

  test("keeps ttl, last use and expiry with an empty ttl", async () => {
    await plant(t.db, { ref: "ref" });
    await t.db.pexpire("ref", 50_000);
    expect(await run({ ttl: "", write: ['"a"', "1"] })).toBe(1);
    expect(await readFields(t.db, "ref")).toMatchObject({ '"a"': "1", w: "2", la: "1000", ttl: "100" });
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
    expect(await t.db.zscore("active", "ref")).toBe("1000");
  });

  test("replies for each session of a run in order, and changes each separately", async () => {
    await plantMixed(t.db);
    const replies = await runAll(
      { ref: "first", ttl: "", write: ['"a"', "1"], remove: ['"cart"'] },
      { ref: "missing", write: ['"b"', "1"] },
      { ref: "moved", id: '"carol"', write: ['"c"', "1"] },
      { ref: "hash", write: ['"d"', "1"] },
      { ref: "last", id: '"carol"', now: 8000, ttl: 70 },
    );
    expect(replies).toEqual([1, 0, ">new", expect.any(Error), 1]);
    expect(replies).toHaveProperty("3.message", expect.stringMatching(/^WRONGTYPE /));
    const unchanged = { ip: '"::1"', created: "1000", r: "1" };
    const { expiry, ...rest } = await dumpMixed(t.db);
    expect(rest).toEqual({
      first: { ...unchanged, id: '"alice"', ttl: "100", la: "1000", w: "2", '"a"': "1" },
      last: { ...unchanged, id: '"carol"', ttl: "70", la: "8000", w: "1", '"cart"': "2" },
      active: { first: "1000", last: "8000" },
      users: { '"alice"': "1000", '"carol"': "8000" },
      "user-sessions": { '"alice"': "\nfirst\n", '"carol"': "\nlast\n" },
    });
    expect(Object.keys(expiry ?? {}).sort()).toEqual(['"alice"first', '"carol"last']);
    expect(await t.db.pttl("first")).toBeGreaterThan(95_000);
    expect(await t.db.pttl("last")).toBeLessThanOrEqual(70_000);
  });

  test("keeps the expiry of a session whose text grows, with an empty ttl", async () => {
    await plant(t.db, { ref: "ref", w: 9 });
    await t.db.pexpire("ref", 50_000);
    const before = await readFields(t.db, "ref");
    expect(await run({ ttl: "", write: ['"cart"', "1234567890"] })).toBe(1);
    expect(await readFields(t.db, "ref")).toEqual({ ...before, w: "10", '"cart"': "1234567890" });
    expect(await t.db.pttl("ref")).toBeGreaterThan(45_000);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  });

  describe.each(DAMAGED)("a damaged session: %s", (_what, text) => {
    test.each([
      ["its data alone", { ttl: "" as const }],
      ["its ttl", { ttl: 50 }],
      ["its user", { ttl: 50, id: '"carol"' }],
    ])("replies an error for it alone and leaves it unchanged, for a change of %s", async (_which, change) => {
      for (const ref of ["a", "b"]) await plant(t.db, { ref });
      await t.db.set("damaged", text, "PX", 40_000);
      const replies = await runAll(...["a", "damaged", "b"].map((ref) => ({ ...change, ref, write: ['"n"', "1"] })));
      expect(replies).toEqual([1, expect.any(Error), 1]);
      expect(replies).toHaveProperty("1.message", expect.stringMatching(/^ERR .* is not a session$/));
      expect(await t.db.get("damaged")).toBe(text);
      expect(await t.db.pttl("damaged")).toBeLessThanOrEqual(40_000);
      const id = "id" in change ? change.id : '"alice"';
      for (const ref of ["a", "b"]) expect(await readFields(t.db, ref)).toMatchObject({ id, w: "2", '"n"': "1" });
      expect(await t.db.zrange("active", "0", "-1")).toEqual(["a", "b"]);
      expect(await t.db.hgetall("user-sessions")).toEqual({ [id]: "\na\nb\n" });
    });
  });

  test("changes a session twice, in order, if it occurs twice in a run", async () => {
    await plant(t.db, { ref: "ref" });
    const replies = await runAll({ id: '"bob"', write: ['"a"', "1"] }, { id: '"carol"', ttl: 30, remove: ['"a"'] });
    expect(replies).toEqual([1, 1]);
    expect(await readFields(t.db, "ref")).toMatchObject({ id: '"carol"', ttl: "30", w: "3" });
    expect(await readFields(t.db, "ref")).not.toHaveProperty('"a"');
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"carol"']);
    expect(await readUserSessions(t.db, "")).toEqual(['"carol"ref']);
  });

  test("serves 100 sessions in a run", async () => {
    for (const ref of HUNDRED) await plant(t.db, { ref });
    const all = HUNDRED.map((ref, i) => ({ ref, now: 9000 + i, ttl: 100 + i, write: ['"n"', `${i}`] }));
    expect(await runAll(...all)).toEqual(HUNDRED.map(() => 1));
    expect(await Promise.all(HUNDRED.map((ref) => readFields(t.db, ref)))).toMatchObject(
      HUNDRED.map((_, i) => ({ '"n"': `${i}`, la: `${9000 + i}`, ttl: `${100 + i}` })),
    );
  });
});
