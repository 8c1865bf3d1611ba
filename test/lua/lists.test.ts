import { describe, expect, test } from "vitest";
import {
  claimExpired,
  get,
  pageActive,
  pageExpiry,
  pageUserSessions,
  readHeaders,
  readTexts,
  sample,
} from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { HUNDRED, INDEX, plant, useScripts } from "../support/scripts.js";

const t = useScripts();

/** Reads sessions with an empty touch interval, which needs no time. */
function list(refs: readonly string[]) {
  return t.run(get, [...INDEX, ...refs], ["", ...refs.flatMap((ref) => [ref, 0])]);
}

describe("get with an empty touch interval", () => {
  test("replies a text, a redirect or an empty string for each session, in the order of the keys", async () => {
    await plant(t.db, { ref: "a", '"cart"': "3" });
    await t.db.set("b", ">new");
    const before = await dump(t.db);
    const reply = (await list(["gone", "b", "a"])) as string[];
    expect(reply.slice(0, 2)).toEqual(["", ">new"]);
    expect(reply[2]).toBe('1000\n1\n1\n100\n1000\n"alice"\n"::1"\n\n"cart":3');
    expect(await dump(t.db)).toEqual(before);
  });

  test("reads 100 sessions", async () => {
    for (const ref of HUNDRED) await plant(t.db, { ref, id: `"${ref}"` });
    expect(await list(HUNDRED)).toEqual(HUNDRED.map((ref) => `1000\n1\n1\n100\n1000\n"${ref}"\n"::1"\n`));
  });
});

describe("read-texts", () => {
  const read = (sessions: readonly string[], bytes: number) => t.run(readTexts, sessions, [bytes]);

  test("replies a text, a tombstone or an empty string for each session, in the order of the keys", async () => {
    await t.db.set("a", "text");
    await t.db.set("b", ">new");
    await t.db.lpush("list", "x");
    expect(await read(["gone", "b", "list", "a"], 1000)).toEqual(["", ">new", "", "text"]);
  });

  test("ends before the session that exceeds the maximum", async () => {
    for (const key of ["a", "b", "c", "d"]) await t.db.set(key, key.repeat(40));
    expect(await read(["a", "b", "c", "d"], 100)).toEqual(["a".repeat(40), "b".repeat(40)]);
    expect(await read(["a", "b"], 39)).toEqual([]);
  });

  test("reads no more sessions than it replies and one, and no large session as a whole", async () => {
    for (const key of HUNDRED) await t.db.set(key, key);
    for (const key of HUNDRED.slice(3)) await t.db.setrange(key, 1_000_000, "x");
    await t.db.config("RESETSTAT");
    expect(await read(HUNDRED, 256 * 1024)).toHaveLength(3);
    const stats = await t.db.info("commandstats");
    expect(/cmdstat_getrange:calls=(\d+)/.exec(stats)?.[1]).toBe("4");
    // A group of eight was read with MGET before its sizes were known. Of 1 MB each, they blocked Redis for 40 ms.
    expect(stats).not.toMatch(/cmdstat_m?get:/);
  });
});

describe("read-headers", () => {
  const HEADER = '1000\n1\n1\n100\n1000\n"alice"\n"::1"\n';
  const read = (sessions: readonly string[]) => t.run(readHeaders, sessions, [8191]);

  test("replies a header, a tombstone or an empty string for each session, in the order of the keys", async () => {
    await plant(t.db, { ref: "a", '"cart"': "3", '"name"': '"x"' });
    await plant(t.db, { ref: "b" });
    await t.db.set("c", ">new");
    await t.db.lpush("list", "x");
    expect(await read(["gone", "c", "list", "a", "b"])).toEqual(["", ">new", "", HEADER, HEADER]);
  });

  test("reads a header of more than 512 bytes", async () => {
    const device = JSON.stringify("x".repeat(600));
    await plant(t.db, { ref: "a", device });
    await plant(t.db, { ref: "b", device, '"text"': JSON.stringify("x".repeat(10_000)) });
    expect(await read(["a", "b"])).toEqual([HEADER + device, HEADER + device]);
  });

  test("reads of 100 large sessions no more than their headers", async () => {
    for (const ref of HUNDRED) await plant(t.db, { ref, '"text"': JSON.stringify("x".repeat(1_000_000)) });
    expect(await read(HUNDRED)).toEqual(HUNDRED.map(() => HEADER));
  });
});

describe("page-user-sessions", () => {
  test("replies a user's field and a page of the overflow", async () => {
    await t.db.hset("user-sessions", '"a"', "+\nx\ny\n", '"b"', "\nz\n");
    for (const entry of ['"a"1', '"a"2', '"a"3', '"a\\""4', '"b"5'])
      await t.db.zadd("user-sessions-overflow", 0, entry);
    const page = (id: string, from: string, limit: number) =>
      t.run(pageUserSessions, ["user-sessions", "user-sessions-overflow"], [id, `[${from}`, `[${id}\u{10ffff}`, limit]);
    expect(await page('"a"', '"a"', 2)).toEqual(["+\nx\ny\n", '"a"1', '"a"2']);
    expect(await page('"a"', '"a"3', 2)).toEqual(["+\nx\ny\n", '"a"3']);
    expect(await page('"c"', '"c"', 2)).toEqual([""]);
  });
});

