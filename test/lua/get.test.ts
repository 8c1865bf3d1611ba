import { describe, expect, test } from "vitest";
import { get } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { DAMAGED, dumpMixed, HUNDRED, INDEX, MIXED, plant, plantMixed, useScripts } from "../support/scripts.js";
import { readFields, textOf } from "../support/session-text.js";

const t = useScripts();

function run(ref: string, now: number, touchInterval: number | "" = 1000) {
  return t.runOne(get, [...INDEX, ref], [touchInterval, ref, now]);
}

/** Reads several, each with its own `now`. */
function runAll(refs: readonly string[], nows: readonly number[], touchInterval: number | "" = 1000) {
  return t.run(get, [...INDEX, ...refs], [touchInterval, ...refs.flatMap((ref, i) => [ref, nows[i] ?? 0])]);
}

describe("get", () => {
  test("replies the text as it was before this read", async () => {
    await plant(t.db, { ref: "ref", '"cart"': "3" });
    const lines = ["1000", "1", "1", "100", "1000", '"alice"', '"::1"', ""];
    expect(await run("ref", 1000)).toBe([...lines, '"cart":3'].join("\n"));
    expect(await readFields(t.db, "ref")).toMatchObject({ r: "2", w: "1" });
  });

  test("replies an empty string and writes nothing if the session does not exist", async () => {
    expect(await run("ref", 9000)).toBe("");
    expect(await t.db.dbsize()).toBe(0);
  });

  test("replies the redirect of a rotated session and does not extend it", async () => {
    await t.db.set("ref", ">new", "PX", 500);
    expect(await run("ref", 9000)).toBe(">new");
    expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(500);
  });

  test("writes nothing with an empty touch interval", async () => {
    await plant(t.db, { ref: "ref" });
    await t.db.pexpire("ref", 50_000);
    const before = await dump(t.db);
    expect(await run("ref", 900_000, "")).toMatch(/^1000\n/);
    expect(await dump(t.db)).toEqual(before);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  });

  test.each([
    ["within a second", 1999],
    ["less than a second ahead of this clock", 1],
  ])("does not touch a session that was used %s", async (_when, now) => {
    await plant(t.db, { ref: "ref" });
    await t.db.pexpire("ref", 50_000);
    await run("ref", now);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
    expect(await readFields(t.db, "ref")).toMatchObject({ la: "1000" });
    expect(await t.db.zscore("active", "ref")).toBe("1000");
  });

  test.each([
    ["a second ago", 2000],
    ["a second ahead of this clock", 0],
  ])("touches a session that was used %s and records the use in the index", async (_when, now) => {
    await plant(t.db, { ref: "ref" });
    await t.db.pexpire("ref", 50_000);
    const wipeAt = await t.db.zscore("expiry", '"alice"ref');
    await run("ref", now);
    expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
    expect(await readFields(t.db, "ref")).toMatchObject({ la: `${now}` });
    expect(await t.db.zscore("active", "ref")).toBe(`${now}`);
    expect(await t.db.zscore("users", '"alice"')).toBe(`${Math.max(now, 1000)}`);
    expect(await t.db.zscore("expiry", '"alice"ref')).toBe(wipeAt);
  });

  test("keeps the expiry of a no_resave session, but records its use", async () => {
    await plant(t.db, { ref: "ref", no_resave: 1 });
    await t.db.pexpire("ref", 50_000);
    await run("ref", 9000);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
    expect(await t.db.zscore("active", "ref")).toBe("9000");
  });

  test("restores lost index entries", async () => {
    await plant(t.db, { ref: "ref" });
    await t.db.del(...INDEX);
    await run("ref", 9000);
    expect(await dump(t.db)).toMatchObject({
      active: { ref: "9000" },
      users: { '"alice"': "9000" },
      expiry: { '"alice"ref': "0" },
      "user-sessions": { '"alice"': "\nref\n" },
    });
  });

  test("restores all index entries once a minute, even if `active` and `users` are complete", async () => {
    await plant(t.db, { ref: "ref" });
    await t.db.del("user-sessions", "expiry");
    await run("ref", 59_999);
    expect(await t.db.exists("user-sessions", "expiry")).toBe(0);
    await run("ref", 61_000);
    expect(await dump(t.db)).toMatchObject({
      expiry: { '"alice"ref': "0" },
      "user-sessions": { '"alice"': "\nref\n" },
    });
  });

  test("reads a data key as data even if it is named like a header field", async () => {
    await plant(t.db, { ref: "ref", '"la"': "9000", '"no_resave"': "1", '"to"': '"x"' });
    await t.db.pexpire("ref", 50_000);
    await run("ref", 9000);
    expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
  });

  test("touches an anonymous session without creating a user", async () => {
    await plant(t.db, { ref: "ref", id: '""' });
    await run("ref", 9000);
    expect(await t.db.exists("users", "user-sessions", "user-sessions-overflow")).toBe(0);
  });

  test("replies for each session of a run in order, and counts or touches each separately", async () => {
    await plantMixed(t.db);
    const replies = await runAll(MIXED, [1500, 9000, 9000, 9000, 8000]);
    expect(replies).toEqual([
      '1000\n1\n1\n100\n1000\n"alice"\n"::1"\n\n"cart":1',
      "",
      ">new",
      expect.any(Error),
      // The clock of this call is that of 1970.
      expect.stringMatching(/^1000\n1\n1\n100 skew=-\d{13}\n1000\n"bob"\n"::1"\n\n"cart":2$/),
    ]);
    expect(replies).toHaveProperty("3.message", expect.stringMatching(/^WRONGTYPE /));
    expect(await dumpMixed(t.db)).toEqual({
      first: expect.objectContaining({ r: "2", la: "1000" }),
      last: expect.objectContaining({ r: "2", la: "8000" }),
      active: { first: "1000", last: "8000" },
      users: { '"alice"': "1000", '"bob"': "8000" },
      "user-sessions": { '"alice"': "\nfirst\n", '"bob"': "\nlast\n" },
      expiry: { '"alice"first': "5000000000000", '"bob"last': "5000000000000" },
    });
  });

  test("writes nothing to any session of a run with an empty touch interval", async () => {
    await plantMixed(t.db);
    await t.db.pexpire("last", 50_000);
    const sessions = await Promise.all(["first", "last"].map((ref) => readFields(t.db, ref)));
    const replies = await runAll(MIXED, [9000, 9000, 9000, 9000, 9000], "");
    expect(replies).toEqual([
      expect.stringContaining('\n"cart":1'),
      "",
      ">new",
      expect.any(Error),
      expect.stringContaining('\n"cart":2'),
    ]);
    expect(await dumpMixed(t.db)).toMatchObject({
      first: sessions[0],
      last: sessions[1],
      active: { first: "1000", last: "1000" },
    });
    expect(await t.db.pttl("last")).toBeLessThanOrEqual(50_000);
  });

  test.each([
    ["from 9 to 10", 9, "10"],
    ["from 99 to 100", 99, "100"],
    ["from 99999999999999 to 100000000000000", 99_999_999_999_999, "100000000000000"],
  ])("keeps the expiry and the other fields when the count grows %s", async (_which, r, counted) => {
    await plant(t.db, { ref: "ref", r, device: '"phone"', '"cart"': "3" });
    await t.db.pexpire("ref", 50_000);
    const before = await readFields(t.db, "ref");
    expect(await run("ref", 1000)).toMatch(new RegExp(`^1000\n${r}\n1\n`));
    expect(await readFields(t.db, "ref")).toEqual({ ...before, r: counted });
    expect(await t.db.pttl("ref")).toBeGreaterThan(45_000);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  });

  test.each([1, 9])("keeps a session that never expires, after %i reads", async (r) => {
    await plant(t.db, { ref: "ref", r, ttl: 0 });
    await t.db.persist("ref");
    await run("ref", 9000);
    expect(await t.db.pttl("ref")).toBe(-1);
    expect(await readFields(t.db, "ref")).toMatchObject({ r: `${r + 1}`, la: "9000" });
  });

  test.each([
    ["a longer", 1000, 10_000, 1],
    ["a shorter (and the count longer)", 10_000, 9000, 9],
    ["a shorter", 10_000, 9000, 1],
  ])("writes a time of last use that has %s text than the one before", async (_which, la, now, r) => {
    await plant(t.db, { ref: "ref", la, r, '"cart"': "3" });
    const before = await readFields(t.db, "ref");
    await run("ref", now);
    expect(await readFields(t.db, "ref")).toEqual({ ...before, la: `${now}`, r: `${r + 1}` });
  });

  describe.each(DAMAGED)("a damaged session: %s", (_what, text) => {
    test.each([
      ["used just now", 1000],
      ["used long ago", 9000],
    ])("replies an error for it alone and leaves it unchanged; the others were %s", async (_when, now) => {
      for (const ref of ["a", "b"]) await plant(t.db, { ref });
      await t.db.set("damaged", text, "PX", 50_000);
      const replies = await runAll(["a", "damaged", "b"], [now, now, now]);
      expect(replies).toEqual([
        expect.stringMatching(/^1000\n1\n/),
        expect.any(Error),
        expect.stringMatching(/^1000\n1\n/),
      ]);
      expect(replies).toHaveProperty("1.message", expect.stringMatching(/^ERR .* is not a session$/));
      expect(await t.db.get("damaged")).toBe(text);
      expect(await t.db.pttl("damaged")).toBeLessThanOrEqual(50_000);
      expect(await dump(t.db)).toMatchObject({
        a: { r: "2", la: `${now}` },
        b: { r: "2", la: `${now}` },
        active: { a: `${now}`, b: `${now}` },
        "user-sessions": { '"alice"': "\na\nb\n" },
      });
      expect(await t.db.zscore("active", "damaged")).toBeNull();
    });
  });

  test("serves the other sessions of a run if one has a malformed ttl", async () => {
    for (const ref of ["a", "b"]) await plant(t.db, { ref });
    await t.db.set("damaged", textOf({ la: 1000, r: 1, w: 1, ttl: "soon", created: 1000, id: '"alice"' }));
    const replies = await runAll(["a", "damaged", "b"], [9000, 9000, 9000]);
    expect(replies).toEqual([expect.any(String), expect.anything(), expect.any(String)]);
    expect(await dump(t.db)).toMatchObject({ a: { r: "2", la: "9000" }, b: { r: "2", la: "9000" } });
  });

  test("uses one touch interval for all sessions of a run", async () => {
    for (const ref of ["a", "b", "c"]) await plant(t.db, { ref });
    await runAll(["a", "b", "c"], [61_000, 60_999, 99_000], 60_000);
    expect(await dump(t.db)).toMatchObject({ active: { a: "61000", b: "1000", c: "99000" } });
  });

  test("records the difference of the clocks once if a session occurs twice in a run", async () => {
    await plant(t.db, { ref: "ref", r: 9 });
    const replies = (await runAll(["ref", "ref"], [99_000, 99_000])) as string[];
    const line = /^100 skew=-\d{13}$/;
    for (const reply of replies) expect(reply.split("\n")[3]).toMatch(line);
    const [la, r, , ttl] = (await t.db.get("ref"))?.split("\n") ?? [];
    expect([la, r]).toEqual(["99000", "11"]);
    expect(ttl).toMatch(line);
  });

  test("counts two reads if a session occurs twice in a run", async () => {
    await plant(t.db, { ref: "ref" });
    const replies = await runAll(["ref", "ref"], [1000, 1000]);
    expect(replies).toEqual([expect.stringMatching(/^1000\n1\n/), expect.stringMatching(/^1000\n2\n/)]);
    expect(await readFields(t.db, "ref")).toMatchObject({ r: "3" });
  });

  test("serves 100 sessions in a run", async () => {
    for (const [i, ref] of HUNDRED.entries()) await plant(t.db, { ref, '"n"': i });
    const nows = HUNDRED.map((_, i) => 9000 + i);
    const replies = await runAll(HUNDRED, nows);
    expect(replies).toEqual(HUNDRED.map((_, i) => expect.stringMatching(new RegExp(`\n"n":${i}$`))));
    expect(await Promise.all(HUNDRED.map((ref) => readFields(t.db, ref)))).toMatchObject(
      nows.map((now) => ({ r: "2", la: `${now}` })),
    );
    expect(await dump(t.db)).toMatchObject({
      active: Object.fromEntries(HUNDRED.map((ref, i) => [ref, `${9000 + i}`])),
    });
  });
});

