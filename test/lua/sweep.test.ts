import { describe, expect, test } from "vitest";
import { sweep } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(...entries: [id: string, ref: string][]) {
  return t.run(sweep, [...INDEX, ...entries.map(([, ref]) => ref)], entries.flat());
}

describe("sweep", () => {
  test("replies the number of sessions that no longer exist, and removes their entries", async () => {
    await plant(t.db, { ref: "a" });
    await plant(t.db, { ref: "b", id: '"bob"' });
    await plant(t.db, { ref: "c", id: '""' });
    await t.db.del("a", "b", "c");
    expect(await run(['"alice"', "a"], ['"bob"', "b"], ['""', "c"])).toBe(3);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("replies 0 for a session that another wiper has counted", async () => {
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

  test("removes an entry of active from active only, because it contains no user", async () => {
    await plant(t.db, { ref: "a" });
    await t.db.del("a");
    expect(await run(["", "a"])).toBe(0);
    expect(Object.keys(await dump(t.db))).toEqual(["expiry", "user-sessions", "users"]);
  });

  test("restores the entries of an existing session, and schedules the next check for its expiry", async () => {
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
    const wipeAt = Number((expiry as Record<string, string>)['"alice"a']);
    expect(wipeAt).toBeGreaterThan(before + 45_000);
    expect(wipeAt).toBeLessThanOrEqual(Date.now() + 50_000);
  });

  test.each([
    ["a damaged session", "no session"],
    ["a rotated session", ">new"],
  ])("removes the entries of %s", async (_what, text) => {
    await plant(t.db, { ref: "a" });
    await t.db.set("a", text);
    expect(await run(['"alice"', "a"])).toBe(1);
    expect(Object.keys(await dump(t.db))).toEqual(["a"]);
  });

  test("removes only the old entries of a session that now belongs to another user", async () => {
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

  test("reads a maximum-length id whose characters are all escaped", async () => {
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

  test("schedules the next check at least a second later", async () => {
    await plant(t.db, { ref: "a" });
    await t.db.pexpire("a", 500);
    const before = Date.now();
    await run(['"alice"', "a"]);
    expect(Number(await t.db.zscore("expiry", '"alice"a'))).toBeGreaterThanOrEqual(before + 1000);
  });

  test("changes nothing for a session that was rotated or assigned to another user before", async () => {
    await t.db.set("a", ">new");
    await plant(t.db, { ref: "b", id: '"bob"' });
    const before = await dump(t.db);
    expect(await run(['"alice"', "a"], ['"alice"', "b"])).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });
});
