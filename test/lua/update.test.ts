import { expect, test } from "vitest";
import { update } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

interface Change {
  id?: string;
  now?: number;
  ttl?: number;
  write?: string[];
  remove?: string[];
}

function run({ id = "", now = 5000, ttl = 50, write = [], remove = [] }: Change) {
  return t.run(update, [...INDEX, "ref"], ["ref", id, now, ttl, write.length, ...write, ...remove]);
}

test("replies 1, writes and removes data, and counts the write", async () => {
  await plant(t.db, { ref: "ref", '"old"': "1", '"gone"': "2" });
  expect(await run({ write: ['"old"', "9", '"new"', '"x"'], remove: ['"gone"'] })).toBe(1);
  const session = await t.db.hgetall("ref");
  expect(session).toMatchObject({ '"old"': "9", '"new"': '"x"', id: '"alice"', w: "2", r: "1", la: "5000" });
  expect(session).not.toHaveProperty('"gone"');
});

test("replies 1 for a new ttl alone, which counts from now and is no write", async () => {
  await plant(t.db, { ref: "ref" });
  expect(await run({ ttl: 50 })).toBe(1);
  expect(await t.db.hgetall("ref")).toMatchObject({ ttl: "50", w: "1", la: "5000" });
  expect(await t.db.pttl("ref")).toBeGreaterThan(45_000);
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  expect(await dump(t.db)).toMatchObject({ active: { ref: "5000" }, users: { '"alice"': "5000" } });
});

test.each([
  ["there is no session", []],
  ["a session was ended just now, or rotated", ["to", "new"]],
])("replies 0 when %s, and writes nothing", async (_when, fields) => {
  if (fields.length > 0) await t.db.hset("ref", ...fields);
  const before = await dump(t.db);
  expect(await run({ write: ['"a"', "1"] })).toBe(0);
  expect(await dump(t.db)).toEqual(before);
});

test("gives the session to another user, and forgets the one who had no other", async () => {
  await plant(t.db, { ref: "ref" });
  expect(await run({ id: '"bob"' })).toBe(1);
  expect(await dump(t.db)).toMatchObject({ ref: { id: '"bob"' }, active: { ref: "5000" } });
  expect(await t.db.zrange("users", "0", "-1")).toEqual(['"bob"']);
  expect(await t.db.zrange("owners", "0", "-1")).toEqual(['"bob"ref']);
  expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['"bob"ref']);
});

test("gives the session to nobody", async () => {
  await plant(t.db, { ref: "ref" });
  expect(await run({ id: '""' })).toBe(1);
  expect(await t.db.hexists("ref", "id")).toBe(0);
  expect(await t.db.exists("users", "owners")).toBe(0);
  expect(await t.db.zrange("expiry", "0", "-1")).toEqual(['""ref']);
});

test("puts a session that ends earlier than it was to forward in the wiper's queue, never back", async () => {
  await plant(t.db, { ref: "ref" });
  await run({ ttl: 50 });
  const due = Number(await t.db.zscore("expiry", '"alice"ref'));
  expect(due).toBeLessThanOrEqual(Date.now() + 50_000);
  await run({ ttl: 90 });
  expect(await t.db.zscore("expiry", '"alice"ref')).toBe(`${due}`);
});

test("a ttl may have a fraction, and 0 means without end", async () => {
  await plant(t.db, { ref: "ref" });
  await run({ ttl: 0.5 });
  expect(await t.db.pttl("ref")).toBeLessThanOrEqual(500);
  expect(await t.db.pttl("ref")).toBeGreaterThan(0);
  await run({ ttl: 0 });
  expect(await t.db.pttl("ref")).toBe(-1);
});

test("takes more fields than Lua can unpack at once", async () => {
  await plant(t.db, { ref: "ref" });
  const names = Array.from({ length: 9000 }, (_, i) => `"k${i}"`);
  await run({ write: names.flatMap((name, i) => [name, `${i}`]) });
  expect(await t.db.hget("ref", '"k8999"')).toBe("8999");
  await run({ remove: names });
  expect(await t.db.hlen("ref")).toBe(7);
});
