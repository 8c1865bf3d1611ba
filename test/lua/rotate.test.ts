import { describe, expect, test } from "vitest";
import { rotate } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields } from "../support/session-text.js";

const t = useScripts();

function run(ref: string, to: string, grace = 10_000) {
  return t.run(rotate, [...INDEX, ref, to, `rotated:${ref}`], [ref, to, grace, 10_000, 60_000]);
}

/** Rotates a session that has a token of the family "family". */
function runInFamily(ref: string, to: string, { grace = 10_000, salt = "" } = {}) {
  return t.run(rotate, [...INDEX, ref, to, `rotated:${ref}`, "family"], [ref, to, grace, 10_000, 60_000, salt]);
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
      "rotated:old": { la: "1" },
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

  describe("with a family", () => {
    test("leaves a record, a mark that outlasts the grace, and a flag of the session", async () => {
      await plant(t.db, { ref: "old", '"cart"': "3", no_resave: 1 });
      expect(await runInFamily("old", "new")).toBe(1);
      expect(await t.db.get("family")).toBe("new old");
      expect(await t.db.get("new")).toBe('1000\n1\n1\n100 no_resave rotated=0\n1000\n"alice"\n"::1"\n\n"cart":3');
      expect(await t.db.pttl("new")).toBeGreaterThan(90_000);
      for (const [key, ms] of [
        ["old", 10_000],
        ["rotated:old", 70_000],
        ["family", 100_000],
      ] as const) {
        expect(await t.db.pttl(key)).toBeGreaterThan(ms - 5_000);
        expect(await t.db.pttl(key)).toBeLessThanOrEqual(ms);
      }
    });

    test("replies 0 and writes nothing if the token was not used since the last rotation", async () => {
      await plant(t.db, { ref: "old", flags: "rotated=0" });
      const before = await dump(t.db);
      expect(await runInFamily("old", "new")).toBe(0);
      expect(await dump(t.db)).toEqual(before);
    });

    test("sets the flag of a session that was rotated before, whatever other flags and data it has", async () => {
      await plant(t.db, { ref: "old", end: 4_000_000_000_000, flags: "rotated=1 actor=bob", '"x"': '" rotated=1"' });
      expect(await runInFamily("old", "new")).toBe(1);
      expect(await readFields(t.db, "new")).toMatchObject({ flags: "rotated=0 actor=bob", '"x"': '" rotated=1"' });
    });

    test("takes an id that looks like the flag for an id", async () => {
      await plant(t.db, { ref: "old", id: '"x rotated=0"' });
      expect(await runInFamily("old", "new")).toBe(1);
      expect(await readFields(t.db, "new")).toMatchObject({ flags: "rotated=0", id: '"x rotated=0"' });
    });

    test("replies with the salt for a token that is valid until the next one is used", async () => {
      await plant(t.db, { ref: "old" });
      await runInFamily("old", "new", { salt: "salt" });
      expect(await t.db.get("family")).toBe("new old 10000 salt");
      const before = await dump(t.db);
      for (const salt of ["", "other"]) expect(await runInFamily("old", "newer", { salt })).toBe("salt");
      await t.db.del("old");
      expect(await runInFamily("old", "newer")).toBe("salt");
      expect(await runInFamily("older", "newer")).toBeNull();
      expect(await dump(t.db)).toEqual({ ...before, old: undefined });
    });

    test("replies 1 and changes nothing if the same call is repeated, with and without a salt", async () => {
      for (const salt of ["", "salt"]) {
        await plant(t.db, { ref: "old" });
        await runInFamily("old", "new", { salt });
        const before = await dump(t.db);
        expect(await runInFamily("old", "new", { salt })).toBe(1);
        expect(await dump(t.db)).toEqual(before);
        await t.db.flushdb();
      }
    });

    test("moves a session that is larger than the header, with its data", async () => {
      const text = `"${"x".repeat(200_000)}"`;
      await plant(t.db, { ref: "old", '"text"': text });
      expect(await runInFamily("old", "new")).toBe(1);
      expect(await readFields(t.db, "new")).toMatchObject({ flags: "rotated=0", '"text"': text, id: '"alice"' });
    });

    test("changes a session in place that is larger than a script reads", async () => {
      const text = `"${"x".repeat(300_000)}"`;
      await plant(t.db, { ref: "old", ttl: "100            ", '"text"': text });
      const size = await t.db.strlen("old");
      expect(await runInFamily("old", "new")).toBe(1);
      expect(await readFields(t.db, "new")).toMatchObject({ flags: "rotated=0", '"text"': text, id: '"alice"' });
      expect(await t.db.strlen("new")).toBe(size);
    });

    test("replies -3 and writes nothing if such a session has no room for the flag", async () => {
      await plant(t.db, { ref: "old", '"text"': `"${"x".repeat(300_000)}"` });
      const before = await dump(t.db);
      expect(await runInFamily("old", "new")).toBe(-3);
      expect(await dump(t.db)).toEqual(before);
    });

    test("drops the last use of such a session if that makes room", async () => {
      await plant(t.db, { ref: "old", flags: "lastIp=%22192.0.2.1%22", '"text"': `"${"x".repeat(300_000)}"` });
      expect(await runInFamily("old", "new")).toBe(1);
      expect(await readFields(t.db, "new")).toMatchObject({ flags: "rotated=0" });
    });
  });

  test("moves an anonymous session without creating a user", async () => {
    await plant(t.db, { ref: "old", id: '""' });
    expect(await run("old", "new", 0)).toBe(1);
    expect(Object.keys(await dump(t.db))).toEqual(["active", "expiry", "new", "old", "rotated:old"]);
  });
});
