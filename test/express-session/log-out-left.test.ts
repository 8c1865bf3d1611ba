import type { SessionData } from "express-session";
import { beforeEach, describe, expect, test } from "vitest";
import type { RedisStore, RedisStoreOptions } from "../../src/express-session/index.js";
import { call } from "../contract/store.js";
import { readStored } from "../support/index-check.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

/** Writes a session as connect-redis does. No request brings its id. */
async function leave(sid: string, data: object, prefix?: string): Promise<void> {
  const left = t.connectRedis(prefix === undefined ? {} : { prefix });
  await call((ready) => left.set(sid, withCookie(data) as SessionData, ready));
}

let store: RedisStore;

beforeEach(() => {
  store = t.store();
});

describe("a session of connect-redis that was not taken over yet", () => {
  const ends: Record<string, () => Promise<unknown>> = {
    "store.killsoid": () => store.killsoid("alice"),
    "store.killsoid of another server": () => t.store({ client: t.redis.client() }).killsoid("alice"),
    "store.clear": () => store.clear(),
    "the engine's killsoid": () => t.rs.killsoid({ app: "sess", id: "alice" }),
    "the engine's killall": () => t.rs.killall({ app: "sess" }),
  };

  test.each(Object.keys(ends))("is refused and removed after %s", async (how) => {
    await leave("sid", { userId: "alice" });
    // An engine sets a bar only if a store has announced itself, which it does at its first load.
    await store.get("somebody");
    await ends[how]?.();
    expect(await store.get("sid")).toBeNull();
    expect(await store.get("sid")).toBeNull();
    expect(await t.db.exists("sess:sid")).toBe(0);
    expect(await store.ids()).toEqual([]);
    expect(await store.soid("alice")).toEqual({ sessions: [] });
  });

  test("is refused after killsoid, and its browser can sign in again", async () => {
    const before = await t.site({ store: t.connectRedis() });
    const old = before.browser();
    await old.get("/login/alice");
    const site = await t.site({ store });
    await store.killsoid("alice");
    const browser = old.copy(site.url);
    expect((await browser.get("/me")).body).not.toHaveProperty("userId");
    await browser.get("/login/alice");
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  });

  test("is taken over after the killsoid of another user, and refused after clear", async () => {
    await leave("bob's", { userId: "bob" });
    await leave("nobody's", { color: "red" });
    await store.killsoid("alice");
    expect(await store.get("bob's")).toMatchObject({ userId: "bob" });
    expect(await store.get("nobody's")).toMatchObject({ color: "red" });
    await leave("late", { color: "red" });
    await store.clear();
    expect(await store.get("late")).toBeNull();
  });

  test("is refused after the clear of a store that has loaded nothing", async () => {
    await leave("sid", { userId: "alice" });
    await store.clear();
    expect(await store.get("sid")).toBeNull();
  });

  test("is refused for 400 days, and with disableTTL for a hundred years", async () => {
    const days = async () => Math.round((await t.db.pttl('rs:{sess}:barred:"alice"')) / 86_400_000);
    await store.killsoid("alice");
    expect(await days()).toBe(400);
    await t.store({ disableTTL: true }).killsoid("alice");
    expect(await days()).toBe(36_500);
  });

  test.each<RedisStoreOptions>([{}, { hashIds: true }, { prefix: "a/b{c}" }])(
    "is refused with the options %o",
    async (options) => {
      const other = t.store(options);
      await leave("sid", { userId: "alice" }, options.prefix);
      await other.killsoid("alice");
      expect(await other.get("sid")).toBeNull();
    },
  );

  test("is refused after the killsoid of an engine that shares the app", async () => {
    const rs = t.rs;
    const onEngine = t.store({ rs, app: "webapp" });
    await leave("sid", { userId: "alice" });
    await onEngine.get("somebody");
    const { token } = await rs.create({ app: "webapp", id: "alice", ip: "::1" });
    expect(await rs.killsoid({ app: "webapp", id: "alice", except: token })).toEqual({ kill: 0 });
    expect(await onEngine.get("sid")).toBeNull();
    expect(await rs.get({ app: "webapp", token })).not.toBeNull();
  });

  test.each(["sid", "~sid"])("is kept and taken over, as %s in except", async (except) => {
    await leave("sid", { userId: "alice" });
    await leave("other", { userId: "alice" });
    expect(await store.killsoid("alice", { except })).toEqual({ kill: 0 });
    expect(await store.get("sid")).toMatchObject({ userId: "alice" });
    expect(await store.get("other")).toBeNull();
  });

  test("does not come back if a server on connect-redis writes it again after the take-over", async () => {
    await leave("sid", { userId: "alice" });
    await store.get("sid");
    await leave("sid", { userId: "alice" });
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
    // The tombstone of the ended session has expired.
    await t.db.del("rs:{sess}:s:~sid");
    expect(await store.get("sid")).toBeNull();
  });
});

test("a race of take-overs and killsoid never leaves a session", async () => {
  const servers = Array.from({ length: 3 }, () => t.store({ client: t.redis.client() })) as [
    RedisStore,
    RedisStore,
    RedisStore,
  ];
  const tally = { sawIt: 0, missedIt: 0 };
  for (let round = 0; round < 200; round++) {
    const [sid, user] = [`sid${round}`, `user${round}`];
    await leave(sid, { userId: user });
    const end = async () => {
      for (let turn = 0; turn < round % 6; turn++) await t.db.ping();
      return servers[2].killsoid(user);
    };
    const [first, second, ended] = await Promise.all([servers[0].get(sid), servers[1].get(sid), end()]);
    tally[first === null && second === null && ended.kill === 0 ? "missedIt" : "sawIt"]++;
    expect(await servers[0].get(sid)).toBeNull();
    expect(await t.db.exists(`sess:${sid}`)).toBe(0);
  }
  // Both orders have happened, so the test had a race.
  expect(Math.min(tally.sawIt, tally.missedIt)).toBeGreaterThan(0);
  expect((await readStored(t.db, "sess")).sessions).toEqual([]);
});

test("the script refuses a take-over that had read the old session when killsoid began", async () => {
  // Delays the EVALSHA of the take-over until the user is logged out.
  const late = t.redis.client();
  const get = late.get.bind(late);
  late.get = (async (key: string) => {
    const text = await get(key);
    await store.killsoid("alice");
    return text;
  }) as typeof late.get;
  await leave("sid", { userId: "alice" });
  expect(await t.store({ client: late }).get("sid")).toBeNull();
  expect(await store.ids()).toEqual([]);
});

describe("without a store that takes sessions over", () => {
  test("a mass logout leaves no keys", async () => {
    const off = t.store({ legacy: false });
    await off.set("sid", withCookie({ userId: "alice" }));
    await off.killsoid("alice");
    await off.clear();
    await t.rs.killall({ app: "sess" });
    expect(await t.db.keys("*barred*")).toEqual([]);
    expect(await t.db.keys("*legacy*")).toEqual([]);
  });
});
