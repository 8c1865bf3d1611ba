import { describe, expect, test } from "vitest";
import { RedisSessions, type SessionError } from "../../src/index.js";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const token = "x".repeat(64);
const ONLY_PRIMITIVES = "Only strings, numbers, boolean and null are allowed.";
const ONLY_JSON = "Only JSON values are allowed.";

function nested(options = {}): RedisSessions<object> {
  return new RedisSessions({ client: t.db, wipe: 0, nested: true, ...options });
}

/** What comes back of `d` after create, set and get. */
async function roundTrip(d: object, rs: RedisSessions<object> = t.rs as RedisSessions<object>): Promise<object[]> {
  const created = await rs.create({ app, id: "alice", ip: "::1", d });
  const first = await rs.get({ app, token: created.token });
  const bare = await rs.create({ app, id: "alice", ip: "::1" });
  const second = await rs.set({ app, token: bare.token, d });
  const third = await rs.get({ app, token: bare.token });
  return [first, second, third].map((session) => session?.d ?? {});
}

/** The error that writing `d` ends with, as JavaScript may call it. */
async function refusal(d: unknown, rs: RedisSessions<object> = t.rs as RedisSessions<object>): Promise<SessionError> {
  const errors = [
    await rs.create({ app, id: "alice", ip: "::1", d: d as object }).catch((error) => error),
    await rs.set({ app, token, d: d as object }).catch((error) => error),
  ];
  expect(await t.db.dbsize()).toBe(0);
  expect(errors[0]).toEqual(errors[1]);
  return errors[0];
}

describe("returns a value unchanged:", () => {
  test.each([
    ["a fraction", 0.1],
    ["a large number", 1e21],
    ["the largest number", Number.MAX_VALUE],
    ["the smallest number", Number.MIN_VALUE],
    ["the largest safe integer", Number.MAX_SAFE_INTEGER],
    ["an integer that Lua's cjson would round", 1234567890123456],
    ["0", 0],
    ["-0", -0],
    ["-1", -1],
    ["true", true],
    ["false", false],
    ["an empty string", ""],
    ["a string that looks like a number", "007"],
    ["a string that looks like null", "null"],
    ["a line feed", "\n"],
    ["a NUL", "\0"],
    ["separators of lines", "a\u2028b\u2029c\r\nd"],
    ["an emoji", "👩‍👩‍👧‍👦"],
    ["half a surrogate pair", "\ud83c"],
    ["a long string with line feeds and NULs", 'line\n"quoted" \\ \0 딸기\n'.repeat(10_000)],
  ])("%s", async (_what, value) => {
    for (const d of await roundTrip({ value })) {
      expect(Object.entries(d)).toHaveLength(1);
      expect(Object.is((d as { value?: unknown }).value, value)).toBe(true);
    }
  });
});

describe("returns a key unchanged:", () => {
  test.each([
    "a.b",
    "",
    " ",
    "🍓",
    "딸기",
    "\n",
    "\0",
    '"',
    "\\",
    "constructor",
    "toString",
    "d",
    "to",
    "7",
    "-0",
    "x".repeat(5000),
  ])("%j", async (key) => {
    const input = { [key]: "value", other: 1 };
    for (const d of await roundTrip(input)) expect(Object.entries(d).sort()).toEqual(Object.entries(input).sort());
  });

  test("every key can be removed by its name", async () => {
    const input = { "": 2, "a.b": 3, a: 4 };
    const created = await t.create({ d: input });
    const session = await t.rs.set({
      app,
      token: created.token,
      d: { "": null, "a.b": null },
    });
    expect(session?.d).toEqual({ a: 4 });
  });
});

test("the error for an undefined value says how to remove a key", async () => {
  expect(await refusal({ bad: undefined })).toMatchObject({ hint: "leave the key out; null removes it" });
});

