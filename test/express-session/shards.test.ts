import { describe, expect, test, vi } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { killMany } from "../../src/lua/index.js";
import { storeContract } from "../contract/store.js";
import { readShards, shardOfRef, sidIn, tagOf } from "../support/shards.js";
import { revivals } from "./support/races.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const SHARDS = 16;
const open = (options = {}) => t.store({ shards: SHARDS, ...options });
const refsOf = ({ sessions }: { sessions: { ref: string }[] }) => sessions.map(({ ref }) => ref);

storeContract("RedisStore with 16 shards", () => open());
storeContract("RedisStore with 4 shards and hashed ids", () => t.store({ shards: 4, hashIds: true }));

test("refuses shards together with an engine, which has that option", () => {
  expect(() => t.store({ rs: t.rs, app: "webapp", shards: 16 })).toThrow(
    "RedisStore: with rs, shards belongs to the engine: rs: new RedisSessions({ shards })",
  );
  expect(() => open({ shards: 5 })).toThrow(/shards must be 1, 2, 4, 8, 16 or 32/);
});

test("spreads sessions by their refs, also two stores whose prefixes differ by a dot and a number", async () => {
  const [store, other] = [open({ prefix: "my:app" }), t.store({ prefix: "my:app.3" })];
  const sids = Array.from({ length: 100 }, (_, i) => `sid${i}`);
  await Promise.all(sids.map((sid) => store.set(sid, withCookie({ userId: "alice" }))));
  await other.set("sid", withCookie({ userId: "alice" }));
  const stored = await readShards(t.db, "=my:app", SHARDS);
  expect(stored.problems.filter((problem) => !problem.startsWith("users lacks"))).toEqual([]);
  expect(stored.sessions.sort()).toEqual(sids.map((sid) => store.ref(sid)).sort());
  expect(await store.length()).toBe(100);
});

test("refuses maxPerUser, because a user's sessions are in several shards", () => {
  expect(() => open({ maxPerUser: 3 })).toThrow("RedisStore: maxPerUser does not work with shards: 16");
  expect(() => t.store({ rs: engine(), app: "webapp", maxPerUser: 3 })).toThrow("maxPerUser does not work");
  t.store({ shards: 1, maxPerUser: 3 });
});

describe("rotate", () => {
  test("chooses a new id in the same shard", async () => {
    const store = open();
    const site = await t.site({ store });
    for (let i = 0; i < 5; i++) {
      const browser = site.browser();
      await browser.get(`/login/user${i}`);
      const { sid } = browser;
      const tab = browser.copy();
      expect((await browser.get("/rotate/10")).body).toMatchObject({ rotated: true, userId: `user${i}` });
      expect(browser.sid).not.toBe(sid);
      expect(shardOfRef(store.ref(browser.sid), SHARDS)).toBe(shardOfRef(store.ref(sid), SHARDS));
      for (const one of [browser, tab]) expect((await one.get("/me")).body).toMatchObject({ userId: `user${i}` });
    }
    expect((await readShards(t.db, "sess", SHARDS)).problems).toEqual([]);
  });

  test("fails if no new id is in the same shard", async () => {
    const store = open();
    let ids = 0;
    const genid = () => sidIn(ids++ === 0 ? 3 : 5, SHARDS, ids);
    const site = await t.site({ store, genid });
    const browser = site.browser();
    await browser.get("/login/alice");
    expect((await browser.get("/rotate/10")).status).toBe(500);
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  });
});

test("setAll changes the sessions of a user in all shards", async () => {
  const store = open();
  for (let i = 0; i < 20; i++) await store.set(`sid${i}`, withCookie({ userId: "alice" }));
  expect(await store.setAll("alice", { note: "hello" } as object)).toEqual({ set: 20 });
  expect(await store.get("sid9")).toMatchObject({ note: "hello" });
});