describe("get with ip and device of the use", () => {
  // The times of these calls are invented, so the sessions also get the flag `skew`.
  const line4Of = (text: unknown) => `${text}`.split("\n")[3]?.replace(/ skew=\S+/, "");
  const line4 = async (ref: string) => line4Of(await t.db.get(ref));
  const lines4 = (replies: unknown) => [replies].flat().map(line4Of);

  test("records them if they differ from lines 7 and 8, and reports it to one of the reads in a run", async () => {
    await plant(t.db, { ref: "ref", ip: '"::1"', device: '"Firefox"' });
    const use = 'ref\n"::2"\n"A=b c"';
    const replies = await t.run(get, [...INDEX, "ref", "ref"], [1000, use, 5000, use, 5000]);
    expect(await line4("ref")).toBe("100 lastChange=5000 lastIp=%22::2%22 lastDevice=%22A%3Db%20c%22");
    expect(lines4(replies)).toEqual(["100 moved", "100"]);
    expect(await readFields(t.db, "ref")).toMatchObject({ la: "5000", r: "3", w: "1" });
    expect(await t.db.pttl("ref")).toBeGreaterThan(99_000);
  });

  test("records nothing if they are the same, unknown, or if the session is not touched", async () => {
    await plant(t.db, { ref: "ref", ip: '"::1"', device: '"Firefox"' });
    for (const [use, now, interval] of [
      ['ref\n"::1"\n"Firefox"', 5000, 1000],
      ["ref\n\n", 10_000, 1000],
      ['ref\n"::2"\n', 10_500, 1000],
      ['ref\n"::2"\n', 20_000, ""],
    ] as const) {
      expect(lines4(await t.run(get, [...INDEX, "ref"], [interval, use, now]))).toEqual(["100"]);
      expect(await line4("ref")).toBe("100");
    }
  });

  test("keeps the other flags, and drops its own where the session is used again as at the sign-in", async () => {
    const flags = " no_resave until 9000000000000 actor=bob lastChange=1000 lastIp=%22::2%22";
    await plant(t.db, { ref: "ref", ttl: `100${flags}`, ip: '"::1"', device: '"Firefox"' });
    await t.run(get, [...INDEX, "ref"], [1000, 'ref\n"::1"\n"Firefox"', 60_999]);
    expect(await line4("ref")).toBe(`100${flags}`);
    await t.run(get, [...INDEX, "ref"], [1000, 'ref\n"::1"\n"Firefox"', 62_000]);
    expect(await line4("ref")).toBe("100 no_resave until 9000000000000 actor=bob lastChange=62000");
  });
});
