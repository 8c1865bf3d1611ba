import { describe, expect, test } from "vitest";
import { create, get, kill, killMany, replace, rotate, sweep, update } from "../../src/lua/index.js";
import { readUserSessions } from "../support/index-check.js";
import { changes, INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields, textOf } from "../support/session-text.js";

const t = useScripts();

/** The maximum bytes and keys of the data. */
const BOUNDS = [10_000_000, 100_000];

const ALICE = '"alice"';

/** A field of 4096 bytes: 273 refs of 14 bytes, a line feed behind each, and one in front of all. */
const FIELD = Array.from({ length: 273 }, (_, i) => `ref-${i}`.padEnd(14, "_"));
const FULL = `\n${FIELD.join("\n")}\n`;

function textFor(id: string) {
  return textOf({ la: 5000, r: 1, w: 1, ttl: 100, created: 5000, id });
}

function add(refs: readonly string[], { id = ALICE, limit = 0 } = {}) {
  return t.run(
    create,
    [...INDEX, ...refs],
    [0, limit, ...refs.flatMap((ref) => [ref, id, 5000, 100_000, textFor(id)])],
  );
}

function end(...refs: string[]) {
  return t.run(kill, [...INDEX, ...refs], [0, ...refs]);
}

/** Reads a session in a later minute than its last use, so that all its index entries are written again. */
function use(ref: string, now = 65_000) {
  return t.runOne(get, [...INDEX, ref], [1000, ref, now]);
}

/** Runs `work` in chunks of the maximum size of a run. */
async function inChunks(refs: readonly string[], work: (refs: string[]) => Promise<unknown>) {
  for (let i = 0; i < refs.length; i += 100) await work(refs.slice(i, i + 100));
}

/** Creates sessions for a full field of Alice, and `more` sessions in the overflow. */
async function fillField(...more: string[]) {
  await inChunks(FIELD, add);
  if (more.length > 0) await add(more);
}

function field(id = ALICE) {
  return t.db.hget("user-sessions", id);
}

function overflow() {
  return t.db.zrange("user-sessions-overflow", "0", "-1");
}

test("stores refs in the overflow when the field has 4096 bytes", async () => {
  expect(FULL).toHaveLength(4096);
  expect(new Set(FIELD).size).toBe(273);
  await fillField();
  expect(await field()).toBe(FULL);
  expect(await t.db.exists("user-sessions-overflow")).toBe(0);
  await add(["x"]);
  expect(await field()).toBe(`+${FULL}`);
  expect(await t.db.zrange("user-sessions-overflow", "0", "-1", "WITHSCORES")).toEqual(['"alice"x', "0"]);
});

test.each([
  [4095, "to the field"],
  [4096, "to the overflow"],
])("adds a ref to a user whose field has %i bytes %s", async (bytes) => {
  const list = `\n${"x".repeat(bytes - 2)}\n`;
  await t.db.hset("user-sessions", ALICE, list);
  await add(["ref"]);
  expect(await field()).toBe(bytes < 4096 ? `${list}ref\n` : `+${list}`);
  expect(await overflow()).toEqual(bytes < 4096 ? [] : ['"alice"ref']);
});

test("fills the field and continues in the overflow within one run", async () => {
  await inChunks(FIELD.slice(0, 270), add);
  expect(await add([...FIELD.slice(270), "x", "y"])).toEqual([1, 1, 1, 1, 1]);
  expect(await field()).toBe(`+${FULL}`);
  expect(await overflow()).toEqual(['"alice"x', '"alice"y']);
});

test("keeps the field of another user separate", async () => {
  await fillField("x");
  await add(["y"], { id: '"bob"' });
  expect(await field('"bob"')).toBe("\ny\n");
  expect(await overflow()).toEqual(['"alice"x']);
});

test("changes nothing if a session in the field or the overflow is created again", async () => {
  await fillField("x");
  await add([FIELD[0] as string, "x"]);
  expect(await field()).toBe(`+${FULL}`);
  expect(await overflow()).toEqual(['"alice"x']);
});

