import { describe, expect, test } from "vitest";
import { create } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import { readUserSessions } from "../support/index-check.js";
import { HUNDRED, INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields, textOf } from "../support/session-text.js";

const t = useScripts();

interface New {
  ref: string;
  id?: string;
  now?: number;
  ttl?: number;
  fields?: Record<string, unknown>;
}

/** The arguments that all sessions of a run share. `absolute` and `ttl` are seconds. */
interface Limits {
  absolute?: number;
  limit?: number;
}

/** The header fields of a new session, without the user's id. */
function header(now = 5000, ttl = 100) {
  return { la: `${now}`, r: "1", w: "1", ttl: `${ttl}`, created: `${now}` };
}

function argsOf({ ref, id = '"alice"', now = 5000, ttl = 100, fields = {} }: New) {
  return [ref, id, now, ttl * 1000, textOf({ ...header(now, ttl), id, ...fields })];
}

function runAll(sessions: New[], { absolute = 0, limit = 0 }: Limits = {}) {
  const args = [absolute * 1000, limit, ...sessions.flatMap(argsOf)];
  return t.run(create, [...INDEX, ...sessions.map(({ ref }) => ref)], args);
}

function run(ref: string, id: string, fields: Record<string, unknown> = {}, now = 5000, ttl = 100) {
  return t.runOne(create, [...INDEX, ref], [0, 0, ...argsOf({ ref, id, now, ttl, fields })]);
}

