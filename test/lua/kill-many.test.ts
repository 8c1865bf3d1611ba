import { expect, test } from "vitest";
import { killMany } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(refs: string[], { spare = "active", id = '"alice"' } = {}) {
  return t.run(killMany, [...INDEX, spare, ...refs], [0, id, refs.length, ...refs]);
}

test("replies how many sessions were ended, and leaves nothing of them", async () => {
  await plant(t.db, { ref: "a" });
  await plant(t.db, { ref: "b" });
  expect(await run(["a", "b", "never"])).toBe(2);
  expect(await t.db.dbsize()).toBe(0);
});

test("drops the entries of a session that is gone without counting it", async () => {
  await plant(t.db, { ref: "a" });
  await t.db.del("a");
  expect(await run(["a"])).toBe(0);
  expect(await t.db.dbsize()).toBe(0);
});

test("does not end the session to spare, which is not among those it is given", async () => {
  await plant(t.db, { ref: "a" });
  await plant(t.db, { ref: "mine" });
  expect(await run(["a"], { spare: "mine" })).toBe(1);
  expect(await t.db.exists("mine")).toBe(1);
  expect(await t.db.zrange("users", "0", "-1")).toEqual(['"alice"']);
});

test("replies -1 when the session to spare was rotated, and writes nothing", async () => {
  await plant(t.db, { ref: "a" });
  await t.db.set("mine", ">new");
  const before = await dump(t.db);
  expect(await run(["a"], { spare: "mine" })).toBe(-1);
  expect(await dump(t.db)).toEqual(before);
});

test("ends the others when the session to spare is gone", async () => {
  await plant(t.db, { ref: "a" });
  expect(await run(["a"], { spare: "gone" })).toBe(1);
});

test("leaves the forwarding of a rotated session and drops the old entries", async () => {
  await plant(t.db, { ref: "old" });
  await plant(t.db, { ref: "new" });
  await t.db.set("old", ">new");
  expect(await run(["old"])).toBe(0);
  expect(await dump(t.db)).toMatchObject({
    old: { to: "new" },
    active: { new: "1000" },
    "user-sessions": { '"alice"': "\nnew\n" },
  });
  expect(await t.db.zcard("expiry")).toBe(1);
});

test("lets a session live that belongs to another user by now, and drops the stale entries", async () => {
  await plant(t.db, { ref: "a", id: '"bob"' });
  await t.db.hset("user-sessions", '"alice"', "\na\n");
  await t.db.zadd("expiry", 0, '"alice"a');
  expect(await run(["a"])).toBe(0);
  expect(await dump(t.db)).toMatchObject({ a: { id: '"bob"' }, active: { a: "1000" }, users: { '"bob"': "1000" } });
  expect(await t.db.hgetall("user-sessions")).toEqual({ '"bob"': "\na\n" });
  expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['"bob"a']);
});

test.each([
  ["with an ip", '"::1"', { '"alice"': "1" }],
  ["without one, whose first key is another's id", "", { '"alice"': "1" }],
  ["of which nothing is known", "", {}],
])("ends a session of nobody %s, and not as another's", async (_, ip, data) => {
  await plant(t.db, { ref: "a", id: '""', ip, ...data });
  expect(await run(["a"])).toBe(0);
  expect(await t.db.exists("a")).toBe(1);
  expect(await run(["a"], { id: '""' })).toBe(1);
  expect(await t.db.dbsize()).toBe(0);
});

test("takes neither another's ip nor another's id that begins alike for the id", async () => {
  await plant(t.db, { ref: "a", id: '"bob"', ip: '"alice"' });
  await plant(t.db, { ref: "b", id: '"alice\\""' });
  expect(await run(["a", "b"])).toBe(0);
  expect(await t.db.exists("a", "b")).toBe(2);
});

test("leaves a mark for a while where the sessions were, when told so", async () => {
  await plant(t.db, { ref: "a" });
  expect(await t.run(killMany, [...INDEX, "active", "a"], [5000, '"alice"', 1, "a"])).toBe(1);
  expect(await dump(t.db)).toEqual({ a: { to: "" } });
  expect(await t.db.pttl("a")).toBeGreaterThan(0);
  expect(await t.db.pttl("a")).toBeLessThanOrEqual(5000);
});
