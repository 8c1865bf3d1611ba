import { describe, expect, test } from "vitest";
import type { Created } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";

const t = useEngine();
const app = "webapp";

async function rotate(token: string, grace?: number): Promise<Created> {
  const rotated = await t.rs.rotate({ app, token, ...(grace !== undefined && { grace }) });
  if (rotated === null) throw new Error("there is nothing to rotate");
  return rotated;
}

test("returns a new token and ref of the same session", async () => {
  const old = await t.create({ d: { cart: 3 }, device: "Firefox", ttl: 99 });
  const before = await t.rs.get({ app, token: old.token, touch: false });
  const rotated = await rotate(old.token);
  expect(Object.keys(rotated).sort()).toEqual(["ref", "token"]);
  expect(rotated.token).toMatch(/^[A-Za-z0-9]{64}$/);
  expect(rotated.token).not.toBe(old.token);
  expect(await t.rs.get({ app, token: rotated.token, touch: false })).toEqual({ ...before, ref: rotated.ref });
});

test("returns null for an unknown token and writes nothing", async () => {
  expect(await t.rs.rotate({ app, token: "x".repeat(64) })).toBeNull();
  expect(await t.db.dbsize()).toBe(0);
});

test("returns null for a token that was killed, and for one of another app", async () => {
  const { token } = await t.create();
  expect(await t.rs.rotate({ app: "other", token })).toBeNull();
  await t.rs.kill({ app, token });
  expect(await t.rs.rotate({ app, token })).toBeNull();
  expect((await readStored(t.db, app)).entries).toBe(0);
});

test("returns null for a token that was rotated before, whatever grace it has", async () => {
  const { token } = await t.create();
  const rotated = await rotate(token);
  expect(await t.rs.rotate({ app, token })).toBeNull();
  expect((await t.rs.get({ app, token: rotated.token }))?.ref).toBe(rotated.ref);
  const { token: another } = await t.create();
  await rotate(another, 0);
  expect(await t.rs.rotate({ app, token: another })).toBeNull();
});

test("updates the index, with and without grace", async () => {
  const { token } = await t.create();
  await t.create({ id: "bob" });
  await rotate((await rotate(token)).token, 0);
  const stored = await readStored(t.db, app);
  expect(stored.problems).toEqual([]);
  expect(stored.sessions).toHaveLength(2);
  // To the second of its refs, which has a tombstone.
  expect(stored.redirects).toHaveLength(2);
});

describe("while the old token has grace", () => {
  test.each(["token", "ref"] as const)("its %s reads and writes the session, which shows its new ref", async (by) => {
    const old = await t.create({ d: { a: 1 } });
    const { ref, token } = await rotate(old.token);
    const which = by === "token" ? { token: old.token } : { ref: old.ref };
    expect(await t.rs.get({ app, ...which })).toMatchObject({ ref, r: 1, d: { a: 1 } });
    expect(await t.rs.set({ app, ...which, d: { b: 2 } })).toMatchObject({ ref, r: 2, w: 2, d: { a: 1, b: 2 } });
    expect(await t.rs.get({ app, token })).toMatchObject({ ref, r: 2, d: { a: 1, b: 2 } });
  });

  test.each(["old", "new"] as const)("killing by the %s token ends both", async (which) => {
    const { token: old } = await t.create();
    const { token: fresh } = await rotate(old);
    expect(await t.rs.kill({ app, token: which === "old" ? old : fresh })).toEqual({ kill: 1 });
    expect(await t.rs.get({ app, token: old })).toBeNull();
    expect(await t.rs.get({ app, token: fresh })).toBeNull();
    expect(await t.rs.set({ app, token: old, d: { a: 1 } })).toBeNull();
    expect(await t.rs.kill({ app, token: old })).toEqual({ kill: 0 });
    expect((await readStored(t.db, app)).entries).toBe(0);
  });

  test("it still leads to a session that is rotated several times", async () => {
    const first = await t.create();
    let last = first;
    for (let i = 0; i < 40; i++) last = await rotate(last.token);
    expect((await t.rs.get({ app, token: first.token }))?.ref).toBe(last.ref);
    expect(await t.rs.kill({ app, token: first.token })).toEqual({ kill: 1 });
    expect(await t.rs.get({ app, token: last.token })).toBeNull();
  });

  test("the grace is ten seconds by default", async () => {
    const one = await t.create();
    await rotate(one.token);
    const two = await t.create();
    await rotate(two.token, 300);
    expect(await t.db.ttl(`rs:{webapp}:s:${one.ref}`)).toBeOneOf([9, 10]);
    expect(await t.db.ttl(`rs:{webapp}:s:${two.ref}`)).toBeOneOf([299, 300]);
  });
});

test("with a grace of 0 ends the old token at once", async () => {
  const old = await t.create();
  const { token } = await rotate(old.token, 0);
  expect(await t.rs.get({ app, token: old.token })).toBeNull();
  expect(await t.rs.kill({ app, ref: old.ref })).toEqual({ kill: 0 });
  expect(await t.rs.get({ app, token })).not.toBeNull();
});

test("a very long grace leaves no key without a TTL", async () => {
  const { token, ref } = await t.create();
  await rotate(token, 9_000_000_000_000);
  expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeGreaterThan(8_999_999_999_999_000);
});

test("refuses a grace that Redis cannot count in milliseconds, before anything is written", async () => {
  const { token } = await t.create();
  const error = await t.rs.rotate({ app, token, grace: Number.MAX_SAFE_INTEGER }).catch((error) => error);
  expect(error).toMatchObject({ name: "invalidValue" });
  expect((await readStored(t.db, app)).redirects).toEqual([]);
  expect(await t.rs.get({ app, token })).not.toBeNull();
});

test("does not prolong the session", async () => {
  const { token, ref } = await t.create({ ttl: 100 });
  await t.db.pexpire(`rs:{webapp}:s:${ref}`, 20_000);
  const rotated = await rotate(token);
  expect(await t.db.pttl(`rs:{webapp}:s:${rotated.ref}`)).toBeLessThanOrEqual(20_000);
});
