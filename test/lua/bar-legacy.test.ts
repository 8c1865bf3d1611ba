import { describe, expect, test } from "vitest";
import { barLegacy } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { useScripts } from "../support/scripts.js";

const t = useScripts();
const KEYS = ["legacy", "bar", "user-sessions"];
const ALICE = '"alice"';

describe("bar-legacy", () => {
  test("sets a bar with the given duration", async () => {
    expect(await t.run(barLegacy, KEYS, [60_000, ALICE])).toBe("");
    expect(await t.db.exists("bar")).toBe(1);
    expect(await t.db.pttl("bar")).toBeGreaterThan(55_000);
    expect(await t.db.pttl("bar")).toBeLessThanOrEqual(60_000);
  });

  test("sets a bar with the announced duration if none is given", async () => {
    await t.db.set("legacy", "50000");
    expect(await t.run(barLegacy, KEYS, ["", ALICE])).toBe("");
    expect(await t.db.pttl("bar")).toBeGreaterThan(45_000);
    expect(await t.db.pttl("bar")).toBeLessThanOrEqual(50_000);
  });

  test("replies the refs of the user's sessions", async () => {
    await t.db.hset("user-sessions", ALICE, "\nx\ny\n", '"bob"', "\nz\n");
    expect(await t.run(barLegacy, KEYS, ["", ALICE])).toBe("\nx\ny\n");
    expect(await t.run(barLegacy, KEYS, [60_000, ALICE])).toBe("\nx\ny\n");
  });

  test("writes nothing if no store takes sessions over", async () => {
    expect(await t.run(barLegacy, KEYS, ["", ALICE])).toBe("");
    expect(await dump(t.db)).toEqual({});
  });
});
