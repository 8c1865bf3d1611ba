import { describe, expect, test } from "vitest";
import { dropApp, readApps, registerApp } from "../../src/lua/index.js";
import { useScripts } from "../support/scripts.js";

const t = useScripts();
const read = (...apps: string[]) => t.run(readApps, ["apps"], apps);
const members = () => t.db.zrange("apps", "0", "-1", "WITHSCORES");

describe("register-app", () => {
  test("lists an app with one shard by its name only", async () => {
    expect(await t.run(registerApp, ["apps"], ["webapp", 1000, 1, ""])).toBe(1);
    expect(await t.run(registerApp, ["apps"], ["webapp", 2000, 1, ""])).toBe(1);
    expect(await members()).toEqual(["webapp", "2000"]);
  });

  test("stores the number of shards, and whether sessions may be in other shards than their users'", async () => {
    expect(await t.run(registerApp, ["apps"], ["webapp", 1000, 16, ""])).toBe(16);
    expect(await members()).toEqual(["{webapp}", "16", "webapp", "1000"]);
    expect(await t.run(registerApp, ["apps"], ["webapp", 2000, 16, "1"])).toBe(16);
    expect(await t.run(registerApp, ["apps"], ["webapp", 3000, 16, ""])).toBe(16);
    expect(await members()).toEqual(["{webapp}~", "1", "{webapp}", "16", "webapp", "3000"]);
  });

  test("writes nothing if the number is another one", async () => {
    await t.run(registerApp, ["apps"], ["one", 1000, 1, ""]);
    await t.run(registerApp, ["apps"], ["many", 1000, 16, ""]);
    const before = await members();
    expect(await t.run(registerApp, ["apps"], ["one", 2000, 16, "1"])).toBe(1);
    expect(await t.run(registerApp, ["apps"], ["many", 2000, 1, ""])).toBe(16);
    expect(await t.run(registerApp, ["apps"], ["many", 2000, 4, "1"])).toBe(16);
    expect(await members()).toEqual(before);
  });
});

describe("read-apps", () => {
  test("returns the number of each app, and whether sessions may be in other shards than their users'", async () => {
    await t.run(registerApp, ["apps"], ["one", 1000, 1, "1"]);
    await t.run(registerApp, ["apps"], ["many", 1000, 16, ""]);
    await t.run(registerApp, ["apps"], ["store", 1000, 8, "1"]);
    expect(await read("one", "many", "store", "none")).toBe("1 1 16 0 8 1 0 0");
  });
});

describe("drop-app", () => {
  test("forgets the number of shards with the app", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 16, "1"]);
    expect(await t.run(dropApp, ["apps"], ["webapp", 1000])).toBe(0);
    expect(await members()).toHaveLength(6);
    expect(await t.run(dropApp, ["apps"], ["webapp", 1001])).toBe(1);
    expect(await members()).toEqual([]);
  });
});
