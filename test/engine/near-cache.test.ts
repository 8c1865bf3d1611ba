import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions, type RedisSessionsOptions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { heardSoFar } from "../support/heard.js";
import { startProxy, type TestProxy } from "../support/proxy.js";

const app = "webapp";
/** `t.rs` stands for another process: it announces its changes, and caches nothing. */
const t = useEngine({ events: true });
const engines: RedisSessions[] = [];
const proxies: TestProxy[] = [];
const CHANNEL = `rs:{${app}}:changes`;

/** Creates an engine with a cache. */
function cached(options: RedisSessionsOptions = {}): RedisSessions {
  const rs = new RedisSessions({ client: t.redis.client(), wipe: 0, cachetime: 30, ...options });
  engines.push(rs);
  return rs;
}

/** Creates an engine whose connections 0 (calls) and 1 (announcements) can be held. */
async function behindProxy() {
  const proxy = await startProxy(t.redis.port);
  proxies.push(proxy);
  return { proxy, engine: cached({ client: t.redis.client({ port: proxy.port }) }) };
}

let rs: RedisSessions;
beforeEach(() => {
  rs = cached();
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.quit()));
  await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
});

/** Waits until an engine has got all announcements so far. */
async function heard(engine: RedisSessions): Promise<void> {
  await vi.waitFor(() => expect(engine.cache.subscribed).toBe(true), { timeout: 5000 });
  await heardSoFar(engine, t.db, CHANNEL);
}

/** Reads a session of an engine, and checks whether it was in the cache. */
async function read(engine: RedisSessions, which: { token: string } | { ref: string }, options = {}) {
  const before = engine.cache.hits;
  const session = await engine.get({ app, ...which, ...options });
  return { session, isHit: engine.cache.hits > before };
}

/** Creates a session that is in the cache of an engine. */
async function cachedSession(engine: RedisSessions, options = {}) {
  const created = await t.create({ d: { n: 0 }, ...options });
  // The announcement of the creation would make the read unfit to be kept.
  if (engine.cache.subscribed) await heard(engine);
  await engine.get({ app, token: created.token });
  expect(await read(engine, { token: created.token })).toMatchObject({ isHit: true });
  return created;
}

const stored = (ref: string) => t.db.get(`rs:{${app}}:s:${ref}`).then((text) => text?.split("\n") ?? []);