describe("create with a limit", () => {
  test.each([
    [274, [0, 0]],
    [275, [0, 0]],
    [276, [1, 0]],
    [277, [1, 1]],
  ])("counts field and overflow together, limit %i", async (limit, replies) => {
    await fillField("x", "y");
    expect(await add(["new1", "new2"], { limit })).toEqual(replies);
    const written = ["new1", "new2"].filter((_, i) => replies[i] === 1);
    expect(await overflow()).toEqual([...written, "x", "y"].map((ref) => ALICE + ref));
    expect(await t.db.exists("new1", "new2")).toBe(written.length);
  });

  test("admits one session for each that has ended, in the field or in the overflow", async () => {
    await fillField("x", "y");
    for (const ref of ["x", FIELD[7] as string]) {
      expect(await add(["new"], { limit: 275 })).toBe(0);
      await end(ref);
      expect(await add(["new"], { limit: 275 })).toBe(1);
      await end("new");
      await add([`replaces-${ref}`]);
    }
  });

  test("counts a session once after it has moved from the overflow to the field", async () => {
    await fillField("x", "y");
    await end(FIELD[0] as string);
    await use("x");
    expect((await readUserSessions(t.db, "")).sort()).toEqual(
      [...FIELD.slice(1), "x", "y"].map((ref) => ALICE + ref).sort(),
    );
    expect(await add(["new"], { limit: 274 })).toBe(0);
    expect(await add(["new"], { limit: 275 })).toBe(1);
  });
});