describe("refuses a value that is", () => {
  test.each([
    ["NaN", Number.NaN],
    ["Infinity", Number.POSITIVE_INFINITY],
    ["-Infinity", Number.NEGATIVE_INFINITY],
    ["undefined", undefined],
    ["a function", () => "x"],
    ["a bigint", 1n],
    ["a symbol", Symbol("x")],
  ])("%s, with and without nested: true, at the top and nested", async (_what, value) => {
    const error = { name: "invalidValue", code: "ERR_INVALID_VALUE" };
    expect(await refusal({ ok: 1, bad: value })).toMatchObject({
      ...error,
      message: `d.bad has a forbidden type. ${ONLY_PRIMITIVES}`,
    });
    expect(await refusal({ bad: value }, nested())).toMatchObject({
      ...error,
      message: `d.bad has a forbidden type. ${ONLY_JSON}`,
    });
    expect(await refusal({ bad: { list: [{ deep: value }] } }, nested())).toMatchObject({
      ...error,
      message: `d.bad…deep has a forbidden type. ${ONLY_JSON}`,
    });
    expect(await refusal({ bad: [1, value] }, nested())).toMatchObject({ ...error });
    const hint = (ofUndefined: string) => (value === undefined ? ofUndefined : expect.stringMatching(/^it is .*: /));
    const hintOf = async (d: object) => (await refusal(d, nested())).hint;
    expect(await hintOf({ bad: value })).toEqual(hint("leave the key out; null removes it"));
    expect(await hintOf({ bad: [value] })).toEqual(hint("leave it out, or put null in its place"));
  });

  test.each([
    ["an array", []],
    ["an object", {}],
    ["a Date", new Date()],
    ["a Map", new Map()],
  ])("%s, without nested: true", async (_what, value) => {
    expect(await refusal({ bad: value })).toMatchObject({ message: `d.bad has a forbidden type. ${ONLY_PRIMITIVES}` });
  });

  test.each([
    ["a Map", new Map([["a", 1]])],
    ["a Set", new Set([1])],
    ["a WeakMap", new WeakMap()],
    ["a Promise", Promise.resolve(1)],
    ["a RegExp", /x/],
    ["an Error", new Error("x")],
    ["a Uint8Array", new Uint8Array(2)],
    ["an ArrayBuffer", new ArrayBuffer(2)],
  ])("%s, which JSON would change", async (_what, value) => {
    expect(await refusal({ bad: value }, nested())).toMatchObject({ name: "invalidValue" });
    expect(await refusal({ bad: { deep: value } }, nested())).toMatchObject({ name: "invalidValue" });
  });

  test("circular", async () => {
    const circle: { self?: object } = {};
    circle.self = { circle };
    expect(await refusal({ bad: circle }, nested())).toMatchObject({
      name: "invalidValue",
      message: "d.bad cannot be written as JSON: it refers to itself",
    });
  });
});

describe("with nested: true", () => {
  const d = { list: [1, [2, { three: "\n" }], null], object: { a: { b: [] }, "": {} }, text: "x" };

  test("any JSON is returned unchanged", async () => {
    for (const back of await roundTrip(d, nested())) expect(back).toEqual(d);
  });

  test("stores and measures what an object's toJSON returns; null removes the key", async () => {
    let calls = 0;
    const cart = { toJSON: () => ({ call: ++calls }) };
    const gone = { toJSON: () => null };
    const rs = nested();
    const { token } = await rs.create({ app, id: "alice", ip: "::1", d: { cart, gone } });
    expect((await rs.get({ app, token }))?.d).toEqual({ cart: { call: 1 } });
    expect((await rs.set({ app, token, d: { cart: gone } }))?.d).toBeUndefined();
  });

  test("accepts any JSON in one call if only that call has the option", async () => {
    const rs = t.rs as RedisSessions<object>;
    const created = await rs.create({ app, id: "alice", ip: "::1", d, nested: true });
    expect((await rs.set({ app, token: created.token, d: { more: [1] }, nested: true }))?.d).toEqual({
      ...d,
      more: [1],
    });
    const error = await rs.set({ app, token: created.token, d: { more: [2] } }).catch((error) => error);
    expect(error).toMatchObject({ message: `d.more has a forbidden type. ${ONLY_PRIMITIVES}` });
    expect((await rs.get({ app, token: created.token }))?.d).toMatchObject({ more: [1] });
  });

  test("refuses nested values in a call with nested: false", async () => {
    const error = await nested()
      .set({ app, token, d, nested: false })
      .catch((error) => error);
    expect(error).toMatchObject({ message: `d.list has a forbidden type. ${ONLY_PRIMITIVES}` });
  });
});

describe('the key "__proto__"', () => {
  const REFUSED = "is not allowed: code that copies the data could take it for a prototype";

  test.each([
    ["of the data", '{"__proto__":"admin"}', "d.__proto__"],
    ["of a value", '{"deep":{"__proto__":{"admin":true}}}', "d.deep…__proto__"],
    ["deep in a list", '{"deep":[{"a":[{"__proto__":1}]}]}', "d.deep…__proto__"],
  ])("%s is refused by create and set, and nothing is written", async (_where, json, path) => {
    expect(await refusal(JSON.parse(json), nested())).toMatchObject({
      name: "invalidValue",
      message: `${path} ${REFUSED}`,
      hint: "rename the key",
    });
    const { token } = await t.create({ d: { a: 1 } });
    const before = await dump(t.db);
    await expect(nested().set({ app, token, d: JSON.parse(json) })).rejects.toMatchObject({ name: "invalidValue" });
    expect(await dump(t.db)).toEqual(before);
  });

  test("stored by an earlier version is removed by null", async () => {
    const { token, ref } = await t.create({ d: { a: 1 } });
    await t.db.append(`rs:{${app}}:s:${ref}`, '\n"__proto__":1');
    expect((await t.rs.set({ app, token, d: JSON.parse('{"__proto__":null}') }))?.d).toEqual({ a: 1 });
  });
});