describe("a hit", () => {
  test("sends Redis nothing", async () => {
    const { token, ref } = await cachedSession(rs);
    const commands = await t.redis.watch(async () => {
      for (let i = 0; i < 10; i++) expect((await rs.get({ app, token }))?.d).toEqual({ n: 0 });
      expect((await rs.get({ app, ref }))?.d).toEqual({ n: 0 });
    });
    expect(commands.filter(([name]) => name !== "ping")).toEqual([]);
    expect(rs.cache).toEqual({ hits: 12, misses: 1, size: 1, subscribed: true });
  });

  test("follows the first read of an app, whose subscription was not established yet", async () => {
    const { token } = await t.create();
    expect(rs.cache).toEqual({ hits: 0, misses: 0, size: 0, subscribed: false });
    expect((await rs.get({ app, token }))?.r).toBe(1);
    expect(await read(rs, { token })).toMatchObject({ isHit: true, session: { r: 1 } });
    expect((await rs.get({ app, token, fresh: true }))?.r).toBe(2);
  });

  test("is a copy that the caller may change", async () => {
    const { token } = await cachedSession(rs, { d: { n: 0, list: "a" } });
    const mine = await rs.get({ app, token });
    Object.assign(mine ?? {}, { id: "mallory" });
    Object.assign(mine?.d ?? {}, { n: 1 });
    expect(await rs.get({ app, token })).toMatchObject({ id: "alice", d: { n: 0 } });
  });

  test("has r and idle of the last read that asked Redis, and is not counted", async () => {
    const { token, ref } = await t.create();
    await sleep(1100);
    const first = await rs.get({ app, token });
    expect(first).toMatchObject({ r: 1, idle: 1 });
    await sleep(1100);
    const second = await read(rs, { token });
    expect(second).toMatchObject({ isHit: true, session: { r: 1, idle: 1 } });
    expect(second.session?.expires).toBeGreaterThanOrEqual((first?.expires ?? 0) + 1000);
    expect((await stored(ref))[1]).toBe("2");
  });

  test("is not given to get with fresh, whose result is then cached", async () => {
    const { token } = await cachedSession(rs);
    expect(await read(rs, { token }, { fresh: true })).toMatchObject({ isHit: false, session: { r: 2 } });
    expect(await read(rs, { token })).toMatchObject({ isHit: true, session: { r: 2 } });
    expect(rs.cache.misses).toBe(1);
  });

  test("is not given to lists", async () => {
    const { token } = await cachedSession(rs);
    const hits = rs.cache.hits;
    for (let i = 0; i < 2; i++) {
      await rs.soid({ app, id: "alice" });
      await rs.soapp({ app, dt: 60 });
    }
    expect(rs.cache.hits).toBe(hits);
    expect(await rs.get({ app, token })).not.toBeNull();
  });

  test("with touch: false does not prolong", async () => {
    const { token, ref } = await t.create();
    await rs.get({ app, token, touch: false });
    expect(await read(rs, { token }, { touch: false })).toMatchObject({ isHit: true });
    const before = await stored(ref);
    await sleep(1500);
    expect(await stored(ref)).toEqual(before);
  });

  test("does not wait for the end of the event loop's round, so that many in turn are fast", async () => {
    const { token, ref } = await cachedSession(rs);
    const order: string[] = [];
    setImmediate(() => order.push("end of the round"));
    for (const which of [{ token }, { ref }, { ref, touch: false }]) {
      await rs.get({ app, ...which });
      order.push("session");
    }
    expect(order).toEqual(["session", "session", "session"]);
  });

  test("is counted by the trace of the call", async () => {
    const { tracingChannel } = await import("node:diagnostics_channel");
    const traces: { cached: boolean }[] = [];
    const subscriber = { asyncEnd: (trace: object) => void traces.push({ ...trace } as never) };
    const { token } = await t.create();
    tracingChannel("ioredis-sessions:call").subscribe(subscriber as never);
    await rs.get({ app, token });
    await rs.get({ app, token });
    tracingChannel("ioredis-sessions:call").unsubscribe(subscriber as never);
    expect(traces).toMatchObject([{ cached: false }, { cached: true }]);
  });
});

describe("hits prolong their session", () => {
  test("in one run of a script a second for all sessions", async () => {
    const sessions = await Promise.all(Array.from({ length: 50 }, () => t.create({ ttl: 100 })));
    await rs.get({ app, token: sessions[0]?.token ?? "" });
    await Promise.all(sessions.map(({ token }) => rs.get({ app, token })));
    await sleep(1100);
    for (const { ref } of sessions) await t.db.pexpire(`rs:{${app}}:s:${ref}`, 50_000);
    const commands = await t.redis.watch(async () => {
      for (let i = 0; i < 5; i++) await Promise.all(sessions.map(({ token }) => rs.get({ app, token })));
      await vi.waitFor(async () => {
        for (const { ref } of sessions) expect(await t.db.pttl(`rs:{${app}}:s:${ref}`)).toBeGreaterThan(90_000);
      }, 3000);
    });
    expect(commands.filter(([name]) => name?.startsWith("eval")).length).toBeLessThanOrEqual(2);
  });

  test.each([3600_000, -3600_000])(
    "and tell when it ends, if a server used it whose clock differs by %i ms",
    async (ms) => {
      const { token } = await t.create({ ttl: 100 });
      const clock = vi.spyOn(Date, "now").mockReturnValue(Date.now() + ms);
      await t.rs.get({ app, token });
      clock.mockRestore();
      await rs.get({ app, token, touch: false });
      const { isHit, session } = await read(rs, { token });
      expect(isHit).toBe(true);
      expect(Math.abs(Number(session?.expires) - Date.now() - 100_000)).toBeLessThan(10_000);
    },
  );

  test("when the engine quits", async () => {
    const { token, ref } = await t.create({ ttl: 100 });
    await rs.get({ app, token });
    await sleep(1100);
    await rs.get({ app, token });
    await t.db.pexpire(`rs:{${app}}:s:${ref}`, 50_000);
    await rs.quit();
    expect(await t.db.pttl(`rs:{${app}}:s:${ref}`)).toBeGreaterThan(90_000);
  });

  test("but do not revive one that has ended", async () => {
    const { token, ref } = await cachedSession(rs);
    await rs.get({ app, token });
    await t.db.del(`rs:{${app}}:s:${ref}`);
    await rs.quit();
    expect(await t.db.exists(`rs:{${app}}:s:${ref}`)).toBe(0);
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toEqual([]);
  });
});