describe("ended sessions", () => {
  test("are removed from field and overflow, and the user with the last one of the overflow", async () => {
    await fillField("x", "y");
    await end("x");
    expect(await field()).toBe(`+${FULL}`);
    expect(await overflow()).toEqual(['"alice"y']);
    await inChunks(FIELD, (refs) => end(...refs));
    expect(await field()).toBe("+\n");
    expect(await overflow()).toEqual(['"alice"y']);
    expect(await t.db.zrange("users", "0", "-1")).toEqual([ALICE]);
    await end("y");
    expect(await t.db.dbsize()).toBe(0);
  });

  test("are removed from field and overflow, and the user with the last one of the field", async () => {
    await fillField("x", "y");
    await end("x", "y");
    expect(await t.db.exists("user-sessions-overflow")).toBe(0);
    const [last = "", ...rest] = FIELD;
    await inChunks(rest, (refs) => end(...refs));
    expect(await readUserSessions(t.db, "")).toEqual([ALICE + last]);
    expect(await t.db.zrange("users", "0", "-1")).toEqual([ALICE]);
    await end(last);
    expect(await t.db.dbsize()).toBe(0);
  });

  test.each([
    ["kill", (refs: string[]) => end(...refs)],
    ["kill-many", (refs: string[]) => t.run(killMany, [...INDEX, "active", ...refs], [0, ALICE, refs.length, ...refs])],
    [
      "sweep",
      async (refs: string[]) => {
        await t.db.del(...refs);
        await t.run(
          sweep,
          [...INDEX, ...refs],
          refs.flatMap((ref) => [ALICE, ref]),
        );
      },
    ],
  ])("are removed completely from both in one run: %s", async (_name, work) => {
    await fillField("x", "y");
    await inChunks(FIELD.slice(2), work);
    expect((await readUserSessions(t.db, "")).sort()).toEqual(
      [...FIELD.slice(0, 2), "x", "y"].map((ref) => ALICE + ref).sort(),
    );
    await work(["y", ...FIELD.slice(0, 2), "x"]);
    expect(await t.db.dbsize()).toBe(0);
  });

  test.each([
    ["in the overflow", (refs: readonly string[]) => refs.toReversed()],
    ["in the field", (refs: readonly string[]) => [...refs]],
  ])("are removed completely while the user gets new sessions, beginning %s", async (_where, order) => {
    await fillField("x", "y");
    const refs = order([...FIELD, "x", "y"]);
    await end(...refs.slice(0, 10));
    await add(["new1", "new2"]);
    await inChunks(refs.slice(10), (some) => end(...some));
    expect((await readUserSessions(t.db, "")).sort()).toEqual(['"alice"new1', '"alice"new2']);
    await end("new1", "new2");
    expect(await t.db.dbsize()).toBe(0);
  });

  test.each([
    ["get", (ref: string) => use(ref)],
    ["update", (ref: string) => t.runOne(update, [...INDEX, ref], [...BOUNDS, ref, "", 9000, 50, ""])],
    ["replace", (ref: string) => t.run(replace, [...INDEX, ref], [ref, ALICE, 9000, 100, "any", textFor(ALICE)])],
    ["sweep", (ref: string) => t.run(sweep, [...INDEX, ref], [ALICE, ref])],
    ["create again", (ref: string) => add([ref])],
  ])("are removed completely after moving from the overflow to the field: %s", async (_name, work) => {
    await fillField("x");
    await end(FIELD[0] as string);
    await work("x");
    expect((await readUserSessions(t.db, "")).filter((entry) => entry.endsWith('"x'))).toEqual(['"alice"x']);
    await end("x");
    expect((await readUserSessions(t.db, "")).sort()).toEqual(
      FIELD.slice(1)
        .map((ref) => ALICE + ref)
        .sort(),
    );
    await inChunks(FIELD.slice(1), (refs) => end(...refs));
    expect(await t.db.dbsize()).toBe(0);
  });

  test("do not affect the overflow of users with similar ids", async () => {
    const neighbours = ['"alic"', '"alice\\""', '"alicea"', '"bob"', '"\u{10ffff}"'];
    await plant(t.db, { ref: "ref" });
    await t.db.hset("user-sessions", ALICE, "+\nref\n");
    for (const id of neighbours) {
      await t.db.hset("user-sessions", id, "+\n");
      await t.db.zadd("users", 1000, id);
      await t.db.zadd("user-sessions-overflow", 0, `${id}x`);
    }
    await end("ref");
    expect(Object.keys(await t.db.hgetall("user-sessions")).sort()).toEqual(neighbours.toSorted());
    expect((await t.db.zrange("users", "0", "-1")).sort()).toEqual(neighbours.toSorted());
    expect((await overflow()).sort()).toEqual(neighbours.map((id) => `${id}x`).sort());
  });
});

