import { expect, test } from "vitest";
import { barLegacy } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { useScripts } from "../support/scripts.js";

const t = useScripts();
const KEYS = ["legacy", "bar"];

test("replies 1 and leaves a bar for as long as it is told", async () => {
  expect(await t.run(barLegacy, KEYS, [60_000])).toBe(1);
  expect(await t.db.exists("bar")).toBe(1);
  expect(await t.db.pttl("bar")).toBeGreaterThan(55_000);
  expect(await t.db.pttl("bar")).toBeLessThanOrEqual(60_000);
});

test("replies 1 and leaves a bar for as long as the app's store has said, when it is told nothing", async () => {
  await t.db.set("legacy", "50000");
  expect(await t.run(barLegacy, KEYS, [""])).toBe(1);
  expect(await t.db.pttl("bar")).toBeGreaterThan(45_000);
  expect(await t.db.pttl("bar")).toBeLessThanOrEqual(50_000);
});

test("replies 0 and writes nothing where no store takes sessions over", async () => {
  expect(await t.run(barLegacy, KEYS, [""])).toBe(0);
  expect(await dump(t.db)).toEqual({});
});
