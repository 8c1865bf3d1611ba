import { describe, expect, test } from "vitest";
import { set } from "../../src/lua/index.js";
import { dump } from "../support/dump.js";
import {
  changes,
  DAMAGED,
  dumpMixed,
  HUNDRED,
  INDEX,
  MIXED,
  plant,
  plantMixed,
  useScripts,
} from "../support/scripts.js";
import { fieldsOf, readFields, textOf } from "../support/session-text.js";

const t = useScripts();

/** The maximum bytes and keys of the data. */
const BOUNDS = [1_000_000, 100_000];

type Change = [ref: string, now: number, write: string[], remove?: string[]];

function argsOf([ref, now, write, remove = []]: Change) {
  return [ref, now, changes(write, remove)];
}

function run(...change: Change) {
  return t.runOne(set, [...INDEX, change[0]], [...BOUNDS, ...argsOf(change)]);
}

async function runAll(...all: Change[]) {
  return (await t.run(set, [...INDEX, ...all.map(([ref]) => ref)], [...BOUNDS, ...all.flatMap(argsOf)])) as unknown[];
}

function fields(reply: unknown): Record<string, string> {
  return fieldsOf(String(reply));
}

describe("set", () => {
  test("replies the new text, but with the time of the last use before this write", async () => {
    await plant(t.db, { ref: "ref", la: 1000, '"old"': "1", '"gone"': "2", '"kept"': "3" });
    const reply = await run("ref", 99_000, ['"old"', "9", '"new"', '"x"'], ['"gone"', '"never"']);
    expect(await readFields(t.db, "ref")).toEqual({ ...fields(reply), la: "99000" });
    expect(fields(reply)).toMatchObject({ la: "1000" });
    expect(fields(reply)).toMatchObject({ '"old"': "9", '"new"': '"x"', '"kept"': "3", w: "2", r: "1" });
    expect(fields(reply)).not.toHaveProperty('"gone"');
  });

  test("replies an empty string and writes nothing if the session does not exist", async () => {
    expect(await run("ref", 9000, ['"a"', "1"], ['"b"'])).toBe("");
    expect(await t.db.dbsize()).toBe(0);
  });

  test("replies the redirect of a rotated session and writes nothing", async () => {
    await t.db.set("ref", ">new");
    expect(await run("ref", 9000, ['"a"', "1"])).toBe(">new");
    expect(await dump(t.db)).toEqual({ ref: { to: "new" } });
  });

  test("touches the session and records its use, at most once a second", async () => {
    await plant(t.db, { ref: "ref" });
    await t.db.pexpire("ref", 50_000);
    await run("ref", 1999, ['"a"', "1"]);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
    expect(fields(await run("ref", 2000, ['"a"', "2"]))).toMatchObject({ la: "1000" });
    expect(await t.db.pttl("ref")).toBeGreaterThan(95_000);
    expect(await t.db.zscore("active", "ref")).toBe("2000");
    expect(await t.db.zscore("users", '"alice"')).toBe("2000");
  });

  test("keeps the expiry of a no_resave session", async () => {
    await plant(t.db, { ref: "ref", no_resave: 1 });
    await t.db.pexpire("ref", 50_000);
    await run("ref", 9000, ['"a"', "1"]);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  });

  test("replies for each session of a run in order, and changes each separately", async () => {
    await plantMixed(t.db);
    const [first, last] = [await readFields(t.db, "first"), await readFields(t.db, "last")];
    const all = MIXED.map((ref, i): Change => [ref, 1500, [`"k${i}"`, `${i}`]]);
    all[0] = ["first", 1500, ['"cart"', "9", '"a"', "1"]];
    all[4] = ["last", 8000, ['"b"', "2"], ['"cart"', '"never"']];
    const replies = await runAll(...all);

    const { '"cart"': _cart, ...kept } = last;
    expect(fields(replies[0])).toEqual({ ...first, '"cart"': "9", '"a"': "1", w: "2" });
    expect(replies.slice(1, 4)).toEqual(["", ">new", expect.any(Error)]);
    expect(replies).toHaveProperty("3.message", expect.stringMatching(/^WRONGTYPE /));
    expect(fields(replies[4])).toEqual({ ...kept, '"b"': "2", w: "2", la: "1000" });
    expect(await dumpMixed(t.db)).toEqual({
      first: fields(replies[0]),
      last: { ...fields(replies[4]), la: "8000" },
      active: { first: "1000", last: "8000" },
      users: { '"alice"': "1000", '"bob"': "8000" },
      "user-sessions": { '"alice"': "\nfirst\n", '"bob"': "\nlast\n" },
      expiry: { '"alice"first': "5000000000000", '"bob"last': "5000000000000" },
    });
  });

  test.each([
    ["count grows", { w: 9 }, 1000, []],
    ["data grows", {}, 1000, ['"cart"', "1234567890"]],
    ["data shrinks", { '"cart"': "1234567890" }, 1000, ['"cart"', "1"]],
  ])("keeps the expiry of a session when its %s", async (_which, fields, now, write) => {
    await plant(t.db, { ref: "ref", ...fields });
    await t.db.pexpire("ref", 50_000);
    const before = await readFields(t.db, "ref");
    await run("ref", now, write);
    const [key = "", value = ""] = write;
    const written = key === "" ? {} : { [key]: value };
    expect(await readFields(t.db, "ref")).toEqual({ ...before, ...written, w: `${Number(before.w) + 1}` });
    expect(await t.db.pttl("ref")).toBeGreaterThan(45_000);
    expect(await t.db.pttl("ref")).toBeLessThanOrEqual(50_000);
  });

  test.each([1, 9])("keeps a session that never expires, after %i writes", async (w) => {
    await plant(t.db, { ref: "ref", w, ttl: 0 });
    await t.db.persist("ref");
    await run("ref", 9000, ['"a"', "1"]);
    expect(await t.db.pttl("ref")).toBe(-1);
    expect(await readFields(t.db, "ref")).toMatchObject({ w: `${w + 1}`, la: "9000", '"a"': "1" });
  });

  describe.each(DAMAGED)("a damaged session: %s", (_what, text) => {
    test.each([
      ["used just now", 1000, "1"],
      ["used just now and receive much data", 1000, `"${"x".repeat(100_000)}"`],
      ["used long ago", 9000, "1"],
    ])("replies an error for it alone and leaves it unchanged; the others were %s", async (_when, now, json) => {
      for (const ref of ["a", "b"]) await plant(t.db, { ref });
      await t.db.set("damaged", text, "PX", 50_000);
      const replies = await runAll(...["a", "damaged", "b"].map((ref): Change => [ref, now, ['"n"', json]]));
      expect(replies).toEqual([expect.any(String), expect.any(Error), expect.any(String)]);
      expect(replies).toHaveProperty("1.message", expect.stringMatching(/^ERR .* is not a session$/));
      expect(await t.db.get("damaged")).toBe(text);
      expect(await t.db.pttl("damaged")).toBeLessThanOrEqual(50_000);
      const [a, b] = [await readFields(t.db, "a"), await readFields(t.db, "b")];
      expect([replies[0], replies[2]].map((reply) => ({ ...fields(reply), la: `${now}` }))).toEqual([a, b]);
      for (const session of [a, b]) expect(session).toMatchObject({ w: "2", la: `${now}`, '"n"': json });
      expect(await t.db.zrange("active", "0", "-1", "WITHSCORES")).toEqual(["a", `${now}`, "b", `${now}`]);
    });
  });

  test("serves the other sessions of a run if one has a malformed ttl", async () => {
    for (const ref of ["a", "b"]) await plant(t.db, { ref });
    await t.db.set("damaged", textOf({ la: 1000, r: 1, w: 1, ttl: "soon", created: 1000, id: '"alice"' }));
    const replies = await runAll(...["a", "damaged", "b"].map((ref): Change => [ref, 9000, ['"n"', "1"]]));
    expect(replies).toEqual([expect.any(String), expect.anything(), expect.any(String)]);
    expect(await dump(t.db)).toMatchObject({ a: { '"n"': "1", la: "9000" }, b: { '"n"': "1", la: "9000" } });
  });

  test("changes a session twice, in order, if it occurs twice in a run", async () => {
    await plant(t.db, { ref: "ref" });
    const replies = await runAll(["ref", 1000, ['"a"', "1", '"b"', "1"]], ["ref", 1000, ['"b"', "2"], ['"a"']]);
    expect(fields(replies[0])).toMatchObject({ '"a"': "1", '"b"': "1", w: "2" });
    expect(fields(replies[1])).toMatchObject({ '"b"': "2", w: "3" });
    expect(fields(replies[1])).not.toHaveProperty('"a"');
  });

  test("serves 100 sessions in a run", async () => {
    for (const ref of HUNDRED) await plant(t.db, { ref, '"old"': "1" });
    const replies = await runAll(...HUNDRED.map((ref, i): Change => [ref, 9000 + i, ['"n"', `${i}`], ['"old"']]));
    const sessions = await Promise.all(HUNDRED.map((ref) => readFields(t.db, ref)));
    expect(replies.map((reply, i) => ({ ...fields(reply), la: `${9000 + i}` }))).toEqual(sessions);
    for (const [i, session] of sessions.entries()) {
      expect(session).toMatchObject({ '"n"': `${i}`, w: "2", la: `${9000 + i}` });
      expect(session).not.toHaveProperty('"old"');
    }
  });
});
