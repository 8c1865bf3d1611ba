import { beforeEach, describe, expect, test } from "vitest";
import { endReused } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

function run(record = "new") {
  return t.runOne(endReused, [...INDEX, "new", "family", "rotated:old"], ["new", record, 60_000]);
}

beforeEach(async () => {
  await plant(t.db, { ref: "new" });
  await t.db.set("family", "new", "PX", 60_000);
});

describe("end-reused", () => {
  test("replies 1, leaves a tombstone with the reason, and removes the index entries", async () => {
    expect(await run()).toBe(1);
    expect(await dump(t.db)).toEqual({ new: { to: " reused" }, family: expect.anything() });
    expect(await t.db.pttl("new")).toBeGreaterThan(55_000);
    expect(await t.db.pttl("new")).toBeLessThanOrEqual(60_000);
  });

  test("replies 1 and changes nothing if the same call is repeated", async () => {
    await run();
    await t.db.pexpire("new", 30_000);
    expect(await run()).toBe(1);
    expect(await t.db.pttl("new")).toBeLessThanOrEqual(30_000);
  });

  test("replies 0 and writes nothing while the old token was rotated lately", async () => {
    await t.db.set("rotated:old", "1");
    const before = await dump(t.db);
    expect(await run()).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies -1 and writes nothing if the record has changed, or is lost", async () => {
    await t.db.set("family", "newer new");
    const before = await dump(t.db);
    expect(await run()).toBe(-1);
    expect(await dump(t.db)).toEqual(before);
    await t.db.del("family");
    expect(await run()).toBe(-1);
  });

  test("replies 0 and writes nothing if there is no session", async () => {
    for (const text of [">", ">newer", "nonsense"]) {
      await t.db.set("new", text);
      const before = await dump(t.db);
      expect(await run()).toBe(0);
      expect(await dump(t.db)).toEqual(before);
    }
    await t.db.del("new");
    expect(await run()).toBe(0);
    await t.db.hset("new", "no", "text");
    expect(await run()).toBe(0);
  });
});
