import { describe, expect, test } from "vitest";
import { dropApp } from "../../src/lua/index.js";
import { useScripts } from "../support/scripts.js";

const t = useScripts();

describe("drop-app", () => {
  test("removes an app only if it was not registered since the given time", async () => {
    await t.db.zadd("apps", 100, "old", 200, "young");
    expect(await t.run(dropApp, ["apps"], ["young", 200])).toBe(0);
    expect(await t.run(dropApp, ["apps"], ["old", 200])).toBe(1);
    expect(await t.run(dropApp, ["apps"], ["old", 200])).toBe(0);
    expect(await t.db.zrange("apps", "0", "-1")).toEqual(["young"]);
  });
});
