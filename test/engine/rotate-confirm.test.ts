import { describe, expect, test } from "vitest";
import { type Created, RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { endGrace, longAfter } from "./support/time-passes.js";

const t = useEngine();
const app = "webapp";
const key = (ref: string) => `rs:{webapp}:s:${ref}`;

async function rotate({ token }: Created, grace?: number): Promise<Created> {
  return (await t.rs.rotate({ app, token, confirm: true, ...(grace !== undefined && { grace }) })) as Created;
}

const use = ({ token }: Created) => t.rs.get({ app, token });

describe("rotate with confirm, before the new token is used", () => {
  test.each([0, 10])("keeps the old token valid after a grace of %i", async (grace) => {
    const old = await t.create({ d: { a: 1 } });
    const current = await rotate(old, grace);
    for (const pass of [async () => {}, () => endGrace(t.db, old.ref), () => longAfter(t.db, old.ref)]) {
      await pass();
      expect(await use(old)).toMatchObject({ ref: current.ref, d: { a: 1 } });
      expect(await t.rs.set({ app, token: old.token, d: { b: 2 } })).toMatchObject({ ref: current.ref });
    }
    expect(await t.rs.kill({ app, token: old.token })).toEqual({ kill: 1 });
    expect((await readStored(t.db, app)).entries).toBe(0);
  });

  test("keeps the old token valid for as long as the session would live unused, in one command more", async () => {
    const old = await t.create({ ttl: 1000 });
    await rotate(old);
    expect(await t.db.pttl(key(old.ref))).toBeGreaterThan(990_000);
    expect(await t.db.pttl(key(old.ref))).toBeLessThanOrEqual(1_000_000);
    expect(await t.redis.watch(() => use(old))).toHaveLength(2);
  });

  test("returns the same token again to everyone who rotates the old one", async () => {
    const old = await t.create();
    const first = await rotate(old);
    const again = await Promise.all(Array.from({ length: 20 }, () => rotate(old)));
    for (const one of again) expect(one).toEqual(first);
    await longAfter(t.db, old.ref);
    expect(await rotate(old)).toEqual(first);
    // Without confirm, too: the old token is valid, so it must lead to the new one.
    expect(await t.rs.rotate({ app, token: old.token })).toEqual(first);
    expect(await use(first)).toMatchObject({ id: "alice" });
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("20 calls at the same time return one token", async () => {
    const old = await t.create();
    const all = await Promise.all(Array.from({ length: 20 }, () => rotate(old)));
    expect(new Set(all.map(({ token }) => token)).size).toBe(1);
    expect(await use(all[0] as Created)).toMatchObject({ id: "alice" });
  });

  test("returns null for the old token when the session has ended", async () => {
    const old = await t.create();
    await rotate(old);
    await t.rs.killsoid({ app, id: "alice" });
    expect(await t.rs.rotate({ app, token: old.token, confirm: true })).toBeNull();
    expect(await use(old)).toBeNull();
  });

  test("killsoid keeps the session that the old token names in `except`", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await t.create();
    await longAfter(t.db, old.ref);
    expect(await t.rs.killsoid({ app, id: "alice", except: old.token })).toEqual({ kill: 1 });
    expect(await use(old)).toMatchObject({ ref: current.ref });
  });

  test("ends the session if a token before the old one is used", async () => {
    const first = await t.create();
    const old = await rotate(first);
    await use(old);
    const current = await rotate(old);
    await longAfter(t.db, first.ref, old.ref);
    expect(await use(first)).toBeNull();
    expect(await t.db.get(key(current.ref))).toBe("> reused");
    expect(await use(old)).toBeNull();
  });
});

describe("rotate with confirm, when the new token is used", () => {
  test.each([
    ["get", (token: string) => t.rs.get({ app, token })],
    ["get without touch", (token: string) => t.rs.get({ app, token, touch: false })],
    ["set", (token: string) => t.rs.set({ app, token, d: { a: 1 } })],
    ["rotate", (token: string) => t.rs.rotate({ app, token })],
  ])("by %s, starts the grace of the old token", async (_method, call) => {
    const old = await t.create();
    const current = await rotate(old, 30);
    await longAfter(t.db, old.ref);
    await call(current.token);
    expect(await t.db.pttl(key(old.ref))).toBeGreaterThan(28_000);
    expect(await t.db.pttl(key(old.ref))).toBeLessThanOrEqual(30_000);
    expect(await use(old)).toMatchObject({ id: "alice" });
    await endGrace(t.db, old.ref);
    expect(await use(old)).toBeNull();
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toHaveLength(1);
    await longAfter(t.db, old.ref);
    await use(old);
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toEqual([]);
  });

  test("ends the old token at once with a grace of 0", async () => {
    const old = await t.create();
    const current = await rotate(old, 0);
    await use(current);
    expect(await use(old)).toBeNull();
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });

  test("counts as the first use only once", async () => {
    const old = await t.create();
    const current = await rotate(old, 10);
    await Promise.all(Array.from({ length: 50 }, () => use(current)));
    await t.db.pexpire(key(old.ref), 5000);
    await use(current);
    expect(await t.db.pttl(key(old.ref))).toBeLessThanOrEqual(5000);
  });

  test("does not count if the server names the session by the new ref", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await longAfter(t.db, old.ref);
    await t.rs.set({ app, ref: current.ref, d: { role: "admin" } });
    expect(await use(old)).toMatchObject({ ref: current.ref, d: { role: "admin" } });
  });

  test("a crash between its two steps leaves both tokens valid", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await longAfter(t.db, old.ref);
    // This process reads the session, and can do no more.
    await t.db.acl("SETUSER", "dying", "on", "nopass", "+@all", "~rs:apps", "~rs:{webapp}:s:*", "~rs:{webapp}:[aeu]*");
    const dying = new RedisSessions({ client: t.redis.client({ username: "dying", password: "any" }), wipe: 0 });
    expect(await dying.get({ app, token: current.token })).not.toBeNull();
    expect(await use(old)).toMatchObject({ ref: current.ref });
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });
});

test("the salt in Redis leads to no token, and disappears when the new one is used", async () => {
  const old = await t.create();
  const current = await rotate(old);
  const [record = ""] = await t.db.keys("rs:{webapp}:family:*");
  const salt = `${await t.db.get(record)}`.split(" ")[3] as string;
  expect(salt).toMatch(/^[A-Za-z0-9]{42}$/);
  for (const token of [old.token, current.token]) expect(token).not.toContain(salt.slice(0, 8));
  await use(current);
  expect(await t.db.get(record)).toBe(current.ref);
});

test("refuses a confirm that is not a boolean", async () => {
  const { token } = await t.create();
  const refused = t.rs.rotate({ app, token, confirm: "yes" as never });
  await expect(refused).rejects.toMatchObject({ name: "invalidValue", message: "confirm must be true or false" });
});
