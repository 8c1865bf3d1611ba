import { describe, expect, test } from "vitest";
import { create, get, kill, killMany, replace, rotate, sweep, update } from "../../src/lua/index.js";
import { readOwners } from "../support/index-check.js";
import { changes, INDEX, plant, useScripts } from "../support/scripts.js";
import { readFields, textOf } from "../support/session-text.js";

const t = useScripts();

/** How large the data may become. */
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

/** In another minute than the one before: all entries are written anew. */
function use(ref: string, now = 65_000) {
  return t.runOne(get, [...INDEX, ref], [1000, ref, now]);
}

/** In chunks, as many as a run takes. */
async function inChunks(refs: readonly string[], work: (refs: string[]) => Promise<unknown>) {
  for (let i = 0; i < refs.length; i += 100) await work(refs.slice(i, i + 100));
}

/** Alice with a full field, and sessions beyond it. */
async function crowdOf(...more: string[]) {
  await inChunks(FIELD, add);
  if (more.length > 0) await add(more);
}

function field(id = ALICE) {
  return t.db.hget("user-sessions", id);
}

function crowd() {
  return t.db.zrange("user-sessions-overflow", "0", "-1");
}

test("a field is 4096 bytes long when the crowd begins", async () => {
  expect(FULL).toHaveLength(4096);
  expect(new Set(FIELD).size).toBe(273);
  await crowdOf();
  expect(await field()).toBe(FULL);
  expect(await t.db.exists("user-sessions-overflow")).toBe(0);
  await add(["x"]);
  expect(await field()).toBe(`+${FULL}`);
  expect(await t.db.zrange("user-sessions-overflow", "0", "-1", "WITHSCORES")).toEqual(['"alice"x', "0"]);
});

test.each([
  [4095, "takes one more"],
  [4096, "takes no more"],
])("a field of %i bytes %s", async (bytes) => {
  const list = `\n${"x".repeat(bytes - 2)}\n`;
  await t.db.hset("user-sessions", ALICE, list);
  await add(["ref"]);
  expect(await field()).toBe(bytes < 4096 ? `${list}ref\n` : `+${list}`);
  expect(await crowd()).toEqual(bytes < 4096 ? [] : ['"alice"ref']);
});

test("one run fills a field and goes on in the crowd", async () => {
  await inChunks(FIELD.slice(0, 270), add);
  expect(await add([...FIELD.slice(270), "x", "y"])).toEqual([1, 1, 1, 1, 1]);
  expect(await field()).toBe(`+${FULL}`);
  expect(await crowd()).toEqual(['"alice"x', '"alice"y']);
});

test("a full field of one user is none of another's", async () => {
  await crowdOf("x");
  await add(["y"], { id: '"bob"' });
  expect(await field('"bob"')).toBe("\ny\n");
  expect(await crowd()).toEqual(['"alice"x']);
});

test("changes nothing when a session of field or crowd comes again", async () => {
  await crowdOf("x");
  await add([FIELD[0] as string, "x"]);
  expect(await field()).toBe(`+${FULL}`);
  expect(await crowd()).toEqual(['"alice"x']);
});

describe("a limit", () => {
  test.each([
    [274, [0, 0]],
    [275, [0, 0]],
    [276, [1, 0]],
    [277, [1, 1]],
  ])("of %i counts what stands in field and crowd together", async (limit, replies) => {
    await crowdOf("x", "y");
    expect(await add(["new1", "new2"], { limit })).toEqual(replies);
    const written = ["new1", "new2"].filter((_, i) => replies[i] === 1);
    expect(await crowd()).toEqual([...written, "x", "y"].map((ref) => ALICE + ref));
    expect(await t.db.exists("new1", "new2")).toBe(written.length);
  });

  test("lets a session in for each that has ended, be it of the field or of the crowd", async () => {
    await crowdOf("x", "y");
    for (const ref of ["x", FIELD[7] as string]) {
      expect(await add(["new"], { limit: 275 })).toBe(0);
      await end(ref);
      expect(await add(["new"], { limit: 275 })).toBe(1);
      await end("new");
      await add([`instead-of-${ref}`]);
    }
  });

  test("counts a session of the crowd once, also after it was used when there was room in the field", async () => {
    await crowdOf("x", "y");
    await end(FIELD[0] as string);
    await use("x");
    expect((await readOwners(t.db, "")).sort()).toEqual([...FIELD.slice(1), "x", "y"].map((ref) => ALICE + ref).sort());
    expect(await add(["new"], { limit: 274 })).toBe(0);
    expect(await add(["new"], { limit: 275 })).toBe(1);
  });
});

