import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions, type Session } from "../../src/index.js";
import { withCookie } from "../express-session/support/stores.js";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";

const t = useEngine();
const app = "webapp";
const d = { role: "editor" };
const big = "x".repeat(300_000);

const sessionsOf = async (id = "alice") => (await t.rs.soid({ app, id })).sessions;
const rolesOf = (sessions: readonly Session[]) => sessions.map((session) => session.d?.role);

/** An engine that does something else after it has read the user's index entries, the first time. */
function engineThat(interrupt: () => Promise<unknown>): RedisSessions {
  const client = t.redis.client();
  const rs = new RedisSessions({ client, wipe: 0 });
  const hget = client.hget.bind(client);
  let done = false;
  client.hget = (async (...args: Parameters<typeof hget>) => {
    const field = await hget(...args);
    if (!done) {
      done = true;
      await interrupt();
    }
    return field;
  }) as never;
  return rs;
}

test("merges the data into every session of the user, and returns how many", async () => {
  await t.create({ d: { role: "reader", a: 1 } });
  await t.create({ d: { old: 1 } });
  await t.create({ d: { big } });
  await t.create({ id: "bob" });
  expect(await t.rs.setAll({ app, id: "alice", d: { role: "editor", old: null } })).toEqual({ set: 3 });
  const sessions = await sessionsOf();
  expect(rolesOf(sessions)).toEqual(["editor", "editor", "editor"]);
  expect(sessions.map(({ w }) => w)).toEqual([2, 2, 2]);
  expect(sessions.map((session) => Object.keys(session.d ?? {}).sort())).toEqual([
    ["big", "role"],
    ["role"],
    ["a", "role"],
  ]);
  expect(rolesOf(await sessionsOf("bob"))).toEqual([undefined]);
});

test("does not count as the user's activity", async () => {
  for (const data of [{ a: 1 }, { big }]) {
    const { ref } = await t.create({ ttl: 100, d: data });
    await t.db.setrange(`rs:{${app}}:s:${ref}`, 0, `${Date.now() - 60_000}`);
    await t.db.pexpire(`rs:{${app}}:s:${ref}`, 40_000);
  }
  const index = async () => {
    const entries = Object.entries(await dump(t.db));
    return entries.filter(([key]) => !key.includes(":s:"));
  };
  const before = await index();
  expect(await t.rs.setAll({ app, id: "alice", d })).toEqual({ set: 2 });
  expect(await index()).toEqual(before);
  for (const { ref, idle } of await sessionsOf()) {
    expect(idle).toBe(60);
    expect(await t.db.pttl(`rs:{${app}}:s:${ref}`)).toBeLessThanOrEqual(40_000);
  }
});

test("returns 0 and writes nothing if the user has no session", async () => {
  expect(await t.rs.setAll({ app, id: "nobody", d })).toEqual({ set: 0 });
  expect(await t.db.dbsize()).toBe(0);
});

test("needs two commands for a user with few sessions", async () => {
  for (let i = 0; i < 5; i++) await t.create();
  await t.rs.setAll({ app, id: "alice", d });
  expect(await t.redis.watch(() => t.rs.setAll({ app, id: "alice", d }))).toHaveLength(2);
});

test("reaches all sessions of a user who has more than one page of them", async () => {
  await Promise.all(Array.from({ length: 800 }, () => t.create()));
  expect(await t.rs.setAll({ app, id: "alice", d })).toEqual({ set: 800 });
  expect(new Set(rolesOf(await sessionsOf()))).toEqual(new Set(["editor"]));
});

describe("while other calls run", () => {
  test.each([0, 10])("reaches a session that is rotated with a grace of %i seconds", async (grace) => {
    const { token } = await t.create();
    await t.create();
    const rs = engineThat(() => t.rs.rotate({ app, token, grace }));
    expect(await rs.setAll({ app, id: "alice", d })).toEqual({ set: 2 });
    expect(rolesOf(await sessionsOf())).toEqual(["editor", "editor"]);
  });

  test("reaches all sessions that are rotated again and again", async () => {
    const tokens = (await Promise.all(Array.from({ length: 20 }, () => t.create()))).map(({ token }) => token);
    const rotating = tokens.map(async (first) => {
      for (let token = first, i = 0; i < 5; i++) token = (await t.rs.rotate({ app, token, grace: 0 }))?.token as string;
    });
    await new RedisSessions({ client: t.redis.client(), wipe: 0 }).setAll({ app, id: "alice", d });
    await Promise.all(rotating);
    expect(rolesOf(await sessionsOf())).toEqual(tokens.map(() => "editor"));
  });

  test("revives no session that is ended, does not count it, and removes its index entries", async () => {
    const { ref } = await t.create();
    await t.create();
    // An eviction leaves the entries.
    const rs = engineThat(() => t.db.del(`rs:{${app}}:s:${ref}`));
    expect(await rs.setAll({ app, id: "alice", d })).toEqual({ set: 1 });
    expect(await t.rs.get({ app, ref })).toBeNull();
    const { problems } = await readStored(t.db, app);
    expect(problems).toEqual([]);
    expect(await t.db.hget(`rs:{${app}}:user-sessions`, '"alice"')).not.toContain(ref);
  });

  test("ends although sessions are created all the time", async () => {
    const client = t.redis.client();
    const rs = new RedisSessions({ client, wipe: 0 });
    const hget = client.hget.bind(client);
    let passes = 0;
    client.hget = (async (...args: Parameters<typeof hget>) => {
      const field = await hget(...args);
      passes++;
      // The listed session ends, and another one appears.
      await t.rs.killsoid({ app, id: "alice" });
      await t.create();
      return field;
    }) as never;
    await t.create();
    expect(await rs.setAll({ app, id: "alice", d })).toEqual({ set: 0 });
    expect(passes).toBe(10);
  });
});

test("changes the others if the data of one session would be too large, and then throws", async () => {
  const rs = new RedisSessions({ client: t.db, wipe: 0, maxKeys: 3 });
  for (const data of [{ a: 1, b: 1, c: 1 }, { a: 1 }, { a: 1, b: 1, c: 1 }, { a: 1 }]) await t.create({ d: data });
  await expect(rs.setAll({ app, id: "alice", d })).rejects.toMatchObject({
    name: "invalidValue",
    message: "The session's data would have more than 3 keys",
  });
  expect(rolesOf(await sessionsOf()).filter((role) => role === "editor")).toHaveLength(2);
});

test("leaves the sessions of RedisStore alone", async () => {
  const store = new RedisStore({ rs: t.rs, app });
  await store.set("sid", withCookie({ userId: "alice" }) as never);
  await t.create();
  expect(await t.rs.setAll({ app, id: "alice", d })).toEqual({ set: 1 });
  expect(await store.get("sid")).not.toHaveProperty("role");
});