describe("a message about a key", () => {
  test.each([
    ["that is a line of a log", "a\nFAKE 2026 root signed in", String.raw`d["a\nFAKE 2026 root signed in"]`],
    ["that steers a terminal", "\u001b[2J\u009b1m\u202e", String.raw`d["\u001b[2J\u009b1m\u202e"]`],
    ["that is long", "x".repeat(5000), `d["${"x".repeat(40)}…"]`],
    ["that is empty", "", 'd[""]'],
  ])("quotes and cuts it: %s", async (_what, key, path) => {
    expect(await refusal({ [key]: undefined })).toMatchObject({
      message: `${path} has a forbidden type. ${ONLY_PRIMITIVES}`,
    });
    const deep = path.replace("d[", "d.list…[");
    expect(await refusal({ list: { [key]: undefined } }, nested())).toMatchObject({
      // An empty key cannot be told from the value itself.
      message: `${key === "" ? "d.list" : deep} has a forbidden type. ${ONLY_JSON}`,
    });
  });
});

describe("maxBytes", () => {
  const message = (bytes: number) => `d is larger than ${bytes} bytes`;

  test("is 1 MiB by default", async () => {
    expect(await refusal({ a: "x".repeat(1024 * 1024) })).toMatchObject({
      name: "invalidValue",
      message: message(1048576),
    });
    const [back] = await roundTrip({ a: "x".repeat(1024 * 1024 - 100) });
    expect(back).toEqual({ a: "x".repeat(1024 * 1024 - 100) });
  });

  test("refuses only the change that makes a session too large, and accepts one that makes it smaller", async () => {
    const [small, large] = [nested({ maxBytes: 100 }), nested()];
    const { ref } = await small.create({ app, id: "alice", ip: "::1", d: { a: "x".repeat(40) } });
    const other = await small.create({ app, id: "alice", ip: "::1" });
    const set = (rs: RedisSessions<object>, d: object) => rs.set({ app, ref, d }).then((session) => session?.d);
    const [grown, refused, beside] = await Promise.allSettled([
      set(small, { b: "y".repeat(40) }),
      set(small, { c: "z".repeat(40) }),
      small.set({ app, ref: other.ref, d: { c: "z".repeat(40) } }),
    ]);
    expect(grown).toMatchObject({ value: { a: "x".repeat(40), b: "y".repeat(40) } });
    expect(refused).toMatchObject({
      reason: { name: "invalidValue", message: "The session's data would be larger than 100 bytes" },
    });
    expect(beside).toMatchObject({ status: "fulfilled" });
    // Each key is written as a line feed, the key in quotation marks, a colon and the JSON.
    await expect(set(small, { b: "y".repeat(46) })).resolves.toBeDefined();
    await expect(set(small, { b: "y".repeat(47) })).rejects.toMatchObject({ name: "invalidValue" });
    await set(large, { c: "z".repeat(500) });
    expect(await set(small, { a: "x".repeat(30) })).toMatchObject({ a: "x".repeat(30) });
    await expect(set(small, { a: "x".repeat(31) })).rejects.toMatchObject({ name: "invalidValue" });
    expect(Object.keys((await set(small, { c: null })) ?? {})).toEqual(["a", "b"]);
  });

  test("counts bytes, not characters, and all keys of a call together", async () => {
    const rs = nested({ maxBytes: 100 });
    expect(await refusal({ a: "딸".repeat(34) }, rs)).toMatchObject({ message: message(100) });
    expect(await refusal({ ["k".repeat(101)]: 1 }, rs)).toMatchObject({ message: message(100) });
    expect(await refusal({ a: "x".repeat(60), b: "y".repeat(60) }, rs)).toMatchObject({ message: message(100) });
    expect(await refusal({ a: { deep: "x".repeat(101) } }, rs)).toMatchObject({ message: message(100) });
    expect(await roundTrip({ a: "x".repeat(40), b: ["y".repeat(20)] }, rs)).toHaveLength(3);
  });
});
