import { describe, expect, test } from "vitest";
import { rotate } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields } from "../support/session-text.js";

const t = useScripts();

function run(ref: string, to: string, grace = 10_000) {
  return t.run(rotate, [...INDEX, ref, to], [ref, to, grace, 10_000]);
}

describe("rotate", () => {
  test("replies 1 and moves the session with its index entries, TTL and data", async () => {
    await plant(t.db, { ref: "old", '"cart"': "3" });
    const [session, wipeAt] = [await readFields(t.db, "old"), await t.db.zscore("expiry", '"alice"old')];
    await t.db.pexpire("old", 50_000);
    expect(await run("old", "new")).toBe(1);
    expect(await dump(t.db)).toEqual({
      new: session,
      old: { to: "new" },
      active: { new: "1000" },
      users: { '"alice"': "1000" },
      "user-sessions": { '"alice"': "\nnew\n" },
      expiry: { '"alice"new': wipeAt },
    });
    expect(await t.db.pttl("new")).toBeGreaterThan(45_000);
    expect(await t.db.pttl("new")).toBeLessThanOrEqual(50_000);
    expect(await t.db.pttl("old")).toBeGreaterThan(5_000);
    expect(await t.db.pttl("old")).toBeLessThanOrEqual(10_000);
  });

  test("leaves a tombstone instead of a redirect without grace", async () => {
    await plant(t.db, { ref: "old" });
    expect(await run("old", "new", 0)).toBe(1);
    expect(await t.db.get("old")).toBe(">");
    expect(await t.db.pttl("old")).toBeGreaterThan(5_000);
    expect(await t.db.pttl("old")).toBeLessThanOrEqual(10_000);
  });

  test("replies 1 and changes nothing if the same call is repeated", async () => {
    await plant(t.db, { ref: "old" });
    await run("old", "new");
    const before = await dump(t.db);
    expect(await run("old", "new")).toBe(1);
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies 1 if the same call without grace is repeated, and nil for another new ref", async () => {
    await plant(t.db, { ref: "old" });
    await run("old", "new", 0);
    const before = await dump(t.db);
    expect(await run("old", "new", 0)).toBe(1);
    expect(await run("old", "newer", 0)).toBeNull();
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies nil if the session was rotated to another ref before", async () => {
    await plant(t.db, { ref: "old" });
    await run("old", "new");
    const before = await dump(t.db);
    expect(await run("old", "newer")).toBeNull();
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies nil and writes nothing if the session does not exist", async () => {
    expect(await run("old", "new")).toBeNull();
    expect(await t.db.dbsize()).toBe(0);
  });

  test("keeps the last activity of a user whose other session was active later", async () => {
    await plant(t.db, { ref: "old", la: 1000 });
    await plant(t.db, { ref: "other", la: 9000 });
    await run("old", "new");
    expect(await dump(t.db)).toMatchObject({ users: { '"alice"': "9000" }, active: { new: "1000", other: "9000" } });
  });

  test("moves an anonymous session without creating a user", async () => {
    await plant(t.db, { ref: "old", id: '""' });
    expect(await run("old", "new", 0)).toBe(1);
    expect(Object.keys(await dump(t.db))).toEqual(["active", "expiry", "new", "old"]);
  });
});
