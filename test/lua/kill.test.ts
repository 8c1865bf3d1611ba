import { describe, expect, test } from "vitest";
import { kill } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { dumpMixed, HUNDRED, INDEX, MIXED, plant, plantMixed, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(ref: string, tombstoneTtl = 0) {
  return t.runOne(kill, [...INDEX, ref], [tombstoneTtl, ref]);
}

function runAll(refs: readonly string[], tombstoneTtl = 0) {
  return t.run(kill, [...INDEX, ...refs], [tombstoneTtl, ...refs]);
}

describe("kill", () => {
  test("replies 1 and removes the session, its entries, and its user if it was the last session", async () => {
    await plant(t.db, { ref: "ref" });
    expect(await run("ref")).toBe(1);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("keeps a user who has another session", async () => {
    await plant(t.db, { ref: "ref" });
    await plant(t.db, { ref: "other" });
    expect(await run("ref")).toBe(1);
    expect(await dump(t.db)).toMatchObject({
      active: { other: "1000" },
      users: { '"alice"': "1000" },
      "user-sessions": { '"alice"': "\nother\n" },
    });
  });

  test.each([
    ['"a"', '"a\\""', '"ab"', '"b"'],
    ['"\u{10ffff}"', '"\u{10ffff}\u{10ffff}"', '"\uffff"', '"a"'],
  ])("does not count the sessions of users with similar ids for user %s", async (id, ...others) => {
    await plant(t.db, { ref: "ref", id });
    for (const [i, other] of others.entries()) await plant(t.db, { ref: `o${i}`, id: other });
    await run("ref");
    expect((await t.db.zrange("users", "0", "-1")).sort()).toEqual(others.toSorted());
  });

  test("replies 0 if the session does not exist", async () => {
    await plant(t.db, { ref: "other" });
    const before = await dump(t.db);
    expect(await run("ref")).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies the redirect of a rotated session and writes nothing", async () => {
    await t.db.set("ref", ">new");
    expect(await run("ref")).toBe(">new");
    expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
  });

  test("ends an anonymous session without changing users", async () => {
    await plant(t.db, { ref: "ref", id: '""' });
    await plant(t.db, { ref: "other" });
    expect(await run("ref")).toBe(1);
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"alice"']);
  });

  test("leaves a tombstone with the given TTL, even if the session did not exist", async () => {
    await plant(t.db, { ref: "ref" });
    const killWithTombstone = () => run("ref", 5000);
    expect(await killWithTombstone()).toBe(1);
    expect(await dump(t.db)).toEqual({ ref: { to: "" } });
    expect(await t.db.pttl("ref")).toBeGreaterThan(0);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(5000);
    await t.db.del("ref");
    expect(await killWithTombstone()).toBe(0);
    expect(await dump(t.db)).toEqual({ ref: { to: "" } });
  });

  test("replies for each session of a run in order, and removes the ended ones completely", async () => {
    await plantMixed(t.db);
    await plant(t.db, { ref: "other", id: '"bob"' });
    const replies = await runAll(MIXED);
    expect(replies).toEqual([1, 0, ">new", expect.any(Error), 1]);
    expect(replies).toHaveProperty("3.message", expect.stringMatching(/^WRONGTYPE /));
    expect(await dumpMixed(t.db)).toEqual({
      other: expect.objectContaining({ id: '"bob"' }),
      active: { other: "1000" },
      users: { '"bob"': "1000" },
      "user-sessions": { '"bob"': "\nother\n" },
      expiry: { '"bob"other': "5000000000000" },
    });
  });

  test("leaves a tombstone for each session of a run", async () => {
    for (const ref of ["a", "b"]) await plant(t.db, { ref });
    await t.db.set("moved", ">new");
    expect(await runAll(["a", "moved", "none", "b"], 5000)).toEqual([1, ">new", 0, 1]);
    const tombstone = { to: "" };
    expect(await dump(t.db)).toEqual({ a: tombstone, b: tombstone, none: tombstone, moved: { to: "new" } });
    for (const ref of ["a", "b", "none"]) {
      expect(await t.db.pttl(ref)).toBeGreaterThan(0);
      expect(await t.db.pttl(ref)).toBeLessThanOrEqual(5000);
    }
  });

  test("ends a session once if it occurs twice in a run", async () => {
    await plant(t.db, { ref: "a" });
    await plant(t.db, { ref: "b" });
    expect(await runAll(["a", "a"])).toEqual([1, 0]);
    // The second call finds the tombstone of the first.
    expect(await runAll(["b", "b"], 5000)).toEqual([1, ">"]);
  });

  test("serves 100 sessions in a run", async () => {
    for (const ref of HUNDRED) await plant(t.db, { ref });
    expect(await runAll(HUNDRED)).toEqual(HUNDRED.map(() => 1));
    expect(await t.db.dbsize()).toBe(0);
  });
});
