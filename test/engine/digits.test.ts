import { describe, expect, test } from "vitest";
import type { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const alice = { app, id: "alice", ip: "127.0.0.1" };

/** The engine as JavaScript calls it, for example with values of `req.query`. */
type Untyped = Record<keyof RedisSessions, (options: object) => Promise<never>>;

describe("text of digits is taken as its number for", () => {
  test("ttl, absolute and maxPerUser of create", async () => {
    const rs = t.rs as unknown as Untyped;
    await rs.create({ ...alice, ttl: "300" });
    const { token } = await rs.create({ ...alice, ttl: "0600", absolute: "900", maxPerUser: "1" });
    expect(await t.rs.get({ app, token })).toMatchObject({ ttl: 600 });
    expect((await t.rs.soid(alice)).sessions).toHaveLength(1);
  });

  test("dt and deltaTime", async () => {
    const rs = t.rs as unknown as Untyped;
    await t.create();
    expect(await rs.activity({ app, dt: "600" })).toEqual({ activity: 1 });
    expect(await rs.activity({ app, deltaTime: "600" })).toEqual({ activity: 1 });
    expect(await rs.soapp({ app, dt: "600" })).toMatchObject({ sessions: [{ id: "alice" }] });
  });

  test("limit and offset", async () => {
    const rs = t.rs as unknown as Untyped;
    for (let i = 0; i < 3; i++) await t.create();
    const { sessions } = await t.rs.soid(alice);
    expect(await rs.soid({ ...alice, limit: "1", offset: "2" })).toEqual({ sessions: sessions.slice(2) });
    expect(await rs.soapp({ app, dt: 60, limit: "2" })).toMatchObject({ sessions: [{}, {}] });
  });

  test("grace of rotate", async () => {
    const rs = t.rs as unknown as Untyped;
    const { token } = await t.create();
    await rs.rotate({ app, token, grace: "0" });
    expect(await t.rs.get({ app, token })).toBeNull();
  });

  test("ttl of touch, and by and max of increment", async () => {
    const rs = t.rs as unknown as Untyped;
    const { token } = await t.create();
    expect(await rs.touch({ app, token, ttl: "0600" })).toMatchObject({ ttl: 600 });
    expect(await rs.increment({ app, token, key: "n", by: "-5" })).toEqual({ value: -5, applied: true });
    expect(await rs.increment({ app, token, key: "n", by: "5", max: "-1" })).toEqual({ value: -5, applied: false });
  });

  test("the ttl that get, set and kill compare", async () => {
    const rs = t.rs as unknown as Untyped;
    const { token } = await t.create({ ttl: 600 });
    await expect(rs.get({ app, token, ttl: "601" })).rejects.toMatchObject({ name: "invalidValue" });
    expect(await rs.get({ app, token, ttl: "600" })).toMatchObject({ ttl: 600 });
  });
});

test("null is taken as absent for the optional options of create, as in redis-sessions", async () => {
  const rs = t.rs as unknown as Untyped;
  const none = { ttl: null, d: null, device: null, absolute: null, maxPerUser: null, overflow: null, replaces: null };
  const { token } = await rs.create({ ...alice, ...none });
  const session = await t.rs.get({ app, token });
  expect(session).toMatchObject({ ttl: 7200 });
  expect(session).not.toHaveProperty("d");
  expect(session).not.toHaveProperty("device");
});

test("the hint names the unit, and the number or the kind of another value", async () => {
  const rs = t.rs as unknown as Untyped;
  await expect(rs.activity({ app, dt: "10m" })).rejects.toMatchObject({
    message: "dt must be a positive integer >= 10",
    hint: "dt is in seconds, at most 9007199254740, not a string",
  });
  await expect(rs.create({ ...alice, ttl: 5 })).rejects.toMatchObject({
    message: "ttl must be a positive integer >= 10",
    hint: "ttl is in seconds, at most 9007199254740, not 5",
  });
  await expect(rs.activity({ app })).rejects.toMatchObject({ hint: "dt is in seconds, such as 600" });
});
