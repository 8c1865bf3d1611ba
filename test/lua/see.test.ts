import { beforeEach, describe, expect, test } from "vitest";
import { see } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { DAMAGED, plant, useScripts } from "../support/scripts.js";
import { readFields } from "../support/session-text.js";

const t = useScripts();

function run(keys: readonly string[] = ["new", "family", "old", "rotated:old"]) {
  return t.runOne(see, keys, ["new", 60_000]);
}

beforeEach(async () => {
  await plant(t.db, { ref: "new", flags: "rotated=0" });
  await t.db.set("family", "new old", "PX", 1000);
});

describe("see", () => {
  test("replies 1, sets the flag, shortens the record and renews the mark; the old redirect stays", async () => {
    await t.db.set("old", ">new", "PX", 7000);
    const { flags, ...before } = await readFields(t.db, "new");
    expect(await run()).toBe(1);
    expect(await readFields(t.db, "new")).toEqual({ ...before, flags: "rotated=1" });
    expect(await t.db.get("family")).toBe("new");
    expect(await t.db.pttl("family")).toBeGreaterThan(190_000);
    expect(await t.db.pttl("rotated:old")).toBeGreaterThan(55_000);
    expect(await t.db.pttl("old")).toBeLessThanOrEqual(7000);
    expect(await t.db.pttl("new")).toBeLessThanOrEqual(100_000);
  });

  test("does not shorten a mark that lasts longer", async () => {
    await t.db.set("rotated:old", "1", "PX", 300_000);
    expect(await run()).toBe(1);
    expect(await t.db.pttl("rotated:old")).toBeGreaterThan(295_000);
  });

  test("starts the grace of a token that was valid until now", async () => {
    await t.db.set("family", "new old 20000 salt");
    await t.db.set("old", ">new", "PX", 100_000);
    expect(await run()).toBe(1);
    expect(await t.db.get("old")).toBe(">new");
    expect(await t.db.pttl("old")).toBeLessThanOrEqual(20_000);
    expect(await t.db.pttl("old")).toBeGreaterThan(15_000);
    expect(await t.db.pttl("rotated:old")).toBeGreaterThan(75_000);
  });

  test("ends a token that was valid until now, if it has no grace", async () => {
    await t.db.set("family", "new old 0 salt");
    await t.db.set("old", ">new", "PX", 100_000);
    expect(await run()).toBe(1);
    expect(await t.db.get("old")).toBeNull();
  });

  test("replies 0 and writes nothing if the same call is repeated", async () => {
    await run();
    const before = await dump(t.db);
    expect(await run()).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("replies 0 and writes nothing for a session that was rotated since, has ended, or was never rotated", async () => {
    for (const text of [
      ">newer",
      ">",
      ">\u0020reused",
      '1000\n1\n1\n100\n1000\n"x rotated=0"\n"::1"\n',
      ...DAMAGED.map(([, text]) => text),
    ]) {
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

  test("writes the record again if it was lost", async () => {
    await t.db.del("family");
    expect(await run(["new", "family"])).toBe(1);
    expect(await t.db.get("family")).toBe("new");
    expect(await readFields(t.db, "new")).toMatchObject({ flags: "rotated=1" });
  });
});
