import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();

test("create ends the replaced session", async () => {
  const old = await t.create();
  const { token } = await t.create({ id: "bob", replaces: old.token });
  expect(await t.rs.get({ app: "webapp", token: old.token })).toBeNull();
  expect((await t.rs.get({ app: "webapp", token }))?.id).toBe("bob");
  expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toEqual([]);
});

test("keeps the replaced session when the input is refused", async () => {
  const old = await t.create();
  for (const bad of [{ id: "" }, { ip: "" }, { ttl: 1 }, { d: {} }, { device: "" }, { maxPerUser: 0 }]) {
    await expect(t.create({ ...bad, replaces: old.token })).rejects.toThrow(/supplied|Invalid|must/);
  }
  await expect(t.create({ replaces: "no token" })).rejects.toThrow("Invalid token format");
  expect(await t.rs.get({ app: "webapp", token: old.token })).not.toBeNull();
});

test("does not count the replaced session towards the limit", async () => {
  const old = await t.create();
  const { token } = await t.create({ replaces: old.token, maxPerUser: 1, overflow: "reject" });
  expect(await t.rs.get({ app: "webapp", token })).not.toBeNull();
});

describe("when the limit refuses the new session", () => {
  const limits = { maxPerUser: 2, overflow: "reject" } as const;
  const rejected = { name: "tooManySessions" };

  test("keeps the replaced session, a guest's or the user's own", async () => {
    const [guest, first] = [await t.create({ id: "guest" }), await t.create({ id: "bob" })];
    await t.create({ id: "bob" });
    await expect(t.create({ id: "bob", ...limits, replaces: guest.token })).rejects.toMatchObject(rejected);
    await t.create({ id: "bob" });
    await expect(t.create({ id: "bob", ...limits, replaces: first.token })).rejects.toMatchObject(rejected);
    for (const { token } of [guest, first]) expect(await t.rs.get({ app: "webapp", token })).not.toBeNull();
  });

  test("of two guests who sign in as one at once, one does, and the other keeps their session", async () => {
    const guests = [await t.create({ id: "guest:1" }), await t.create({ id: "guest:2" })];
    const one = { id: "bob", maxPerUser: 1, overflow: "reject" } as const;
    const logins = await Promise.allSettled(guests.map(({ token }) => t.create({ ...one, replaces: token })));
    expect(logins.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    for (const [i, { token }] of guests.entries()) {
      const left = await t.rs.get({ app: "webapp", token });
      expect(left?.id).toBe(logins[i]?.status === "rejected" ? `guest:${i + 1}` : undefined);
    }
  });

  test("a replaced session that was rotated before is not counted", async () => {
    const old = await t.create();
    await t.create();
    await t.rs.rotate({ app: "webapp", token: old.token });
    await t.create({ ...limits, replaces: old.token });
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(2);
  });

  test("a replaced session that does not exist makes no room", async () => {
    await t.create();
    await t.create();
    await expect(t.create({ ...limits, replaces: "x".repeat(64) })).rejects.toMatchObject(rejected);
  });
});

test("the constructor refuses an undefined client, which would silently connect to this machine", () => {
  const options = { client: undefined } as unknown as { client: typeof t.db };
  expect(() => new RedisSessions(options)).toThrow("client is undefined");
});

test("both parts of the call share one deadline", async () => {
  const client = t.redis.client();
  const rs = new RedisSessions({ client, wipe: 0, timeout: 300 });
  const old = await rs.create({ app: "webapp", id: "alice", ip: "::1" });
  // On its way to Redis each script takes two thirds of the deadline.
  const evalsha = client.evalsha.bind(client) as (...args: unknown[]) => Promise<unknown>;
  vi.spyOn(client, "evalsha").mockImplementation(async (...args: unknown[]) => {
    await sleep(200);
    return evalsha(...args);
  });
  const call = rs.create({ app: "webapp", id: "bob", ip: "::1", replaces: old.token });
  await expect(call).rejects.toMatchObject({ name: "timeout" });
});