/** The calls after which the session is not what it was before. */
const changes: [string, (rs: RedisSessions, which: { token: string; ref: string }) => Promise<unknown>][] = [
  ["set", (rs, { token }) => rs.set({ app, token, d: { n: 1 } })],
  ["set by ref", (rs, { ref }) => rs.set({ app, ref, d: { n: 1 } })],
  ["set of a large value", (rs, { token }) => rs.set({ app, token, d: { n: "x".repeat(400_000) } })],
  ["setAll", (rs) => rs.setAll({ app, id: "alice", d: { n: 1 } })],
  ["increment", (rs, { token }) => rs.increment({ app, token, key: "n" })],
  ["touch with a ttl", (rs, { token }) => rs.touch({ app, token, ttl: 50 })],
  ["confirm", (rs, { token }) => sleep(5).then(() => rs.confirm({ app, token }))],
  ["rotate", (rs, { token }) => rs.rotate({ app, token })],
  ["kill", (rs, { token }) => rs.kill({ app, token })],
  ["kill by ref", (rs, { ref }) => rs.kill({ app, ref })],
  ["killsoid", (rs) => rs.killsoid({ app, id: "alice" })],
  ["killall", (rs) => rs.killall({ app })],
  ["create with replaces", (rs, { token }) => rs.create({ app, id: "alice", ip: "::1", replaces: token })],
  ["create with maxPerUser", (rs) => rs.create({ app, id: "alice", ip: "::1", maxPerUser: 1 })],
];

/** What Redis has now, apart from uses. */
async function now(token: string) {
  const session = await t.rs.get({ app, token, touch: false });
  return session && { ref: session.ref, ttl: session.ttl, authTime: session.authTime, d: session.d };
}

describe("a change by this process", () => {
  test.each(changes)("shows as soon as %s has resolved", async (_name, change) => {
    const created = await cachedSession(rs);
    const before = await now(created.token);
    await change(rs, created);
    const { session } = await read(rs, { token: created.token });
    const after = await now(created.token);
    expect(after).not.toEqual(before);
    if (after === null) expect(session).toBeNull();
    else expect(session).toMatchObject(after);
  });

  test("shows without a subscription to hear of it", async () => {
    const { token } = await cachedSession(rs);
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    await rs.set({ app, token, d: { n: 1 } });
    expect((await rs.get({ app, token }))?.d).toEqual({ n: 1 });
  });

  test("is read from Redis by calls that were made while it was under way", async () => {
    const { token } = await cachedSession(rs);
    const calls = [rs.set({ app, token, d: { n: 1 } }), rs.get({ app, token }), rs.get({ app, token, touch: false })];
    expect((await Promise.all(calls)).map((session) => session?.d?.n)).toEqual([1, 1, 1]);
  });
});

describe("a change by another process", () => {
  test.each(changes)("shows when the announcement of %s has come", async (_name, change) => {
    const created = await cachedSession(rs);
    const before = await now(created.token);
    await change(t.rs, created);
    await heard(rs);
    const { session } = await read(rs, { token: created.token });
    const after = await now(created.token);
    expect(after).not.toEqual(before);
    if (after === null) expect(session).toBeNull();
    else expect(session).toMatchObject(after);
  });

  test("shows also if it is of a kind that only a newer version announces", async () => {
    const { token, ref } = await cachedSession(rs);
    await t.db.publish(CHANNEL, `0\nfrozen\n${ref}\n"alice"\n`);
    await heard(rs);
    expect(await read(rs, { token })).toMatchObject({ isHit: false });
  });

  test("shows after cachetime if it was not announced", async () => {
    const short = cached({ cachetime: 1 });
    const { token, ref } = await cachedSession(short);
    await t.db.del(`rs:{${app}}:s:${ref}`);
    await sleep(1100);
    expect(await short.get({ app, token })).toBeNull();
  });

  test("such as a FLUSHALL shows soon after the next hit, when that is to prolong the session", async () => {
    const { token } = await cachedSession(rs);
    await t.db.flushall();
    await rs.get({ app, token });
    await vi.waitFor(async () => expect(await rs.get({ app, token })).toBeNull(), 5000);
  });
});