describe("the tools", () => {
  test("find the sessions of a user in all shards, newest first, in exact parts", async () => {
    const store = open();
    const sids = Array.from({ length: 40 }, (_, i) => `sid${i}`);
    for (const sid of sids) await store.set(sid, withCookie({ userId: "alice" }));
    await Promise.all(sids.map((sid) => store.set(`bob-${sid}`, withCookie({ userId: "bob" }))));
    const { sessions } = await store.soid("alice");
    const created = sessions.map((one) => one.created);
    expect(created).toEqual([...created].sort((a, b) => b - a));
    expect(refsOf({ sessions }).sort()).toEqual(sids.map((sid) => store.ref(sid)).sort());
    const parts = [];
    for (let offset = 0; offset < 42; offset += 7)
      parts.push(...refsOf(await store.soid("alice", { offset, limit: 7 })));
    expect(parts).toEqual(refsOf({ sessions }));
    expect(refsOf(await store.soapp(60))).toHaveLength(80);
    expect(await store.killsoid("alice", { except: "sid7" })).toEqual({ kill: 39 });
    expect(refsOf(await store.soid("alice"))).toEqual([store.ref("sid7")]);
    expect(await store.length()).toBe(41);
    await store.clear();
    expect(await store.ids()).toEqual([]);
  });

  test("count a user once who has sessions in several shards", async () => {
    const store = open();
    for (let i = 0; i < 60; i++) await store.set(`sid${i}`, withCookie({ userId: `user${i % 20}` }));
    expect(await store.activity(60)).toEqual({ activity: 20 });
    expect(await engine().activity({ app: "sess", dt: 60 })).toEqual({ activity: 20 });
  });
});

const engine = () => new RedisSessions({ client: t.db, wipe: 0, shards: SHARDS });

describe("an engine on the same app", () => {
  test("lists and ends the sessions that the store has in any shard", async () => {
    const [store, rs] = [open(), engine()];
    await rs.create({ app: "sess", id: "alice", ip: "::1" });
    for (let i = 0; i < 30; i++) await store.set(`sid${i}`, withCookie({ userId: "alice" }));
    expect((await rs.soid({ app: "sess", id: "alice" })).sessions).toHaveLength(31);
    expect((await rs.soid({ app: "sess", id: "alice", limit: 10 })).sessions).toHaveLength(10);
    expect(await rs.kill({ app: "sess", ref: store.ref("sid3") })).toEqual({ kill: 1 });
    expect(await rs.killsoid({ app: "sess", id: "alice" })).toEqual({ kill: 30 });
    expect(await store.ids()).toEqual([]);
  });

  test("knows of the store's first session as soon as it is saved", async () => {
    const rs = engine();
    await rs.create({ app: "sess", id: "alice", ip: "::1" });
    await rs.killsoid({ app: "sess", id: "alice" });
    for (let shard = 0; shard < SHARDS; shard++) {
      await t.db.flushdb();
      await rs.create({ app: "sess", id: "bob", ip: "::1" });
      const store = open();
      await store.set(sidIn(shard, SHARDS), withCookie({ userId: "alice" }));
      expect(await rs.killsoid({ app: "sess", id: "alice" })).toEqual({ kill: 1 });
    }
  });

  test("bars sessions of connect-redis in all shards", async () => {
    const [store, rs] = [open(), engine()];
    // The store announces that it takes sessions over.
    expect(await store.get("nobody")).toBeNull();
    await t.redis.watch(() => store.get("nobody"));
    const sids = Array.from({ length: SHARDS }, (_, shard) => sidIn(shard, SHARDS));
    for (const sid of sids) await t.db.set(`sess:${sid}`, JSON.stringify(withCookie({ userId: "alice" })));
    await rs.killsoid({ app: "sess", id: "alice" });
    for (const sid of sids) expect(await store.get(sid)).toBeNull();
  });
});

test("killsoid of the store bars sessions of connect-redis in all shards, also with its first call", async () => {
  const sids = Array.from({ length: SHARDS }, (_, shard) => sidIn(shard, SHARDS));
  for (const sid of sids) await t.db.set(`sess:${sid}`, JSON.stringify(withCookie({ userId: "alice" })));
  await open().killsoid("alice", { except: sids[4] as string });
  const store = open();
  const found = await Promise.all(sids.map((sid) => store.get(sid)));
  expect(found.map((one) => one !== null)).toEqual(sids.map((_, i) => i === 4));
});