describe("ending sessions", () => {
  test("takes each out of where it stands, and the user goes with the last of the crowd", async () => {
    await crowdOf("x", "y");
    await end("x");
    expect(await field()).toBe(`+${FULL}`);
    expect(await crowd()).toEqual(['"alice"y']);
    await inChunks(FIELD, (refs) => end(...refs));
    expect(await field()).toBe("+\n");
    expect(await crowd()).toEqual(['"alice"y']);
    expect(await t.db.zrange("users", "0", "-1")).toEqual([ALICE]);
    await end("y");
    expect(await t.db.dbsize()).toBe(0);
  });

  test("takes each out of where it stands, and the user goes with the last of the field", async () => {
    await crowdOf("x", "y");
    await end("x", "y");
    expect(await t.db.exists("user-sessions-overflow")).toBe(0);
    const [last = "", ...rest] = FIELD;
    await inChunks(rest, (refs) => end(...refs));
    expect(await readOwners(t.db, "")).toEqual([ALICE + last]);
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
  ])("leaves nothing, from both in one run: %s", async (_name, work) => {
    await crowdOf("x", "y");
    await inChunks(FIELD.slice(2), work);
    expect((await readOwners(t.db, "")).sort()).toEqual(
      [...FIELD.slice(0, 2), "x", "y"].map((ref) => ALICE + ref).sort(),
    );
    await work(["y", ...FIELD.slice(0, 2), "x"]);
    expect(await t.db.dbsize()).toBe(0);
  });

  test.each([
    ["of the crowd", (refs: readonly string[]) => refs.toReversed()],
    ["of the field", (refs: readonly string[]) => [...refs]],
  ])("leaves nothing of a user who gets new sessions meanwhile, beginning with those %s", async (_where, order) => {
    await crowdOf("x", "y");
    const refs = order([...FIELD, "x", "y"]);
    await end(...refs.slice(0, 10));
    await add(["new1", "new2"]);
    await inChunks(refs.slice(10), (some) => end(...some));
    expect((await readOwners(t.db, "")).sort()).toEqual(['"alice"new1', '"alice"new2']);
    await end("new1", "new2");
    expect(await t.db.dbsize()).toBe(0);
  });

  test.each([
    ["get", (ref: string) => use(ref)],
    ["update", (ref: string) => t.runOne(update, [...INDEX, ref], [...BOUNDS, ref, "", 9000, 50, ""])],
    ["replace", (ref: string) => t.run(replace, [...INDEX, ref], [ref, ALICE, 9000, 100, "any", textFor(ALICE)])],
    ["sweep", (ref: string) => t.run(sweep, [...INDEX, ref], [ALICE, ref])],
    ["create, once more", (ref: string) => add([ref])],
  ])("leaves nothing of one of the crowd that was written anew when there was room: %s", async (_name, work) => {
    await crowdOf("x");
    await end(FIELD[0] as string);
    await work("x");
    expect((await readOwners(t.db, "")).filter((entry) => entry.endsWith('"x'))).toEqual(['"alice"x']);
    await end("x");
    expect((await readOwners(t.db, "")).sort()).toEqual(
      FIELD.slice(1)
        .map((ref) => ALICE + ref)
        .sort(),
    );
    await inChunks(FIELD.slice(1), (refs) => end(...refs));
    expect(await t.db.dbsize()).toBe(0);
  });

  test("ends none of the crowd of neighbours, and takes theirs for none of the user's", async () => {
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
    expect((await crowd()).sort()).toEqual(neighbours.map((id) => `${id}x`).sort());
  });
});

