import { describe, expect, test } from "vitest";
import { due, get, owned, queue, recent } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { HUNDRED, INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

/** Without a trace, and so without a time. */
function list(refs: readonly string[]) {
  return t.run(get, [...INDEX, ...refs], ["", ...refs.flatMap((ref) => [ref, 0])]);
}

describe("get, without a trace", () => {
  test("replies for each session its text, where it went, or an empty string, in the order of the keys", async () => {
    await plant(t.db, { ref: "a", '"cart"': "3" });
    await t.db.set("b", ">new");
    const before = await dump(t.db);
    const reply = (await list(["gone", "b", "a"])) as string[];
    expect(reply.slice(0, 2)).toEqual(["", ">new"]);
    expect(reply[2]).toBe('1000\n1\n1\n100\n1000\n"alice"\n"::1"\n\n"cart":3');
    expect(await dump(t.db)).toEqual(before);
  });

  test("takes a chunk of 100", async () => {
    for (const ref of HUNDRED) await plant(t.db, { ref, id: `"${ref}"` });
    expect(await list(HUNDRED)).toEqual(HUNDRED.map((ref) => `1000\n1\n1\n100\n1000\n"${ref}"\n"::1"\n`));
  });
});

describe("owned", () => {
  test("replies a user's field, and a page of what follows in the crowd", async () => {
    await t.db.hset("owners", '"a"', "+\nx\ny\n", '"b"', "\nz\n");
    for (const entry of ['"a"1', '"a"2', '"a"3', '"a\\""4', '"b"5']) await t.db.zadd("crowd", 0, entry);
    const page = (id: string, from: string, limit: number) =>
      t.run(owned, ["owners", "crowd"], [id, `[${from}`, `[${id}\u{10ffff}`, limit]);
    expect(await page('"a"', '"a"', 2)).toEqual(["+\nx\ny\n", '"a"1', '"a"2']);
    expect(await page('"a"', '"a"3', 2)).toEqual(["+\nx\ny\n", '"a"3']);
    expect(await page('"c"', '"c"', 2)).toEqual([""]);
  });
});

describe("recent", () => {
  test("replies refs and their last activity between two moments, latest first", async () => {
    await t.db.zadd("active", 1, "a", 2, "b", 3, "c", 4, "d");
    expect(await t.run(recent, ["active"], ["+inf", 2, 10])).toEqual(["d\nc\nb", "2", 1]);
    expect(await t.run(recent, ["active"], ["3", 1, 2])).toEqual(["c\nb", "2", 1]);
    expect(await t.run(recent, ["active"], ["+inf", 5, 10])).toEqual(["", "", 0]);
  });

  test("tells how many were active at the moment where it ends", async () => {
    await t.db.zadd("active", 1, "a", 2, "b", 2, "c", 2, "d");
    expect(await t.run(recent, ["active"], ["+inf", 0, 2])).toEqual(["d\nc", "2", 3]);
  });

  test("writes activities of this century in full digits", async () => {
    await t.db.zadd("active", 1_800_000_000_001, "a");
    expect(await t.run(recent, ["active"], ["+inf", 0, 1])).toEqual(["a", "1800000000001", 1]);
  });
});

describe("queue", () => {
  test("replies the wiper's queue from a moment on, whether it is due or not, earliest first", async () => {
    await t.db.zadd("expiry", 5, '"a"x', 9e12, '"b"y', 7, '""z');
    expect(await t.run(queue, ["expiry"], ["-inf", 2])).toEqual(['"a"x\n""z', "7", 1]);
    expect(await t.run(queue, ["expiry"], ["7", 100])).toEqual(['""z\n"b"y', "9000000000000", 1]);
    expect(await t.run(queue, ["none"], ["-inf", 100])).toEqual(["", "", 0]);
  });
});

describe("due", () => {
  test("replies entries whose end may have come, the longest due first", async () => {
    await t.db.zadd("expiry", 9, '"b"y', 5, '"a"x', Date.now() + 60_000, '"c"z');
    expect(await t.run(due, ["expiry"], [30_000, 100])).toEqual(['"a"x', '"b"y']);
    expect(await t.run(due, ["none"], [30_000, 100])).toEqual([]);
  });

  test("puts off what it replied by the lease, so that it is not replied to others", async () => {
    await t.db.zadd("expiry", 5, "x", 6, "y", 7, "z");
    const before = Date.now();
    expect(await t.run(due, ["expiry"], [30_000, 2])).toEqual(["x", "y"]);
    for (const entry of ["x", "y"]) {
      const score = Number(await t.db.zscore("expiry", entry));
      expect(score).toBeGreaterThanOrEqual(before + 30_000);
      expect(score).toBeLessThanOrEqual(Date.now() + 30_000);
    }
    expect(await t.run(due, ["expiry"], [30_000, 2])).toEqual(["z"]);
    expect(await t.run(due, ["expiry"], [30_000, 2])).toEqual([]);
  });
});
