import { expect, test } from "vitest";
import { create } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(ref: string, id: string, fields: (string | number)[], now = 5000, ttl = 100) {
  return t.run(create, [...INDEX, ref], [ref, id, now, ttl, 0, 0, "id", id, ...fields]);
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

test("enters a session of nobody in active and expiry only", async () => {
  expect(await run("ref", '""', [])).toBe(1);
  expect(Object.keys(await dump(t.db))).toEqual(["active", "expiry", "ref"]);
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

test("does not move a user's last activity back", async () => {
  await run("one", '"alice"', [], 9000);
  await run("two", '"alice"', [], 5000);
  expect(await t.db.zscore("users", '"alice"')).toBe("9000");
});

test("writes the longest ttl in full digits", async () => {
  await run("ref", '"alice"', [], 5000, 9_007_199_254_740);
  expect(await t.db.pttl("ref")).toBeGreaterThan(9_007_199_254_739_000);
});