describe("create", () => {
  test("replies 1 and writes the session with all its index entries", async () => {
    const before = Date.now();
    expect(await run("ref", '"alice"', { '"cart"': 3 })).toBe(1);
    const { expiry, ...rest } = await dump(t.db);
    expect(rest).toEqual({
      ref: { ...header(), id: '"alice"', '"cart"': "3" },
      active: { ref: "5000" },
      users: { '"alice"': "5000" },
      "user-sessions": { '"alice"': "\nref\n" },
    });
    const wipeAt = Number((expiry as Record<string, string>)['"alice"ref']);
    expect(wipeAt).toBeGreaterThanOrEqual(before + 100_000);
    expect(wipeAt).toBeLessThanOrEqual(Date.now() + 100_000);
  });

  test("sets the TTL by Redis's clock, whatever the caller's clock says", async () => {
    await run("ref", '"alice"', {}, 5000, 100);
    const left = await t.db.pttl("ref");
    expect(left).toBeGreaterThan(95_000);
    expect(left).toBeLessThanOrEqual(100_000);
  });

  test("changes nothing if the same call is repeated", async () => {
    await run("ref", '"alice"');
    const before = await dump(t.db);
    expect(await run("ref", '"alice"')).toBe(1);
    expect(await dump(t.db)).toEqual(before);
  });

  test("writes the maximum ttl in full digits", async () => {
    await run("ref", '"alice"', {}, 5000, 9_007_199_254_740);
    expect(await t.db.pttl("ref")).toBeGreaterThan(9_007_199_254_739_000);
  });

  test("writes the end of the maximum absolute lifetime in full digits", async () => {
    const before = Date.now();
    expect(await runAll([{ ref: "ref" }], { absolute: 9_000_000_000_000 })).toBe(1);
    const { end, ...rest } = await readFields(t.db, "ref");
    expect(rest).toEqual({ ...header(), id: '"alice"' });
    expect(Number(end)).toBeGreaterThanOrEqual(9_000_000_000_000_000 + before);
    expect(Number(end)).toBeLessThanOrEqual(9_000_000_000_000_000 + Date.now());
  });

  test("replies 0 and writes nothing if the user has the maximum number of sessions", async () => {
    await plant(t.db, { ref: "one" });
    const before = await dump(t.db);
    expect(await runAll([{ ref: "two" }], { limit: 1 })).toBe(0);
    expect(await dump(t.db)).toEqual(before);
    expect(await runAll([{ ref: "two" }], { limit: 2 })).toBe(1);
  });

  test.each([
    ["without an absolute lifetime", 0],
    ["with an absolute lifetime", 900],
  ])("writes each session of a run with its own values, %s", async (_how, absolute) => {
    const before = Date.now();
    const ttls = [100, 200, 300];
    const sessions = [
      { ref: "a", now: 5000, ttl: 100, fields: { '"n"': 1 } },
      { ref: "b", id: '"bob"', now: 6000, ttl: 200, fields: { '"n"': 2, '"m"': 3 } },
      { ref: "c", now: 7000, ttl: 300 },
    ];
    const replies = await runAll(sessions, { absolute });
    expect(replies).toEqual([1, 1, 1]);
    const after = Date.now();

    const { a, b, c, expiry, ...index } = (await dump(t.db)) as Record<string, Record<string, string>>;
    const ends = [a, b, c].flatMap(({ end } = {}) => end ?? []);
    expect(ends).toHaveLength(absolute === 0 ? 0 : 3);
    expect([a, b, c].map(({ end: _end, ...rest } = {}) => rest)).toEqual([
      { ...header(5000, 100), id: '"alice"', '"n"': "1" },
      { ...header(6000, 200), id: '"bob"', '"n"': "2", '"m"': "3" },
      { ...header(7000, 300), id: '"alice"' },
    ]);
    expect(index).toEqual({
      active: { a: "5000", b: "6000", c: "7000" },
      users: { '"alice"': "7000", '"bob"': "6000" },
      "user-sessions": { '"alice"': "\na\nc\n", '"bob"': "\nb\n" },
    });
    expect(Object.keys(expiry ?? {}).sort()).toEqual(['"alice"a', '"alice"c', '"bob"b']);
    const entries = ['"alice"a', '"bob"b', '"alice"c'].map((entry, i) => [expiry?.[entry], ttls[i] as number] as const);
    for (const [time, seconds] of [...entries, ...ends.map((end) => [end, absolute] as const)]) {
      expect(Number(time)).toBeGreaterThanOrEqual(before + seconds * 1000);
      expect(Number(time)).toBeLessThanOrEqual(after + seconds * 1000);
    }
    for (const [i, ref] of ["a", "b", "c"].entries()) {
      const seconds = ttls[i] as number;
      expect(await t.db.pttl(ref)).toBeGreaterThan(seconds * 1000 - 5000);
      expect(await t.db.pttl(ref)).toBeLessThanOrEqual(seconds * 1000);
    }
  });

  test.each([
    ["two sessions with a maximum of one", 1, [1, 0]],
    ["three sessions with a maximum of two", 2, [1, 1, 0]],
  ])("counts the sessions of the same run: %s", async (_which, limit, replies) => {
    const sessions = replies.map((_, i) => ({ ref: `r${i}` }));
    expect(await runAll(sessions, { limit })).toEqual(replies);
    const written = sessions.map(({ ref }) => ref).filter((_, i) => replies[i] === 1);
    expect(Object.keys(await dump(t.db))).toEqual(["active", "expiry", ...written, "user-sessions", "users"]);
    expect(await t.db.zrange("active", "0", "-1")).toEqual(written);
  });

  test("counts the sessions that were created without a limit", async () => {
    expect(await runAll([{ ref: "r0" }])).toBe(1);
    const before = await dump(t.db);
    expect(await runAll([{ ref: "r1" }], { limit: 1 })).toBe(0);
    expect(await dump(t.db)).toEqual(before);
  });

  test("writes nothing for a rejected session, and writes the others of the run completely", async () => {
    await plant(t.db, { ref: "old", id: '"bob"' });
    const sessions = [{ ref: "a" }, { ref: "b", id: '"bob"' }, { ref: "c", id: '"carol"' }, { ref: "d", id: '"dave"' }];
    const replies = await runAll(sessions, { limit: 1 });
    expect(replies).toEqual([1, 0, 1, 1]);
    expect(await t.db.exists("b")).toBe(0);
    expect(await dump(t.db)).toMatchObject({ a: { id: '"alice"' }, c: { id: '"carol"' }, d: { id: '"dave"' } });
    expect(await t.db.zrange("active", "0", "-1")).toEqual(["old", "a", "c", "d"]);
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"bob"', '"alice"', '"carol"', '"dave"']);
    expect((await readUserSessions(t.db, "")).sort()).toEqual(['"alice"a', '"bob"old', '"carol"c', '"dave"d']);
    expect((await t.db.zrange("expiry", "0", "-1")).sort()).toEqual(['"alice"a', '"bob"old', '"carol"c', '"dave"d']);
  });

  test.each([
    ["without a limit", 0],
    ["with a limit", 100],
  ])("creates 100 sessions in a run, %s", async (_which, limit) => {
    const sessions = HUNDRED.map((ref, i) => ({ ref, now: 5000 + i, fields: { '"n"': i } }));
    expect(await runAll(sessions, { limit })).toEqual(HUNDRED.map(() => 1));
    expect(await Promise.all(HUNDRED.map((ref) => readFields(t.db, ref)))).toEqual(
      HUNDRED.map((_, i) => ({ ...header(5000 + i), id: '"alice"', '"n"': `${i}` })),
    );
    expect(await t.db.zrange("active", "0", "-1")).toEqual(HUNDRED);
    const entries = HUNDRED.map((ref) => `"alice"${ref}`).sort();
    expect((await readUserSessions(t.db, "")).sort()).toEqual(entries);
    expect((await t.db.zrange("expiry", "0", "-1")).sort()).toEqual(entries);
    expect(await t.db.zrange("users", "0", "-1", "WITHSCORES")).toEqual(['"alice"', "5099"]);
  });

  test("does not count a repeated session twice", async () => {
    expect(await runAll([{ ref: "one" }], { limit: 1 })).toBe(1);
    // ioredis repeats a command whose reply was lost with the connection.
    expect(await runAll([{ ref: "one" }], { limit: 1 })).toBe(1);
    expect(await runAll([{ ref: "two" }], { limit: 1 })).toBe(0);
    expect(await readUserSessions(t.db, "")).toEqual(['"alice"one']);
  });
});
