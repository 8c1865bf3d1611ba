import { describe, expect, test } from "vitest";
import { replace } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { readUserSessions } from "../support/index-check.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields, textOf } from "../support/session-text.js";

const t = useScripts();

function run(mode: string, { id = '"alice"', now = 5000, la = 5000, ttl = 100, limits = [] as number[] } = {}) {
  const text = textOf({ la, r: 1, w: 1, ttl, created: now, id: id === '""' ? "" : id, '"cart"': 3 });
  const keys = mode === "absent" ? ["userBar", "appBar", "mark"] : ["mark", "appBar"];
  const options = mode === "absent" ? [0, 0, 500_000] : limits;
  return t.run(replace, [...INDEX, "ref", ...keys], ["ref", id, now, ttl, mode, text, ...options]);
}

const HEADER = { la: "5000", r: "1", w: "1", ttl: "100", created: "5000", id: '"alice"' };
const WRITTEN = { ...HEADER, '"cart"': "3" };

describe("replace", () => {
  describe.each(["any", "unended", "absent"])("mode %s", (mode) => {
    test("replies 1 and writes session and index if nothing is stored", async () => {
      const before = Date.now();
      expect(await run(mode)).toBe(1);
      const { expiry, mark, ...rest } = await dump(t.db);
      expect(mark !== undefined).toBe(mode === "absent");
      expect(rest).toEqual({
        ref: WRITTEN,
        active: { ref: "5000" },
        users: { '"alice"': "5000" },
        "user-sessions": { '"alice"': "\nref\n" },
      });
      expect(Number((expiry as Record<string, string>)['"alice"ref'])).toBeGreaterThanOrEqual(before + 100_000);
      expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
    });
  });

  test.each(["any", "unended"])(
    "mode %s replaces an existing session, keeps its time of creation and counts the write",
    async (mode) => {
      await plant(t.db, { ref: "ref", '"old"': "1" });
      expect(await run(mode)).toBe(1);
      expect(await readFields(t.db, "ref")).toEqual({ ...WRITTEN, created: "1000", w: "2" });
    },
  );

  test("mode absent replies -1 and writes nothing if the session exists", async () => {
    await plant(t.db, { ref: "ref" });
    const before = await dump(t.db);
    expect(await run("absent")).toBe(-1);
    expect(await dump(t.db)).toEqual(before);
  });

  test.each(["userBar", "appBar"])("mode absent replies 0 and writes nothing if there is the bar %s", async (bar) => {
    await t.db.set(bar, "1");
    const before = await dump(t.db);
    expect(await run("absent")).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("mode absent writes a session once, even if it has ended since", async () => {
    expect(await run("absent")).toBe(1);
    expect(await t.db.pttl("mark")).toBeGreaterThan(400_000);
    expect(await run("absent")).toBe(-1);
    await t.db.del("ref");
    const before = await dump(t.db);
    expect(await run("absent")).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("lists a session that was last used earlier by the time of that use", async () => {
    expect(await run("absent", { la: 2000, ttl: 97 })).toBe(1);
    expect(await dump(t.db)).toMatchObject({ active: { ref: "2000" }, users: { '"alice"': "2000" } });
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(97_000);
  });

  test.each(["unended", "absent"])("mode %s replies 0 if there is a tombstone", async (mode) => {
    await t.db.set("ref", ">");
    expect(await run(mode)).toBe(0);
    expect(await dump(t.db)).toEqual({ ref: { to: "" } });
  });

  test("mode any replaces a tombstone", async () => {
    await t.db.set("ref", ">");
    expect(await run("any")).toBe(1);
    expect(await readFields(t.db, "ref")).toEqual(WRITTEN);
  });

  test("mode unended replies 0 and writes nothing if the session was rotated lately", async () => {
    await t.db.set("mark", "1");
    expect(await run("unended")).toBe(0);
    expect(await t.db.keys("*")).toEqual(["mark"]);
    expect(await run("any")).toBe(1);
  });

  test.each(["any", "unended"])("mode %s replies the redirect of a rotated session", async (mode) => {
    await t.db.set("ref", ">new");
    expect(await run(mode)).toBe(">new");
    expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
  });

  test.each([
    ["a flag of the form name=value", { flags: "authTime=1" }],
    ["the end of its absolute lifetime", { end: String(Date.now() + 50_000) }],
  ])("keeps %s of an existing session", async (_what, flag) => {
    await plant(t.db, { ref: "ref", ...flag });
    expect(await run("any")).toBe(1);
    expect(await readFields(t.db, "ref")).toEqual({ ...WRITTEN, ...flag, created: "1000", w: "2" });
  });

  test.each([100, 0])("ends a new session with a ttl of %i after its absolute lifetime", async (ttl) => {
    const before = Date.now();
    expect(await run("any", { ttl, limits: [20_000, 0] })).toBe(1);
    const end = Number((await readFields(t.db, "ref")).end);
    expect(end).toBeGreaterThanOrEqual(before + 20_000);
    expect(end).toBeLessThanOrEqual(Date.now() + 20_000);
    expect(Math.abs((await t.db.pexpiretime("ref")) - end)).toBeLessThanOrEqual(1);
    // Writing it again does not prolong it.
    expect(await run("any", { ttl, limits: [90_000, 0] })).toBe(1);
    expect(Number((await readFields(t.db, "ref")).end)).toBe(end);
    expect(Math.abs((await t.db.pexpiretime("ref")) - end)).toBeLessThanOrEqual(1);
    expect(Number(await t.db.zscore("expiry", '"alice"ref'))).toBeLessThanOrEqual(end + 1);
  });

  test("replies -5 and writes nothing if the user has the maximum number of sessions", async () => {
    await plant(t.db, { ref: "other" });
    await plant(t.db, { ref: "ref", id: '"bob"' });
    const before = await dump(t.db);
    expect(await run("any", { limits: [0, 1] })).toBe(-5);
    expect(await dump(t.db)).toEqual(before);
    expect(await run("any", { limits: [0, 2] })).toBe(1);
    // It is the user's session already.
    expect(await run("any", { limits: [0, 1] })).toBe(1);
    // Nobody counts anonymous sessions.
    expect(await run("any", { id: '""', limits: [0, 1] })).toBe(1);
  });

  test("moves a session to another user, and removes the old user if it was the last session", async () => {
    await plant(t.db, { ref: "ref", id: '"bob"' });
    expect(await run("any")).toBe(1);
    expect(await dump(t.db)).toMatchObject({ users: { '"alice"': "5000" }, "user-sessions": { '"alice"': "\nref\n" } });
    expect(await readUserSessions(t.db, "")).toEqual(['"alice"ref']);
    expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['"alice"ref']);
  });

  test("lists a session that becomes anonymous in active and expiry only", async () => {
    await plant(t.db, { ref: "ref" });
    expect(await run("any", { id: '""' })).toBe(1);
    expect(Object.keys(await dump(t.db))).toEqual(["active", "expiry", "ref"]);
    expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['""ref']);
  });

  test("accepts a fractional ttl, and 0 for no expiry", async () => {
    await run("any", { ttl: 0.5 });
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(500);
    expect(await t.db.pttl("ref")).toBeGreaterThan(0);
    await run("any", { ttl: 0 });
    expect(await t.db.pttl("ref")).toBe(-1);
  });
});