describe("moved sessions", () => {
  test("rotate replaces a ref in the overflow", async () => {
    await fillField("x");
    expect(await t.run(rotate, [...INDEX, "x", "new", "mark"], ["x", "new", 0, 10_000, 60_000])).toBe(1);
    expect(await field()).toBe(`+${FULL}`);
    expect(await overflow()).toEqual(['"alice"new']);
  });

  test("rotate replaces a ref in a full field", async () => {
    await fillField("x");
    const [first = "", ...rest] = FIELD;
    expect(await t.run(rotate, [...INDEX, first, "new", "mark"], [first, "new", 0, 10_000, 60_000])).toBe(1);
    expect((await readUserSessions(t.db, "")).sort()).toEqual([...rest, "new", "x"].map((ref) => ALICE + ref).sort());
    await inChunks([...rest, "new", "x"], (refs) => end(...refs));
    // The tombstone of the old ref, and the mark.
    expect((await t.db.keys("*")).sort()).toEqual(["mark", first]);
  });

  test("update assigns sessions in the overflow to another user, including the last one", async () => {
    await fillField("x", "y");
    await inChunks(FIELD, (refs) => end(...refs));
    const assign = (ref: string) =>
      t.runOne(update, [...INDEX, ref], [...BOUNDS, ref, '"bob"', 6000, 100, changes([])]);
    await assign("x");
    expect(await t.db.hgetall("user-sessions")).toEqual({ [ALICE]: "+\n", '"bob"': "\nx\n" });
    expect(await overflow()).toEqual(['"alice"y']);
    await assign("y");
    expect(await t.db.hgetall("user-sessions")).toEqual({ '"bob"': "\nx\ny\n" });
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"bob"']);
    expect(await t.db.exists("user-sessions-overflow")).toBe(0);
    expect(await readFields(t.db, "y")).toMatchObject({ id: '"bob"' });
  });

  test("update adds a session to the overflow of a user whose field is full", async () => {
    await fillField();
    await plant(t.db, { ref: "x", id: '"bob"' });
    expect(await t.runOne(update, [...INDEX, "x"], [...BOUNDS, "x", ALICE, 6000, 100, ""])).toBe(1);
    expect(await t.db.hgetall("user-sessions")).toEqual({ [ALICE]: `+${FULL}` });
    expect(await overflow()).toEqual(['"alice"x']);
  });

  test("update lists a session that changes its user several times in a run under the last user", async () => {
    await fillField("x");
    const turns = ['"bob"', ALICE, '"bob"', ALICE];
    const args = turns.flatMap((id) => ["x", id, 6000, 100, ""]);
    expect(await t.run(update, [...INDEX, ...turns.map(() => "x")], [...BOUNDS, ...args])).toEqual([1, 1, 1, 1]);
    expect(await t.db.hgetall("user-sessions")).toEqual({ [ALICE]: `+${FULL}` });
    expect(await overflow()).toEqual(['"alice"x']);
    expect(await t.db.zrange("users", "0", "-1")).toEqual([ALICE]);
  });
});

describe.each([
  ["the field", () => Promise.resolve(), ""],
  ["the overflow", () => fillField(), "+"],
])("similar refs in %s", (_where, prepare, prefix) => {
  const refs = async () => (await readUserSessions(t.db, "")).map((entry) => entry.slice(ALICE.length));
  const others = prefix === "+" ? FIELD : [];

  test.each([
    ["the end", "b", "ab"],
    ["the beginning", "a", "ab"],
    ["the middle", "b", "abc"],
    ["a pattern", "a-c", "aac"],
    ["another pattern", "%a", "xa"],
  ])("are distinguished if one is %s of the other", async (_part, short, long) => {
    await prepare();
    await add([long]);
    await add([short]);
    expect((await refs()).sort()).toEqual([...others, long, short].sort());
    await end(short);
    expect((await refs()).sort()).toEqual([...others, long].sort());
    await add([short]);
    await end(long);
    expect((await refs()).sort()).toEqual([...others, short].sort());
    expect(await t.db.zscore("users", ALICE)).toBe("5000");
  });

  test("are kept if a missing ref that is the end of another is removed", async () => {
    await prepare();
    await add(["ab"]);
    await plant(t.db, { ref: "b", id: '"bob"' });
    await t.run(killMany, [...INDEX, "active", "b"], [0, ALICE, 1, "b"]);
    expect((await readUserSessions(t.db, "")).sort()).toEqual(
      [...[...others, "ab"].map((ref) => ALICE + ref), '"bob"b'].sort(),
    );
  });
});

test("removes a user whose field is empty after the overflow was lost", async () => {
  await fillField("x");
  await inChunks(FIELD.slice(1), (refs) => end(...refs));
  await t.db.del("user-sessions-overflow");
  await end(FIELD[0] as string);
  expect(await t.db.exists("user-sessions", "users")).toBe(0);
});

test("restores a lost field as sessions are used, and removes it as they end", async () => {
  await fillField("x", "y");
  await t.db.del("user-sessions");
  for (const ref of ["x", FIELD[0] as string, "y"]) await use(ref);
  expect((await readUserSessions(t.db, "")).sort()).toEqual([FIELD[0], "x", "y"].map((ref) => ALICE + ref).sort());
  await end("x", FIELD[0] as string, "y");
  expect(await t.db.exists("user-sessions", "users", "user-sessions-overflow")).toBe(0);
});