describe("a reply and an announcement that cross", () => {
  test("keep nothing if the announcement comes first", async () => {
    const { proxy, engine } = await behindProxy();
    const { token: other } = await cachedSession(engine);
    const { token, ref } = await t.create({ d: { n: 0 } });
    proxy.hold(0);
    const reading = engine.get({ app, token });
    await vi.waitFor(async () => expect((await stored(ref))[1]).toBe("2"));
    await t.rs.set({ app, token, d: { n: 1 } });
    await heard(engine);
    proxy.release(0);
    expect((await reading)?.d).toEqual({ n: 0 });
    expect(await read(engine, { token })).toMatchObject({ isHit: false, session: { d: { n: 1 } } });
    expect(await read(engine, { token: other })).toMatchObject({ isHit: true });
  });

  test("keep the reply until the announcement comes if that is late", async () => {
    const { proxy, engine } = await behindProxy();
    const { token } = await cachedSession(engine);
    proxy.hold(1);
    await t.rs.set({ app, token, d: { n: 1 } });
    expect(await read(engine, { token })).toMatchObject({ isHit: true, session: { d: { n: 0 } } });
    proxy.release(1);
    await heard(engine);
    expect(await read(engine, { token })).toMatchObject({ isHit: false, session: { d: { n: 1 } } });
  });

  test("keep nothing of a read that began before a change of this process and ends after it", async () => {
    const { proxy, engine } = await behindProxy();
    await cachedSession(engine);
    const { token, ref } = await t.create({ d: { n: 0 } });
    proxy.hold(1);
    proxy.hold(0);
    const reading = engine.get({ app, token });
    await vi.waitFor(async () => expect((await stored(ref))[1]).toBe("2"));
    const setting = engine.set({ app, token, d: { n: 1 } });
    proxy.release(0);
    await Promise.all([reading, setting]);
    expect(await read(engine, { token })).toMatchObject({ isHit: false, session: { d: { n: 1 } } });
    expect(await read(engine, { token })).toMatchObject({ isHit: true, session: { d: { n: 1 } } });
  });
});

describe("without a subscription", () => {
  test("nothing is served or kept", async () => {
    const { token, ref } = await cachedSession(rs);
    await t.db.acl("SETUSER", "default", "resetchannels");
    try {
      await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
      await vi.waitFor(() => expect(rs.cache.subscribed).toBe(false));
      // It is not announced to this process.
      await t.db.del(`rs:{${app}}:s:${ref}`);
      expect(await rs.get({ app, token })).toBeNull();
      // It announces nothing, which it may not.
      const silent = new RedisSessions({ client: t.db, wipe: 0 });
      const { token: other } = await silent.create({ app, id: "bob", ip: "::1" });
      for (let i = 0; i < 3; i++) expect(await read(rs, { token: other })).toMatchObject({ isHit: false });
      expect(rs.cache.size).toBe(0);
    } finally {
      await t.db.acl("SETUSER", "default", "allchannels");
    }
  });

  test("that was lost and is back, changes meanwhile show", async () => {
    const { token } = await cachedSession(rs);
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    await vi.waitFor(() => expect(rs.cache.subscribed).toBe(false));
    await t.rs.set({ app, token, d: { n: 1 } });
    await heard(rs);
    expect(await read(rs, { token })).toMatchObject({ isHit: false, session: { d: { n: 1 } } });
    expect(await read(rs, { token })).toMatchObject({ isHit: true, session: { d: { n: 1 } } });
  });

  test("a silent one is found out", async () => {
    const { proxy, engine } = await behindProxy();
    const { token } = await cachedSession(engine);
    proxy.hold(1);
    await t.rs.kill({ app, token });
    await vi.waitFor(async () => expect(await engine.get({ app, token })).toBeNull(), 6000);
  });

  test("a read during which it was lost is not kept, even if it is back", async () => {
    const { proxy, engine } = await behindProxy();
    await cachedSession(engine);
    const { token, ref } = await t.create({ d: { n: 0 } });
    await heard(engine);
    proxy.hold(0);
    const reading = engine.get({ app, token });
    await vi.waitFor(async () => expect((await stored(ref))[1]).toBe("2"));
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    await vi.waitFor(() => expect(engine.cache.subscribed).toBe(false));
    // Nobody hears of this.
    await t.db.del(`rs:{${app}}:s:${ref}`);
    await heard(engine);
    proxy.release(0);
    expect(await reading).not.toBeNull();
    expect(await engine.get({ app, token })).toBeNull();
  });

  test("a read that began without it is not kept", async () => {
    const { proxy, engine } = await behindProxy();
    await cachedSession(engine);
    const { token, ref } = await t.create({ d: { n: 0 } });
    await sleep(500);
    await t.db.call("CLIENT", "KILL", "TYPE", "pubsub");
    await vi.waitFor(() => expect(engine.cache.subscribed).toBe(false));
    proxy.hold(0);
    const reading = engine.get({ app, token });
    await vi.waitFor(async () => expect((await stored(ref))[1]).toBe("2"));
    await t.db.del(`rs:{${app}}:s:${ref}`);
    await heard(engine);
    proxy.release(0);
    expect(await reading).not.toBeNull();
    expect(await engine.get({ app, token })).toBeNull();
  });
});

