import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import type { RedisSessions, Session } from "../../src/index.js";

/** Makes many calls on one session, several in each round of the event loop, and checks that they keep their order. */
export async function callsInOrder(rs: RedisSessions, app = "webapp"): Promise<void> {
  const { token } = await rs.create({ app, id: "alice", ip: "::1", d: { n: -1 } });
  // The order may change while Redis lacks a script.
  await rs.set({ app, token, d: { n: -1 } });
  await rs.get({ app, token });
  const calls: Promise<Session | null>[] = [];
  for (let n = 0; n < 50; n++) {
    calls.push(rs.set({ app, token, d: { n } }), rs.get({ app, token }));
    if (n % 5 === 4) await setImmediate();
  }
  const seen = (await Promise.all(calls)).map((session) => session?.d?.n);
  expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => [n, n]).flat());
  await rs.kill({ app, token });
}

/** Calls every method of the engine once or more, to test a kind of client. Leaves no session. */
export async function everyMethod(rs: RedisSessions, app = "webapp"): Promise<void> {
  const alice = { app, id: "alice", ip: "127.0.0.1" };
  expect(await rs.ping()).toBe("PONG");

  const first = await rs.create({ ...alice, d: { cart: 3, "a.b": "line\nfeed" }, device: "Firefox", ttl: 100 });
  const session = {
    ref: first.ref,
    id: "alice",
    ip: "127.0.0.1",
    w: 1,
    ttl: 100,
    // A busy machine may take more than a second for these calls.
    idle: expect.any(Number),
    created: expect.any(Number),
    expires: expect.any(Number),
    authTime: expect.any(Number),
    device: "Firefox",
    d: { cart: 3, "a.b": "line\nfeed" },
  };
  expect(await rs.get({ app, token: first.token })).toEqual({ ...session, r: 1 });
  expect(await rs.get({ app, ref: first.ref, touch: false })).toEqual({ ...session, r: 2 });
  expect(await rs.get({ app, token: "x".repeat(64) })).toBeNull();
  expect(await rs.set({ app, token: first.token, d: { cart: null, paid: true } })).toEqual({
    ...session,
    r: 2,
    w: 2,
    d: { "a.b": "line\nfeed", paid: true },
  });
  expect(await rs.set({ app, token: "x".repeat(64), d: { a: 1 } })).toBeNull();
  expect(await rs.confirm({ app, token: first.token })).toMatchObject({ r: 2, w: 2 });
  expect(await rs.confirm({ app, token: "x".repeat(64) })).toBeNull();

  expect(await rs.touch({ app, token: first.token, ttl: 50 })).toMatchObject({
    r: 2,
    w: 2,
    ttl: 50,
    d: { paid: true },
  });
  expect(await rs.touch({ app, token: first.token })).toMatchObject({ r: 2, w: 2, ttl: 50 });
  expect(await rs.touch({ app, token: "x".repeat(64) })).toBeNull();
  expect(await rs.set({ app, ref: first.ref, d: { paid: null }, touch: false })).toMatchObject({ w: 3, ttl: 50 });

  expect(await rs.increment({ app, token: first.token, key: "n", by: 5 })).toEqual({ value: 5, applied: true });
  expect(await rs.increment({ app, ref: first.ref, key: "n", by: -7 })).toEqual({ value: -2, applied: true });
  expect(await rs.increment({ app, ref: first.ref, key: "n", max: -2 })).toEqual({ value: -2, applied: false });
  await expect(rs.increment({ app, ref: first.ref, key: "a.b" })).rejects.toMatchObject({ name: "invalidValue" });
  expect(await rs.increment({ app, token: "x".repeat(64), key: "n" })).toBeNull();

  const rotated = await rs.rotate({ app, token: first.token });
  expect((await rs.get({ app, token: first.token }))?.ref).toBe(rotated?.ref);
  expect(await rs.rotate({ app, token: first.token })).toBeNull();
  expect(await rs.rotate({ app, token: `${rotated?.token}`, grace: 0 })).not.toBeNull();

  const second = await rs.create({ ...alice, no_resave: true });
  expect(await rs.get({ app, token: second.token })).toMatchObject({ no_resave: true, ttl: 7200 });
  expect(await rs.touch({ app, token: second.token, ttl: 60 })).toMatchObject({ no_resave: true, ttl: 60 });
  const confirm = { app, token: second.token, confirm: true };
  const confirmed = await rs.rotate(confirm);
  expect(await rs.rotate(confirm)).toEqual(confirmed);
  expect((await rs.get({ app, token: `${confirmed?.token}` }))?.ref).toBe(confirmed?.ref);
  const bob = await rs.create({ ...alice, id: "bob" });
  expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(2);
  expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(3);
  expect(await rs.setAll({ app, id: "alice", d: { role: "editor" } })).toEqual({ set: 2 });
  expect(await rs.get({ app, token: second.token, touch: false })).toMatchObject({ w: 2, d: { role: "editor" } });
  expect((await rs.soapp({ app, dt: 60, offset: 1, limit: 1 })).sessions).toHaveLength(1);
  expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 2 });

  expect(await rs.killsoid({ app, id: "alice", except: `${confirmed?.token}` })).toEqual({ kill: 1 });
  expect(await rs.kill({ app, ref: bob.ref })).toEqual({ kill: 1 });
  expect(await rs.kill({ app, ref: bob.ref })).toEqual({ kill: 0 });
  expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  await rs.create(alice);
  expect(await rs.killall({ app })).toEqual({ kill: 1 });
  expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 0 });
  expect(await rs.wipe()).toEqual({ wiped: 0 });
}