describe("page-active", () => {
  const page = (cursor: string, since: number, limit: number) => t.run(pageActive, ["active"], [cursor, since, limit]);

  test("replies the cursor of a page and its refs, earliest first", async () => {
    await t.db.zadd("active", 1, "a", 2, "b", 3, "c", 4, "d");
    expect(await page("", 2, 10)).toEqual(["2 b", "b", "c", "d"]);
    expect(await page("", 1, 2)).toEqual(["3 c", "c", "d"]);
    expect(await page("3 c", 1, 2)).toEqual(["1 a", "a", "b"]);
    expect(await page("", 5, 10)).toEqual([]);
    expect(await page("1 a", 0, 10)).toEqual([]);
  });

  test("continues after a cursor whose member was removed or used again", async () => {
    await t.db.zadd("active", 1, "a", 2, "b", 2, "d", 9, "c");
    expect(await page("2 c", 0, 10)).toEqual(["1 a", "a", "b"]);
  });

  test("writes the times of cursors in full digits", async () => {
    await t.db.zadd("active", 1_800_000_000_001, "a");
    expect(await page("", 0, 1)).toEqual(["1800000000001 a", "a"]);
  });
});

describe("page-expiry", () => {
  const page = (cursor: string, limit: number) => t.run(pageExpiry, ["expiry"], [cursor, limit]);

  test("replies the entries after a cursor, expired or not, earliest first", async () => {
    await t.db.zadd("expiry", 5, '"a"x', 9e12, '"b"y', 7, '""z');
    expect(await page("", 2)).toEqual(['7 ""z', '"a"x', '""z']);
    expect(await page('7 ""z', 100)).toEqual(['9000000000000 "b"y', '"b"y']);
    expect(await page('9000000000000 "b"y', 100)).toEqual([]);
    expect(await t.run(pageExpiry, ["none"], ["", 100])).toEqual([]);
  });

  test.each([
    ["different scores", (i: number) => i],
    ["one score", () => 7],
    ["few scores", (i: number) => Math.floor(i / 9)],
    ["infinite scores", (i: number) => (i % 2 === 0 ? "-inf" : "+inf")],
  ])("returns each member once, in pages of any size, with %s", async (_, scoreOf) => {
    for (let i = 0; i < 40; i++) await t.db.zadd("expiry", scoreOf(i), `"ü%${i}"ref`);
    const all = await t.db.zrange("expiry", "0", "-1");
    for (const size of [1, 3, 10, 39, 40, 41]) {
      const returned: string[] = [];
      for (let cursor = ""; ; ) {
        const [next = "", ...members] = (await page(cursor, size)) as string[];
        returned.push(...members);
        if (members.length < size) break;
        cursor = next;
      }
      expect(returned).toEqual(all);
    }
  });

  test("continues after members that are not UTF-8", async () => {
    for (let i = 0; i < 20; i++) await t.db.zadd("expiry", 0, Buffer.from([0xff, 0x0a, i]));
    let cursor = "";
    let pages = 0;
    for (; pages < 10; pages++) {
      const [next, ...members] = (await page(cursor, 5)) as string[];
      if (next === undefined) break;
      expect(members).toHaveLength(5);
      cursor = next;
    }
    expect(pages).toBe(4);
  });
});

describe("claim-expired", () => {
  test("replies the entries that may have expired, earliest first", async () => {
    await t.db.zadd("expiry", 9, '"b"y', 5, '"a"x', Date.now() + 60_000, '"c"z');
    expect(await t.run(claimExpired, ["expiry"], [30_000, 100])).toEqual(['"a"x', '"b"y']);
    expect(await t.run(claimExpired, ["none"], [30_000, 100])).toEqual([]);
  });

  test("postpones the claimed entries by the lease, so that no other wiper claims them", async () => {
    await t.db.zadd("expiry", 5, "x", 6, "y", 7, "z");
    const before = Date.now();
    expect(await t.run(claimExpired, ["expiry"], [30_000, 2])).toEqual(["x", "y"]);
    for (const entry of ["x", "y"]) {
      const score = Number(await t.db.zscore("expiry", entry));
      expect(score).toBeGreaterThanOrEqual(before + 30_000);
      expect(score).toBeLessThanOrEqual(Date.now() + 30_000);
    }
    expect(await t.run(claimExpired, ["expiry"], [30_000, 2])).toEqual(["z"]);
    expect(await t.run(claimExpired, ["expiry"], [30_000, 2])).toEqual([]);
  });
});

describe("sample", () => {
  const read = (count: number, seed: number) => t.run(sample, ["expiry"], [count, seed]) as Promise<string[]>;

  test("replies all entries if there are no more than asked for", async () => {
    expect(await read(100, 1)).toEqual([]);
    await t.db.zadd("expiry", ...HUNDRED.flatMap((ref, i) => [i, ref]));
    expect(await read(100, 1)).toEqual(HUNDRED);
  });

  test("replies other entries for another seed, from the first to the last", async () => {
    await t.db.zadd("expiry", ...HUNDRED.flatMap((ref, i) => [i, ref]));
    const samples = await Promise.all(Array.from({ length: 50 }, (_, seed) => read(99, seed * 40_000_000)));
    expect(samples.every((entries) => entries.length === 99)).toBe(true);
    expect(new Set(samples.map((entries) => entries.join())).size).toBe(50);
    expect(new Set(samples.flat())).toEqual(new Set(HUNDRED));
  });
});