describe("a cached session", () => {
  test("is not served when it ends by Redis's clock", async () => {
    const { token, ref } = await t.create({ ttl: 100 });
    await cachedSession(rs);
    await rs.get({ app, token });
    await rs.kill({ app, token: (await t.create()).token });
    await t.db.pexpire(`rs:{${app}}:s:${ref}`, 2600);
    // Within a second of the last use, a read does not prolong, so it finds the short TTL.
    expect(await read(rs, { token }, { fresh: true, touch: false })).toMatchObject({ isHit: false });
    expect(await read(rs, { token }, { touch: false })).toMatchObject({ isHit: true });
    await sleep(700);
    expect(await read(rs, { token }, { touch: false })).toMatchObject({ isHit: false });
    await t.db.pexpire(`rs:{${app}}:s:${ref}`, 1);
    await sleep(10);
    expect(await rs.get({ app, token })).toBeNull();
  });

  test("is not kept alive beyond its absolute end, nor by no_resave", async () => {
    const absolute = await cachedSession(rs, { ttl: 100, absolute: 100 });
    const fixed = await cachedSession(rs, { ttl: 100, no_resave: true });
    const before = await Promise.all([absolute, fixed].map(({ ref }) => t.db.pttl(`rs:{${app}}:s:${ref}`)));
    await sleep(1200);
    await rs.quit();
    const after = await Promise.all([absolute, fixed].map(({ ref }) => t.db.pttl(`rs:{${app}}:s:${ref}`)));
    for (const [i, left] of after.entries()) expect(left).toBeLessThanOrEqual((before[i] ?? 0) - 1000);
  });

  test("that was rotated has its first use recorded, and is then cached", async () => {
    const { token } = await cachedSession(rs);
    const rotated = await rs.rotate({ app, token });
    const which = { token: rotated?.token ?? "" };
    expect(await read(rs, which)).toMatchObject({ isHit: false });
    expect(await read(rs, which)).toMatchObject({ isHit: false });
    expect(await read(rs, which)).toMatchObject({ isHit: true });
    expect((await rs.get({ app, token }))?.ref).toBe(rotated?.ref);
  });

  test("with a token that nobody has used yet is not kept, so that the first use is recorded", async () => {
    const { token } = await cachedSession(rs);
    const rotated = await rs.rotate({ app, token });
    const { token: next, ref } = rotated ?? { token, ref: "" };
    for (let i = 0; i < 2; i++) expect(await read(rs, { ref })).toMatchObject({ isHit: false });
    expect((await stored(ref))[3]).toContain(" rotated=0");
    await rs.get({ app, token: next });
    expect((await stored(ref))[3]).toContain(" rotated=1");
  });

  test("is not looked up in another app", async () => {
    const { token } = await cachedSession(rs);
    expect(await rs.get({ app: "other", token })).toBeNull();
    expect(await read(rs, { token })).toMatchObject({ isHit: true });
  });

  test("is a miss as long as it does not exist", async () => {
    const token = "x".repeat(64);
    for (let i = 0; i < 3; i++) expect(await rs.get({ app, token })).toBeNull();
    expect(rs.cache).toEqual({ hits: 0, misses: 3, size: 0, subscribed: false });
  });
});

