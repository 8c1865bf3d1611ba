import { expect, test } from "vitest";
import { get } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(ref: string, now: number, touch = 1) {
  return t.run(get, [...INDEX, ref], [ref, now, touch]);
}

test("replies the fields and values as they were before this read", async () => {
  await plant(t.db, { ref: "ref", '"cart"': "3" });
  const lines = ["id", '"alice"', "ip", '"::1"', "ttl", "100", "created", "1000", "la", "1000", "r", "1", "w", "1"];
  expect(await run("ref", 1000)).toBe([...lines, '"cart"', "3"].join("\n"));
  expect(await t.db.hmget("ref", "r", "w")).toEqual(["2", "1"]);
});

test("replies nil when there is no session, and leaves no ghost", async () => {
  expect(await run("ref", 9000)).toBeNull();
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
