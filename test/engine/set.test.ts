import { expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { editFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";

test("merges key by key: writes values, removes nulls, keeps other keys", async () => {
  const { token } = await t.create({ d: { old: 1, gone: 2, kept: "x" } });
  const session = await t.rs.set({ app, token, d: { old: 9, gone: null, fresh: true, never: null } });
  expect(session?.d).toEqual({ old: 9, kept: "x", fresh: true });
  expect((await t.rs.get({ app, token }))?.d).toEqual(session?.d);
});

test("returns the new session, by token and by ref", async () => {
  const { token, ref } = await t.create({ device: "Firefox" });
  const expected = {
    ref,
    id: "alice",
    ip: "127.0.0.1",
    r: 1,
    ttl: 7200,
    idle: 0,
    created: expect.any(Number),
    expires: expect.any(Number),
    authTime: expect.any(Number),
    device: "Firefox",
  };
  expect(await t.rs.set({ app, token, d: { a: 1 } })).toEqual({ ...expected, w: 2, d: { a: 1 } });
  expect(await t.rs.set({ app, ref, d: { b: 2 } })).toEqual({ ...expected, w: 3, d: { a: 1, b: 2 } });
});

test("counts the write, not a read", async () => {
  const { token } = await t.create();
  expect(await t.rs.set({ app, token, d: { a: 1 } })).toMatchObject({ r: 1, w: 2 });
  expect(await t.rs.get({ app, token })).toMatchObject({ r: 1, w: 2 });
  expect(await t.rs.set({ app, token, d: { a: 1 } })).toMatchObject({ r: 2, w: 3 });
});

test("returns the idle time since the last use, as get does, and resets it", async () => {
  const { token, ref } = await t.create();
  await editFields(t.db, `rs:{webapp}:s:${ref}`, { la: { add: -5000 } });
  expect(await t.rs.set({ app, token, d: { a: 1 } })).toMatchObject({ idle: 5, d: { a: 1 } });
  expect(await t.rs.set({ app, token, d: { a: 2 } })).toMatchObject({ idle: 0, d: { a: 2 } });
});

test("leaves d out when the last key is removed", async () => {
  const { token } = await t.create({ d: { a: 1 } });
  expect(await t.rs.set({ app, token, d: { a: null } })).not.toHaveProperty("d");
});

test("counts a write even if it only removes keys that do not exist", async () => {
  const { token } = await t.create({ d: { a: 1 } });
  expect(await t.rs.set({ app, token, d: { never: null } })).toMatchObject({ w: 2, d: { a: 1 } });
});

test("cannot overwrite the session's own fields", async () => {
  const { token, ref } = await t.create();
  const d = { id: "mallory", r: 99, ttl: 1, la: 0, to: "x".repeat(27), ref: "y", no_resave: "1", created: 0 };
  expect(await t.rs.set({ app, token, d })).toMatchObject({ ref, id: "alice", r: 1, w: 2, ttl: 7200, d });
  expect(await t.rs.get({ app, token })).toMatchObject({ ref, id: "alice", d });
});

test("stores a data value that looks like a redirect or a separator", async () => {
  const { token } = await t.create();
  const d = { 'to\n"x"': "to\nabc", "a\nb": "\n\n", '"': '"\\"', "\\": "\\", "\\u000a": "\u000a" };
  expect((await t.rs.set({ app, token, d }))?.d).toEqual(d);
});

test.each([
  ["a token of nobody", { app, token: "x".repeat(64) }],
  ["a ref of nobody", { app, ref: "x".repeat(27) }],
])("returns null for %s and writes nothing", async (_what, which) => {
  expect(await t.rs.set({ ...which, d: { a: 1 } })).toBeNull();
  expect(await t.db.dbsize()).toBe(0);
});

test("returns null for a killed session and does not revive it", async () => {
  const { token } = await t.create();
  await t.rs.kill({ app, token });
  expect(await t.rs.set({ app, token, d: { a: 1 } })).toBeNull();
  expect(await t.rs.get({ app, token })).toBeNull();
  expect((await t.db.keys("*")).sort()).toEqual(["rs:apps", "rs:layout"]);
});

test("writes and removes thousands of keys", async () => {
  const { token } = await t.create();
  const rs = new RedisSessions({ client: t.db, wipe: 0, maxKeys: 20_000 });
  const keys = Array.from({ length: 20_000 }, (_, i) => `key${i}`);
  const full = await rs.set({ app, token, d: Object.fromEntries(keys.map((key) => [key, 1])) });
  expect(Object.keys(full?.d ?? {})).toHaveLength(20_000);
  const empty = await rs.set({ app, token, d: Object.fromEntries(keys.map((key) => [key, null])) });
  expect(empty).not.toHaveProperty("d");
});