describe("races", () => {
  test.each(["destroy", "killsoid", "killsoid of an engine", "clear"])(
    "%s ends sessions so that requests under way do not revive them",
    async (how) => {
      const store = open();
      const site = await t.site({ store });
      const revived = await revivals(
        site,
        async ({ sid, user }) => {
          if (how === "destroy") await store.destroy(sid);
          else if (how === "killsoid") await store.killsoid(user);
          else if (how === "clear") await store.clear();
          else await engine().killsoid({ app: "sess", id: user });
        },
        5,
      );
      expect(revived).toBe(0);
    },
  );

  test("killsoid ends a copy that a request makes in a shard that was asked before", async () => {
    const store = open();
    const other = new RedisStore({ client: t.redis.client(), shards: SHARDS });
    const [from, to] = [sidIn(3, SHARDS), sidIn(5, SHARDS)];
    await store.set(from, withCookie({ userId: "alice" }));
    await store.killsoid("alice");
    await store.set(from, withCookie({ userId: "alice" }));

    // Before the session is ended, but after all shards have said which sessions they have, it is copied.
    const send = t.db.sendCommand.bind(t.db);
    let copies = 0;
    const spy = vi.spyOn(t.db, "sendCommand").mockImplementation(async (command, stream) => {
      if (copies === 0 && command.args[0] === killMany.sha) {
        copies++;
        await other.set(to, withCookie({ userId: "alice" }));
      }
      return send(command, stream);
    });
    const killed = await store.killsoid("alice");
    spy.mockRestore();
    expect(copies).toBe(1);
    expect(killed).toEqual({ kill: 2 });
    expect(await store.get(to)).toBeNull();
  });

  test("a login on one shard during killsoid is afterwards complete or completely gone", async () => {
    const store = open();
    for (let round = 0; round < 20; round++) {
      await store.set("old", withCookie({ userId: "alice" }));
      await store.set(`new${round}`, withCookie({}));
      const loaded = await store.get(`new${round}`);
      const login = store.set(`new${round}`, Object.assign(loaded as object, { userId: "alice" }) as never);
      await Promise.all([login, store.killsoid("alice")]);
      expect(await store.get("old")).toBeNull();
      const listed = refsOf(await store.soid("alice"));
      const left = await store.get(`new${round}`);
      expect(listed).toEqual(left === null ? [] : [store.ref(`new${round}`)]);
      await store.killsoid("alice");
      expect(await store.get(`new${round}`)).toBeNull();
    }
  });
});

test("a large session is staged in the slot of its shard", async () => {
  const store = open();
  const text = "x".repeat(600_000);
  const sids = Array.from({ length: 4 }, (_, shard) => sidIn(4 * shard, SHARDS));
  for (const sid of sids) await store.set(sid, withCookie({ userId: "alice", text }));
  const staged = await t.redis.watch(() => store.set(sids[2] as string, withCookie({ userId: "alice", text })));
  const keys = staged.flat().filter((key) => key.includes(":new:"));
  expect(keys.length).toBeGreaterThan(0);
  for (const key of keys)
    expect(key).toContain(`rs:{${tagOf("sess", shardOfRef(`~${sids[2]}`, SHARDS), SHARDS)}}:new:`);
  expect(await store.get(sids[2] as string)).toMatchObject({ text });
});

test("a process with another number of shards is told so by every call", async () => {
  await open().set("sid", withCookie({ userId: "alice" }));
  const wrong = { name: "redisError", message: expect.stringContaining("16 shards") };
  for (const store of [t.store({ shards: 4 }), new RedisStore({ client: t.db })]) {
    await expect(store.get("sid1")).rejects.toMatchObject(wrong);
    await expect(store.set("sid", withCookie({}))).rejects.toMatchObject(wrong);
    await expect(store.touch("sid1", withCookie({}))).rejects.toMatchObject(wrong);
    await expect(store.destroy("sid1")).rejects.toMatchObject(wrong);
    for (const call of [
      store.length(),
      store.ids(),
      store.all(),
      store.clear(),
      store.soid("alice"),
      store.soapp(60),
    ]) {
      await expect(call).rejects.toMatchObject(wrong);
    }
    await expect(store.killsoid("alice")).rejects.toMatchObject(wrong);
    await expect(store.activity(60)).rejects.toMatchObject(wrong);
  }
});
