import { expect, test } from "vitest";
import { sweep } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(...entries: [id: string, ref: string][]) {
  return t.run(sweep, [...INDEX, ...entries.map(([, ref]) => ref)], entries.flat());
}

test("replies how many sessions were found gone, and drops their entries", async () => {
  await plant(t.db, { ref: "a" });
  await plant(t.db, { ref: "b", id: '"bob"' });
  await plant(t.db, { ref: "c", id: '""' });
  await t.db.del("a", "b", "c");
  expect(await run(['"alice"', "a"], ['"bob"', "b"], ['""', "c"])).toBe(3);
  expect(await t.db.dbsize()).toBe(0);
});

test("replies 0 for what another wiper has found before", async () => {
  await plant(t.db, { ref: "a" });
  await t.db.del("a");
  expect(await run(['"alice"', "a"])).toBe(1);
  expect(await run(['"alice"', "a"])).toBe(0);
});

test("keeps a user who has another session", async () => {
  await plant(t.db, { ref: "a" });
  await plant(t.db, { ref: "b" });
  await t.db.del("a");
  await run(['"alice"', "a"]);
  expect(await t.db.zrange("users", "0", "-1")).toEqual(['"alice"']);
});

test("drops only from active what was met there, for active does not tell the user", async () => {
  await plant(t.db, { ref: "a" });
  await t.db.del("a");
  expect(await run(["", "a"])).toBe(0);
  expect(Object.keys(await dump(t.db))).toEqual(["expiry", "user-sessions", "users"]);
});

test("writes the entries of the living anew, and comes again when their time is over", async () => {
  await plant(t.db, { ref: "a" });
  await t.db.del(...INDEX);
  await t.db.zadd("expiry", 5, '"alice"a');
  const before = Date.now();
  await t.db.pexpire("a", 50_000);
  expect(await run(['"alice"', "a"])).toBe(0);
  const { expiry, ...rest } = await dump(t.db);
  expect(rest).toMatchObject({
    active: { a: "1000" },
    users: { '"alice"': "1000" },
    "user-sessions": { '"alice"': "\na\n" },
  });
  const due = Number((expiry as Record<string, string>)['"alice"a']);
  expect(due).toBeGreaterThan(before + 45_000);
  expect(due).toBeLessThanOrEqual(Date.now() + 50_000);
});

test.each([
  ["no session", "no session"],
  ["a session that was rotated", ">new"],
])("drops the entries of what is %s", async (_what, text) => {
  await plant(t.db, { ref: "a" });
  await t.db.set("a", text);
  expect(await run(['"alice"', "a"])).toBe(1);
  expect(Object.keys(await dump(t.db))).toEqual(["a"]);
});

test("drops the entry under a user whose session it is not any more, and no other", async () => {
  await plant(t.db, { ref: "a", id: '"bob"' });
  await t.db.zadd("expiry", 7, '"alice"a');
  await t.db.hset("user-sessions", '"alice"', "\na\n");
  await t.db.zadd("users", 1000, '"alice"');
  expect(await run(['"alice"', "a"])).toBe(0);
  expect(await dump(t.db)).toMatchObject({
    active: { a: "1000" },
    "user-sessions": { '"bob"': "\na\n" },
    users: { '"bob"': "1000" },
  });
  expect(await t.db.hget("user-sessions", '"alice"')).toBeNull();
  expect(await t.db.zscore("expiry", '"alice"a')).toBeNull();
});

test("reads an id to its end, however much of it is escaped", async () => {
  const id = JSON.stringify("\u0001".repeat(128));
  await plant(t.db, {
    ref: "a",
    id,
    ip: JSON.stringify("\u0001".repeat(39)),
    device: JSON.stringify("\u0001".repeat(64)),
  });
  expect(await run([id, "a"])).toBe(0);
  expect((await dump(t.db))["user-sessions"]).toEqual({ [id]: "\na\n" });
});

test("does not come again within a second, however soon the session ends", async () => {
  await plant(t.db, { ref: "a" });
  await t.db.pexpire("a", 500);
  const before = Date.now();
  await run(['"alice"', "a"]);
  expect(Number(await t.db.zscore("expiry", '"alice"a'))).toBeGreaterThanOrEqual(before + 1000);
});

test("passes over a session that was rotated, or given to another user, meanwhile", async () => {
  await t.db.set("a", ">new");
  await plant(t.db, { ref: "b", id: '"bob"' });
  const before = await dump(t.db);
  expect(await run(['"alice"', "a"], ['"alice"', "b"])).toBe(0);
  expect(await dump(t.db)).toEqual(before);
});
