import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const HOUR = 3_600_000;

describe("create with actor", () => {
  test("returns the actor in get and in every list", async () => {
    const { token } = await t.create({ actor: "carol" });
    await t.create({ id: "bob" });
    expect(await t.rs.get({ app, token })).toMatchObject({ id: "alice", actor: "carol", no_resave: true, ttl: 3600 });
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toMatchObject([{ actor: "carol" }]);
    const { sessions } = await t.rs.soapp({ app, dt: 60 });
    expect(sessions.map(({ id, actor }) => [id, actor]).sort()).toEqual([
      ["alice", "carol"],
      ["bob", undefined],
    ]);
    for await (const { id, actor } of t.rs.sessions({ app, dt: 60 })) expect(actor === "carol").toBe(id === "alice");
  });

  test("ends after an hour, or after ttl, whatever is done with it", async () => {
    for (const [options, life] of [
      [{}, HOUR],
      [{ ttl: 600 }, 600_000],
      [{ ttl: 7200 }, 2 * HOUR],
      [{ absolute: 60 }, 60_000],
    ] as const) {
      const { token, ref } = await t.create({ actor: "carol", ...options });
      const key = `rs:{webapp}:s:${ref}`;
      expect(await t.db.pttl(key)).toBeGreaterThan(life - 10_000);
      expect(await t.db.pttl(key)).toBeLessThanOrEqual(life);
      // Pretend that the last use was a minute ago, so that the next uses would touch the session.
      await t.db.set(key, `${await t.db.get(key)}`.replace(/^\d+/, `${Date.now() - 60_000}`), "PX", 5_000);
      await t.rs.get({ app, token });
      await t.rs.set({ app, token, d: { a: 1 } });
      await t.rs.rotate({ app, token });
      const { sessions } = await t.rs.soid({ app, id: "alice" });
      expect(sessions).toMatchObject([{ actor: "carol", d: { a: 1 } }]);
      expect(await t.db.pttl(`rs:{webapp}:s:${sessions[0]?.ref}`)).toBeLessThanOrEqual(5_000);
      await t.rs.killall({ app });
    }
  });

  test("takes an integer as its text, and any characters of an id", async () => {
    for (const [actor, text] of [
      [42, "42"],
      ['a "b"\n c=d %20 ü 😀', 'a "b"\n c=d %20 ü 😀'],
      ["\u0001".repeat(128), "\u0001".repeat(128)],
      ["漢".repeat(128), "漢".repeat(128)],
    ] as const) {
      // The header is at its longest: scripts must still find all of it.
      const id = "\u0001".repeat(128);
      const { token, ref } = await t.create({ id, actor, ip: "\u0001".repeat(39), device: "\u0001".repeat(64) });
      expect(await t.rs.get({ app, token })).toMatchObject({ id, actor: text });
      expect(await t.rs.rotate({ app, token, grace: 0 })).not.toBeNull();
      expect((await t.rs.soid({ app, id })).sessions).toMatchObject([{ actor: text }]);
      await t.rs.wipe();
      expect(await t.rs.killsoid({ app, id })).toEqual({ kill: 1 });
      expect(await t.rs.get({ app, ref })).toBeNull();
    }
  });

  test("leaves the user's other sessions alone, and killsoid ends it with them", async () => {
    const own = await t.create();
    const { token } = await t.create({ actor: "carol" });
    expect(await t.rs.get({ app, token: own.token })).not.toHaveProperty("actor");
    expect(await t.rs.killsoid({ app, id: "alice" })).toEqual({ kill: 2 });
    expect(await t.rs.get({ app, token })).toBeNull();
  });

  test("refuses to replace an impersonated session by another one", async () => {
    const { token } = await t.create({ actor: "carol" });
    const again = t.create({ id: "bob", actor: "alice", replaces: token });
    await expect(again).rejects.toMatchObject({ name: "impersonated", code: "ERR_IMPERSONATED", status: 403 });
    expect((await t.rs.soid({ app, id: "bob" })).sessions).toEqual([]);
    expect(await t.rs.get({ app, token })).toMatchObject({ actor: "carol" });
    // A sign-in with the user's own password replaces it.
    await t.create({ id: "bob", replaces: token });
    expect(await t.rs.get({ app, token })).toBeNull();
  });

  test("replaces the actor's own session", async () => {
    const { token } = await t.create({ id: "carol" });
    const { ref } = await t.create({ actor: "carol", replaces: token });
    expect(await t.rs.get({ app, token })).toBeNull();
    expect(await t.rs.get({ app, ref })).toMatchObject({ id: "alice", actor: "carol" });
  });

  test("refuses no_resave: false, and a malformed actor", async () => {
    await expect(t.create({ actor: "carol", no_resave: false })).rejects.toMatchObject({
      name: "invalidValue",
      message: "A session with actor is never prolonged: leave out no_resave",
    });
    for (const actor of ["", "a".repeat(129), "\ud800", 1.5, {}]) {
      await expect(t.create({ actor: actor as string })).rejects.toThrow(/actor/);
    }
    expect(await t.db.dbsize()).toBe(0);
    const { token } = await t.create({ actor: null as never });
    expect(await t.rs.get({ app, token })).not.toHaveProperty("actor");
  });
});

describe("an impersonated session", () => {
  test("cannot be confirmed: the user was not there", async () => {
    const { token, ref } = await t.create({ actor: "carol" });
    const before = await t.db.get(`rs:{webapp}:s:${ref}`);
    await expect(t.rs.confirm({ app, token })).rejects.toMatchObject({ name: "impersonated", status: 403 });
    expect(await t.db.get(`rs:{webapp}:s:${ref}`)).toBe(before);
  });

  test("has a fixed actor: calls that pass another one are refused", async () => {
    const { token } = await t.create({ actor: "carol" });
    const session = await t.rs.get({ app, token });
    expect(await t.rs.kill({ app, ref: `${session?.ref}`, actor: "dave" } as never).catch((e) => e)).toMatchObject({
      name: "invalidValue",
    });
    expect(await t.rs.kill({ app, ...session } as never)).toEqual({ kill: 1 });
  });
});

test("touch gives an impersonated session no other ttl", async () => {
  const { token, ref } = await t.rs.create({ app, id: "alice", ip: "203.0.113.7", actor: "carol" });
  const left = await t.db.pttl(`rs:{webapp}:s:${ref}`);
  await expect(t.rs.touch({ app, token, ttl: 86_400 })).rejects.toMatchObject({ name: "impersonated" });
  expect(await t.rs.touch({ app, token })).toMatchObject({ actor: "carol", ttl: expect.any(Number) });
  expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(left);
});
