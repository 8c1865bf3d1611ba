import { afterEach, describe, expect, test, vi } from "vitest";
import { useEngine } from "../support/engine.js";
import { editFields, readFields } from "../support/session-text.js";

const t = useEngine();
const app = "webapp";

afterEach(() => void vi.restoreAllMocks());

/** Moves this process's clock ahead, but not Redis's. */
function later(seconds: number): void {
  const now = Date.now() + seconds * 1000;
  vi.spyOn(Date, "now").mockReturnValue(now);
}

test("returns the session by token and by ref", async () => {
  const { token, ref } = await t.create({ d: { cart: 3 } });
  const byToken = await t.rs.get({ app, token, touch: false });
  expect(byToken).toMatchObject({ ref, id: "alice", d: { cart: 3 } });
  expect(await t.rs.get({ app, ref, touch: false })).toEqual(byToken);
});

test("never returns a token", async () => {
  const { token } = await t.create({ d: { cart: 3 } });
  expect(JSON.stringify(await t.rs.get({ app, token }))).not.toContain(token);
});

test.each([
  ["a token of nobody", { app, token: "x".repeat(64) }],
  ["a ref of nobody", { app, ref: "x".repeat(27) }],
])("returns null for %s", async (_what, which) => {
  await t.create();
  expect(await t.rs.get(which)).toBeNull();
});

test("returns null for a token of another app", async () => {
  const { token, ref } = await t.create();
  expect(await t.rs.get({ app: "other", token })).toBeNull();
  expect(await t.rs.get({ app: "other", ref })).toBeNull();
});

test("returns the number of reads, counting from 1", async () => {
  const { token, ref } = await t.create();
  expect((await t.rs.get({ app, token }))?.r).toBe(1);
  expect((await t.rs.get({ app, ref }))?.r).toBe(2);
  expect(await t.rs.get({ app, token })).toMatchObject({ r: 3, w: 1 });
});

test("returns the idle time since the last use, and resets it", async () => {
  const { token } = await t.create();
  later(5);
  expect((await t.rs.get({ app, token }))?.idle).toBe(5);
  expect((await t.rs.get({ app, token }))?.idle).toBe(0);
});

test("returns no negative idle time when the clock of the server is behind", async () => {
  const { token } = await t.create();
  later(-60);
  expect((await t.rs.get({ app, token, touch: false }))?.idle).toBe(0);
});

test("prolongs the session", async () => {
  const { token, ref } = await t.create({ ttl: 100 });
  await t.db.pexpire(`rs:{webapp}:s:${ref}`, 20_000);
  later(80);
  await t.rs.get({ app, token });
  expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeGreaterThan(95_000);
});

describe("with touch: false", () => {
  test("changes nothing in Redis", async () => {
    const { token, ref } = await t.create({ ttl: 100 });
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 20_000);
    const before = await readFields(t.db, `rs:{webapp}:s:${ref}`);
    later(80);
    expect((await t.rs.get({ app, token, touch: false }))?.idle).toBe(80);
    expect(await readFields(t.db, `rs:{webapp}:s:${ref}`)).toEqual(before);
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(20_000);
    expect(await t.rs.activity({ app, dt: 70 })).toEqual({ activity: 0 });
  });

  test("returns null if the session does not exist", async () => {
    expect(await t.rs.get({ app, token: "x".repeat(64), touch: false })).toBeNull();
  });
});

describe("a no_resave session", () => {
  test("returns the remaining seconds as ttl and does not prolong the session", async () => {
    const { token, ref } = await t.create({ ttl: 100, no_resave: true });
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 70_000);
    later(30);
    expect(await t.rs.get({ app, token })).toMatchObject({ ttl: 70, no_resave: true, idle: 30 });
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(70_000);
  });

  test("returns no negative ttl when the clock of the server is ahead", async () => {
    const { token } = await t.create({ ttl: 10, no_resave: true });
    later(3600);
    expect((await t.rs.get({ app, token }))?.ttl).toBe(0);
  });
});

test("writes nothing for a session that does not exist", async () => {
  await t.rs.get({ app, token: "x".repeat(64) });
  expect(await t.db.dbsize()).toBe(0);
});

test("counts every one of concurrent reads, also when they prolong the session", async () => {
  const { ref, token } = await t.create();
  for (const [idle, r] of [
    [0, "11"],
    [60_000, "21"],
  ] as const) {
    await editFields(t.db, `rs:{webapp}:s:${ref}`, { la: Date.now() - idle });
    await Promise.all(Array.from({ length: 10 }, () => t.rs.get({ app: "webapp", token })));
    expect((await readFields(t.db, `rs:{webapp}:s:${ref}`)).r).toBe(r);
  }
});