describe("moving sessions", () => {
  test("rotate gives one of the crowd its new ref", async () => {
    await crowdOf("x");
    expect(await t.run(rotate, [...INDEX, "x", "new"], ["x", "new", 0, 10_000])).toBe(1);
    expect(await field()).toBe(`+${FULL}`);
    expect(await crowd()).toEqual(['"alice"new']);
  });

  test("rotate gives one of a full field its new ref", async () => {
    await crowdOf("x");
    const [first = "", ...rest] = FIELD;
    expect(await t.run(rotate, [...INDEX, first, "new"], [first, "new", 0, 10_000])).toBe(1);
    expect((await readOwners(t.db, "")).sort()).toEqual([...rest, "new", "x"].map((ref) => ALICE + ref).sort());
    await inChunks([...rest, "new", "x"], (refs) => end(...refs));
    // The mark of the old ref.
    expect(await t.db.keys("*")).toEqual([first]);
  });

  test("update gives one of the crowd to another user, and the last one, too", async () => {
    await crowdOf("x", "y");
    await inChunks(FIELD, (refs) => end(...refs));
    const give = (ref: string) => t.runOne(update, [...INDEX, ref], [...BOUNDS, ref, '"bob"', 6000, 100, changes([])]);
    await give("x");
    expect(await t.db.hgetall("user-sessions")).toEqual({ [ALICE]: "+\n", '"bob"': "\nx\n" });
    expect(await crowd()).toEqual(['"alice"y']);
    await give("y");
    expect(await t.db.hgetall("user-sessions")).toEqual({ '"bob"': "\nx\ny\n" });
    expect(await t.db.zrange("users", "0", "-1")).toEqual(['"bob"']);
    expect(await t.db.exists("user-sessions-overflow")).toBe(0);
    expect(await readFields(t.db, "y")).toMatchObject({ id: '"bob"' });
  });

  test("update takes one into the crowd of a user whose field is full", async () => {
    await crowdOf();
    await plant(t.db, { ref: "x", id: '"bob"' });
    expect(await t.runOne(update, [...INDEX, "x"], [...BOUNDS, "x", ALICE, 6000, 100, ""])).toBe(1);
    expect(await t.db.hgetall("user-sessions")).toEqual({ [ALICE]: `+${FULL}` });
    expect(await crowd()).toEqual(['"alice"x']);
  });

  test("one that changes hands to and fro in a run stands where it went last", async () => {
    await crowdOf("x");
    const turns = ['"bob"', ALICE, '"bob"', ALICE];
    const args = turns.flatMap((id) => ["x", id, 6000, 100, ""]);
    expect(await t.run(update, [...INDEX, ...turns.map(() => "x")], [...BOUNDS, ...args])).toEqual([1, 1, 1, 1]);
    expect(await t.db.hgetall("user-sessions")).toEqual({ [ALICE]: `+${FULL}` });
    expect(await crowd()).toEqual(['"alice"x']);
    expect(await t.db.zrange("users", "0", "-1")).toEqual([ALICE]);
  });
});

describe.each([
  ["the field", () => Promise.resolve(), ""],
  ["the crowd", () => crowdOf(), "+"],
])("refs that are alike, in %s", (_where, prepare, mark) => {
  const refs = async () => (await readOwners(t.db, "")).map((entry) => entry.slice(ALICE.length));
  const others = mark === "+" ? FIELD : [];

  test.each([
    ["the end", "b", "ab"],
    ["the beginning", "a", "ab"],
    ["the middle", "b", "abc"],
    ["a pattern", "a-c", "aac"],
    ["another pattern", "%a", "xa"],
  ])("one that is %s of another is not mistaken for it", async (_part, short, long) => {
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

  test("one that is the end of another, and not there, takes nothing along", async () => {
    await prepare();
    await add(["ab"]);
    await plant(t.db, { ref: "b", id: '"bob"' });
    await t.run(killMany, [...INDEX, "active", "b"], [0, ALICE, 1, "b"]);
    expect((await readOwners(t.db, "")).sort()).toEqual(
      [...[...others, "ab"].map((ref) => ALICE + ref), '"bob"b'].sort(),
    );
  });
});

test("a crowd that was lost leaves no user behind whose field is empty", async () => {
  await crowdOf("x");
  await inChunks(FIELD.slice(1), (refs) => end(...refs));
  await t.db.del("user-sessions-overflow");
  await end(FIELD[0] as string);
  expect(await t.db.exists("user-sessions", "users")).toBe(0);
});

test("what was lost comes again with the use of each session, and goes with its end", async () => {
  await crowdOf("x", "y");
  await t.db.del("user-sessions");
  for (const ref of ["x", FIELD[0] as string, "y"]) await use(ref);
  expect((await readOwners(t.db, "")).sort()).toEqual([FIELD[0], "x", "y"].map((ref) => ALICE + ref).sort());
  await end("x", FIELD[0] as string, "y");
  expect(await t.db.exists("user-sessions", "users", "user-sessions-overflow")).toBe(0);
});
