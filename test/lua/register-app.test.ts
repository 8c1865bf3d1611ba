import { describe, expect, test } from "vitest";
import { changeApp, dropApp, readApps, registerApp } from "../../src/lua/index.js";
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

  test("keeps the caller's own number as the former one, if Redis has lost an app that had moved", async () => {
    expect(await t.run(registerApp, ["apps"], ["webapp", 1000, 4, "", 1])).toBe(4);
    expect(await members()).toEqual(["{webapp}<", "1", "{webapp}", "4", "webapp", "1000"]);
    await t.run(registerApp, ["apps"], ["webapp", 2000, 4, "", 2]);
    expect(await members()).toEqual(["{webapp}<", "1", "{webapp}", "4", "webapp", "2000"]);
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
  test("returns the state of each app, and whether sessions may be in other shards than their users'", async () => {
    await t.run(registerApp, ["apps"], ["one", 1000, 1, "1"]);
    await t.run(registerApp, ["apps"], ["many", 1000, 16, ""]);
    await t.run(registerApp, ["apps"], ["store", 1000, 8, "1"]);
    expect(await read("one", "many", "store", "none")).toBe("1 1 0 0 0 0\n0 16 0 0 0 0\n1 8 0 0 0 0\n0 0 0 0 0 0");
  });
});

describe("change-app", () => {
  const change = (before: string, after: string) => t.run(changeApp, ["apps"], ["webapp", before, after]);

  test("writes each step of a move, and what is missing by default", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 1, ""]);
    expect(await change("1 0 0 0 0", "1 4 0 0 7")).toBe(1);
    expect(await members()).toEqual(["{webapp}>", "4", "{webapp}#", "7", "webapp", "1000"]);
    expect(await change("1 4 0 0 7", "4 0 1 1 7")).toBe(1);
    expect(await read("webapp")).toBe("0 4 0 1 1 7");
    expect(await change("4 0 1 1 7", "4 0 1 0 7")).toBe(1);
    expect(await change("4 0 1 0 7", "1 0 4 1 8")).toBe(1);
    expect(await members()).toEqual(["{webapp}!", "1", "{webapp}<", "4", "{webapp}#", "8", "webapp", "1000"]);
  });

  test("repeats nothing, and writes nothing if another call was faster", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 1, ""]);
    expect(await change("1 0 0 0 0", "1 4 0 0 7")).toBe(1);
    expect(await change("1 0 0 0 0", "1 4 0 0 7")).toBe(1);
    expect(await change("1 0 0 0 0", "1 16 0 0 8")).toBe(0);
    expect(await read("webapp")).toBe("0 1 4 0 0 7");
  });

  test("keeps a plan of 13 digits, and writes nothing for another plan", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 1, ""]);
    expect(await change("1 0 0 0 0", "1 4 0 0 9999999999999")).toBe(1);
    expect(await change("1 4 0 0 9999999999998", "4 0 1 1 9999999999998")).toBe(0);
    expect(await read("webapp")).toBe("0 1 4 0 0 9999999999999");
    expect(await change("1 4 0 0 9999999999999", "1 0 0 0 0")).toBe(1);
    expect(await members()).toEqual(["webapp", "1000"]);
  });

  test("lets a process register the app that has the next or the former number", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 1, ""]);
    await change("1 0 0 0 0", "1 4 0 0 7");
    for (const shards of [1, 4]) expect(await t.run(registerApp, ["apps"], ["webapp", 2000, shards, ""])).toBe(shards);
    expect(await t.run(registerApp, ["apps"], ["webapp", 2000, 16, ""])).toBe(1);
    await change("1 4 0 0 7", "4 0 1 1 7");
    for (const shards of [1, 4]) expect(await t.run(registerApp, ["apps"], ["webapp", 2000, shards, ""])).toBe(shards);
    expect(await read("webapp")).toBe("0 4 0 1 1 7");
  });
});

describe("drop-app", () => {
  test("keeps an app that is about to move, or moves", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 1, ""]);
    for (const state of ["1 4 0 0 7", "4 0 1 1 7"]) {
      expect(await t.run(changeApp, ["apps"], ["webapp", ((await read("webapp")) as string).slice(2), state])).toBe(1);
      expect(await t.run(dropApp, ["apps"], ["webapp", 5000])).toBe(0);
    }
    await t.run(changeApp, ["apps"], ["webapp", "4 0 1 1 7", "4 0 1 0 7"]);
    expect(await t.run(dropApp, ["apps"], ["webapp", 5000])).toBe(1);
    expect(await members()).toEqual([]);
  });

  test("forgets the number of shards with the app", async () => {
    await t.run(registerApp, ["apps"], ["webapp", 1000, 16, "1"]);
    expect(await t.run(dropApp, ["apps"], ["webapp", 1000])).toBe(0);
    expect(await members()).toHaveLength(6);
    expect(await t.run(dropApp, ["apps"], ["webapp", 1001])).toBe(1);
    expect(await members()).toEqual([]);
  });
});
