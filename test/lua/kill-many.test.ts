import { describe, expect, test } from "vitest";
import { killMany } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(refs: string[], { except = "active", id = '"alice"' } = {}) {
  return t.run(killMany, [...INDEX, except, ...refs], [0, id, refs.length, ...refs]);
}

describe("kill-many", () => {
  test("replies the number of ended sessions and removes all their keys and entries", async () => {
    await plant(t.db, { ref: "a" });
    await plant(t.db, { ref: "b" });
    expect(await run(["a", "b", "never"])).toBe(2);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("removes the entries of a session that no longer exists, without counting it", async () => {
    await plant(t.db, { ref: "a" });
    await t.db.del("a");
    expect(await run(["a"])).toBe(0);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("keeps the `except` session", async () => {
    await plant(t.db, { ref: "a" });
    await plant(t.db, { ref: "mine" });
    expect(await run(["a"], { except: "mine" })).toBe(1);
    expect(await t.db.exists("mine")).toBe(1);
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"alice"']);
  });

  test("replies -1 and writes nothing if the `except` session was rotated", async () => {
    await plant(t.db, { ref: "a" });
    await t.db.set("mine", ">new");
    const before = await dump(t.db);
    expect(await run(["a"], { except: "mine" })).toBe(-1);
    expect(await dump(t.db)).toEqual(before);
  });

  test("ends the other sessions if the `except` session no longer exists", async () => {
    await plant(t.db, { ref: "a" });
    expect(await run(["a"], { except: "gone" })).toBe(1);
  });

  test("keeps the redirect of a rotated session and removes its old entries", async () => {
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

  test("keeps a session that now belongs to another user, and removes the stale entries", async () => {
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
    ["without an ip, whose first key is a user's id", "", { '"alice"': "1" }],
    ["without any header value or data", "", {}],
  ])("ends an anonymous session %s only as anonymous", async (_, ip, data) => {
    await plant(t.db, { ref: "a", id: '""', ip, ...data });
    expect(await run(["a"])).toBe(0);
    expect(await t.db.exists("a")).toBe(1);
    expect(await run(["a"], { id: '""' })).toBe(1);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("reads an id that ends after the first 512 bytes", async () => {
    const flags = `lastDevice=${"x".repeat(500)}`;
    const data = { '"text"': JSON.stringify("x".repeat(1000)) };
    await plant(t.db, { ref: "a", flags, ...data });
    await plant(t.db, { ref: "b", id: '"bob"', flags, ...data });
    expect(await run(["a", "b"])).toBe(1);
    expect(await t.db.exists("a", "b")).toBe(1);
    expect(await t.db.exists("b")).toBe(1);
  });

  test("does not mistake an ip, or an id with the same beginning, for the user's id", async () => {
    await plant(t.db, { ref: "a", id: '"bob"', ip: '"alice"' });
    await plant(t.db, { ref: "b", id: '"alice\\""' });
    expect(await run(["a", "b"])).toBe(0);
    expect(await t.db.exists("a", "b")).toBe(2);
  });

  test("leaves tombstones with the given TTL", async () => {
    await plant(t.db, { ref: "a" });
    expect(await t.run(killMany, [...INDEX, "active", "a"], [5000, '"alice"', 1, "a"])).toBe(1);
    expect(await dump(t.db)).toEqual({ a: { to: "" } });
    expect(await t.db.pttl("a")).toBeGreaterThan(0);
    expect(await t.db.pttl("a")).toBeLessThanOrEqual(5000);
  });
});