describe("the memory", () => {
  test("holds at most cachemax sessions, the latest", async () => {
    const small = cached({ cachemax: 2 });
    const tokens: string[] = [];
    for (let i = 0; i < 3; i++) tokens.push((await cachedSession(small)).token);
    expect(small.cache.size).toBe(2);
    expect(await read(small, { token: tokens[2] ?? "" })).toMatchObject({ isHit: true });
    expect(await read(small, { token: tokens[0] ?? "" })).toMatchObject({ isHit: false });
  });

  test("holds at most 64 MiB", async () => {
    const created = await Promise.all(
      Array.from({ length: 170 }, () => t.create({ d: { text: "x".repeat(200_000) } })),
    );
    await cachedSession(rs);
    for (const { token } of created) await rs.get({ app, token });
    // 400 KB each, as two bytes a character.
    expect(rs.cache.size).toBeGreaterThan(150);
    expect(rs.cache.size).toBeLessThan(168);
  });

  test("is freed after cachetime", async () => {
    const short = cached({ cachetime: 1 });
    await cachedSession(short);
    expect(short.cache.size).toBe(1);
    await vi.waitFor(() => expect(short.cache.size).toBe(0), 5000);
  });
});

describe("RedisStore", () => {
  const session = () => ({ cookie: { originalMaxAge: null }, userId: "alice", n: 0 }) as never;

  test("reads from the cache of its engine, and gives a copy", async () => {
    const store = new RedisStore({ rs, app: "shop" });
    await store.set("sid", session());
    await store.get("sid");
    const hits = rs.cache.hits;
    const mine = await store.get("sid");
    expect(rs.cache.hits).toBe(hits + 1);
    Object.assign(mine ?? {}, { n: 1 });
    expect(await store.get("sid")).toMatchObject({ n: 0 });
  });

  test("goes on when the I/O events of the event loop's round are handled", async () => {
    const store = new RedisStore({ rs, app: "shop" });
    await store.set("sid", session());
    await store.get("sid");
    const { hits } = rs.cache;
    const order: string[] = [];
    setImmediate(() => order.push("end of the round"));
    await store.get("sid").then(() => order.push("session"));
    expect(order).toEqual(["end of the round", "session"]);
    expect(rs.cache.hits).toBe(hits + 1);
  });

  test("drops a session that it saves, touches or destroys", async () => {
    const store = new RedisStore({ rs, app: "shop" });
    await store.set("sid", session());
    await store.get("sid");
    const loaded = await store.get("sid");
    await store.set("sid", Object.assign(loaded as object, { n: 1 }) as never);
    expect(await store.get("sid")).toMatchObject({ n: 1 });
    await store.destroy("sid");
    expect(await store.get("sid")).toBeNull();
  });

  test("takes cachetime and cachemax with a client", async () => {
    const client = t.redis.client();
    const store = new RedisStore({ client, cachetime: 30, cachemax: 10 });
    await store.set("sid", session());
    await store.get("sid");
    const commands = await t.redis.watch(() => store.get("sid"));
    expect(commands.filter(([name]) => name !== "ping")).toEqual([]);
    client.disconnect();
  });

  test("refuses cachetime with an engine, which has its own", () => {
    expect(() => new RedisStore({ rs, app: "shop", cachetime: 30 })).toThrow(/belongs to the engine/);
  });
});

describe("the options", () => {
  test.each([
    [{ cachetime: -1 }, "cachetime"],
    [{ cachetime: "30" }, "cachetime"],
    [{ cachetime: 1.5 }, "cachetime"],
    [{ cachemax: 0 }, "cachemax"],
    [{ cachetime: 30, events: false }, "cachetime needs events"],
  ])("refuse %o", (options, message) => {
    expect(() => new RedisSessions({ client: t.db, ...options } as never)).toThrow(message);
  });

  test("without cachetime, nothing is announced, subscribed or cached", async () => {
    const plain = new RedisSessions({ client: t.redis.client(), wipe: 0 });
    const { token } = await plain.create({ app, id: "alice", ip: "::1" });
    const seen: string[][] = [];
    const monitor = await t.redis.client().monitor();
    monitor.on("monitor", (_time: string, command: string[]) => seen.push(command));
    await plain.set({ app, token, d: { n: 1 } });
    await plain.get({ app, token });
    await plain.kill({ app, token });
    await vi.waitFor(() => expect(seen.some(([name]) => name === "DEL" || name === "UNLINK")).toBe(true));
    monitor.disconnect();
    expect(seen.flat().filter((word) => /^s?(publish|subscribe)$|^pttl$/i.test(word))).toEqual([]);
    expect(plain.cache).toEqual({ hits: 0, misses: 0, size: 0, subscribed: false });
    await plain.quit();
  });
});
