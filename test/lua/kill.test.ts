import { expect, test } from "vitest";
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

test("replies 1 and leaves nothing of the session, nor of its user when it was the last", async () => {
  await plant(t.db, { ref: "ref" });
  expect(await run("ref")).toBe(1);
  expect(await t.db.dbsize()).toBe(0);
});

test("keeps the user as long as there are other sessions", async () => {
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
])("takes the sessions of none of its neighbours for those of user %s", async (id, ...others) => {
  await plant(t.db, { ref: "ref", id });
  for (const [i, other] of others.entries()) await plant(t.db, { ref: `o${i}`, id: other });
  await run("ref");
  expect((await t.db.zrange("users", "0", "-1")).sort()).toEqual(others.toSorted());
});

test("replies 0 when there is none", async () => {
  await plant(t.db, { ref: "other" });
  const before = await dump(t.db);
  expect(await run("ref")).toBe(0);
  expect(await dump(t.db)).toEqual(before);
});

test("replies where a rotated session went, and writes nothing", async () => {
  await t.db.set("ref", ">new");
  expect(await run("ref")).toBe(">new");
  expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
});

test("ends a session of nobody and lets users be", async () => {
  await plant(t.db, { ref: "ref", id: '""' });
  await plant(t.db, { ref: "other" });
  expect(await run("ref")).toBe(1);
  expect(await t.db.zrange("users", "0", "-1")).toEqual(['"alice"']);
});

test("leaves a mark for a while where the session was, when told so, and where there was none", async () => {
  await plant(t.db, { ref: "ref" });
  const leaveMark = () => run("ref", 5000);
  expect(await leaveMark()).toBe(1);
  expect(await dump(t.db)).toEqual({ ref: { to: "" } });
  expect(await t.db.pttl("ref")).toBeGreaterThan(0);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(5000);
  await t.db.del("ref");
  expect(await leaveMark()).toBe(0);
  expect(await dump(t.db)).toEqual({ ref: { to: "" } });
});

test("replies for each session of a run, in order, and leaves nothing of those that were ended", async () => {
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

test("leaves a mark where each session of a run was, when told so", async () => {
  for (const ref of ["a", "b"]) await plant(t.db, { ref });
  await t.db.set("moved", ">new");
  expect(await runAll(["a", "moved", "none", "b"], 5000)).toEqual([1, ">new", 0, 1]);
  const mark = { to: "" };
  expect(await dump(t.db)).toEqual({ a: mark, b: mark, none: mark, moved: { to: "new" } });
  for (const ref of ["a", "b", "none"]) {
    expect(await t.db.pttl(ref)).toBeGreaterThan(0);
    expect(await t.db.pttl(ref)).toBeLessThanOrEqual(5000);
  }
});

test("a session that comes twice in a run is ended once", async () => {
  await plant(t.db, { ref: "a" });
  await plant(t.db, { ref: "b" });
  expect(await runAll(["a", "a"])).toEqual([1, 0]);
  // The second time it finds the mark, which has no ref.
  expect(await runAll(["b", "b"], 5000)).toEqual([1, ">"]);
});

test("takes 100 sessions in a run", async () => {
  for (const ref of HUNDRED) await plant(t.db, { ref });
  expect(await runAll(HUNDRED)).toEqual(HUNDRED.map(() => 1));
  expect(await t.db.dbsize()).toBe(0);
});
