import type { SessionData } from "express-session";
import { beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { call } from "../contract/store.js";
import { readStored } from "../support/index-check.js";
import { readFields } from "../support/session-text.js";
import type { Browser } from "./support/browser.js";
import { rot13 } from "./support/serializers.js";
import { done, type Site } from "./support/site.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

/** A site on connect-redis where alice is logged in, and the same site on RedisStore. */
let browser: Browser;
let swapped: Site;
let store: RedisStore;

beforeEach(async () => {
  const before = await t.site({ store: t.connectRedis(), cookie: { maxAge: 60_000 } });
  store = t.store();
  swapped = await t.site({ store, cookie: { maxAge: 60_000 } });
  const old = before.browser();
  await old.get("/login/alice");
  await old.get("/push/tea");
  browser = old.copy(swapped.url);
});

test("keeps the login and data of a session that connect-redis wrote", async () => {
  expect((await browser.get("/me")).body).toMatchObject({ userId: "alice", cart: ["tea"], id: browser.sid });
  await browser.get("/push/cake");
  expect((await browser.get("/me")).body).toMatchObject({ userId: "alice", cart: ["tea", "cake"] });
});

test("removes the old key and adds the session to the index", async () => {
  expect(await t.db.keys("sess:*")).toHaveLength(1);
  await browser.get("/me");
  expect(await t.db.keys("sess:*")).toEqual([]);
  expect(await store.ids()).toEqual([browser.sid]);
  expect((await store.soid("alice")).sessions).toHaveLength(1);
  expect((await readStored(t.db, "sess")).problems).toEqual([]);
});

test("ten parallel first requests are all logged in", async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => browser.copy().get("/me")));
  expect(answers.map(({ body }) => body.userId)).toEqual(Array(10).fill("alice"));
});

test("parallel first requests to several servers are all logged in, in hundreds of rounds", async () => {
  const servers = Array.from({ length: 4 }, () => t.store({ client: t.redis.client() }));
  const left = t.connectRedis();
  for (let round = 0; round < 200; round++) {
    const sid = `sid${round}`;
    await call((ready) => left.set(sid, withCookie({ userId: "alice" }) as SessionData, ready));
    const got = await Promise.all(
      servers.map(async (server, i) => {
        for (let turn = 0; turn < (round + i) % 4; turn++) await t.db.ping();
        return server.get(sid);
      }),
    );
    expect(got.map((data) => data?.userId)).toEqual(Array(4).fill("alice"));
  }
});

test("a request is logged in though another takes the session over between its two reads", async () => {
  // Delays the GET until another server has taken the session over.
  const late = t.redis.client();
  const get = late.get.bind(late);
  late.get = (async (key: string) => {
    await t.store().get(browser.sid);
    return get(key);
  }) as typeof late.get;
  expect(await t.store({ client: late }).get(browser.sid)).toMatchObject({ userId: "alice" });
});

test("parallel first requests that write lose no key", async () => {
  await Promise.all(Array.from({ length: 8 }, (_, i) => browser.copy().get(`/set/key${i}/1`)));
  const { body } = await browser.get("/me");
  expect(body).toMatchObject({ userId: "alice", cart: ["tea"] });
  expect(Object.keys(body).filter((key) => key.startsWith("key"))).toHaveLength(8);
});

test("a logout at the first request ends the session", async () => {
  const thief = browser.copy();
  await browser.get("/logout");
  expect((await thief.get("/me")).body).not.toHaveProperty("userId");
  expect(await t.db.keys("sess:*")).toEqual([]);
});

test("destroy ends a session that was not taken over yet", async () => {
  await store.destroy(browser.sid);
  expect(await t.db.keys("sess:*")).toEqual([]);
  expect((await browser.copy().get("/me")).body).not.toHaveProperty("userId");
});

test("set removes the old key, so the old session does not come back after destroy", async () => {
  await store.set(browser.sid, { cookie: { originalMaxAge: null }, userId: "alice" });
  expect(await t.db.keys("sess:*")).toEqual([]);
});

test("a race of take-over and destroy never leaves a session", async () => {
  const servers = Array.from({ length: 3 }, () => t.store({ client: t.redis.client() }));
  const left = t.connectRedis();
  const tally = { alive: 0, sawIt: 0, missedIt: 0 };
  for (let round = 0; round < 300; round++) {
    const sid = `sid${round}`;
    await call((ready) => left.set(sid, withCookie({ userId: "alice" }) as SessionData, ready));
    const [one, two, three] = servers as [RedisStore, RedisStore, RedisStore];
    const end = async () => {
      for (let turn = 0; turn < round % 6; turn++) await t.db.ping();
      await three.destroy(sid);
    };
    const [first] = await Promise.all([one.get(sid), two.get(sid), end()]);
    tally[first === null ? "missedIt" : "sawIt"]++;
    if ((await one.get(sid)) !== null || (await t.db.exists(`sess:${sid}`)) === 1) tally.alive++;
  }
  expect(tally.alive).toBe(0);
  // Both orders have happened, so the test had a race.
  expect(Math.min(tally.sawIt, tally.missedIt)).toBeGreaterThan(0);
});

test("the session's TTL is its cookie's maxAge, from the take-over on", async () => {
  const key = `sess:${browser.sid}`;
  const left = JSON.parse(`${await t.db.get(key)}`);
  left.cookie.expires = new Date(Date.now() - 30_000).toISOString();
  await t.db.set(key, JSON.stringify(left), "KEEPTTL");
  await browser.get("/me");
  const pttl = await t.db.pttl(`rs:{sess}:s:~${browser.sid}`);
  expect(pttl).toBeGreaterThan(59_000);
  expect(pttl).toBeLessThanOrEqual(60_000);
});

describe("with disableTouch a session that is taken over", () => {
  test("keeps the TTL of its old key and shows it in its cookie", async () => {
    await t.db.pexpire(`sess:${browser.sid}`, 5000);
    // express-session loses a millisecond of the cookie's age now and then.
    const { originalMaxAge } = JSON.parse(`${await t.db.get(`sess:${browser.sid}`)}`).cookie;
    const began = Date.now();
    const got = await t.store({ disableTouch: true }).get(browser.sid);
    const pttl = await t.db.pttl(`rs:{sess}:s:~${browser.sid}`);
    expect(pttl).toBeGreaterThan(4000);
    expect(pttl).toBeLessThanOrEqual(5000);
    const apart = Math.abs(Number(got?.cookie.expires) - (Date.now() + pttl));
    expect(apart).toBeLessThanOrEqual(Date.now() - began + 2);
    expect(got).toMatchObject({ userId: "alice", cookie: { originalMaxAge } });
  });

  test("keeps the TTL of its old key without a cookie date and with a function for the ttl", async () => {
    for (const options of [{}, { ttl: () => 100 }]) {
      await t.db.set("sess:old", JSON.stringify({ cookie: { originalMaxAge: null, expires: null } }), "PX", 5000);
      await t.store({ disableTouch: true, ...options }).get("old");
      expect(await t.db.pttl("rs:{sess}:s:~old")).toBeLessThanOrEqual(5000);
      await t.db.del("rs:{sess}:s:~old");
    }
  });

  test("gets the store's ttl if its old key had no TTL", async () => {
    await t.db.persist(`sess:${browser.sid}`);
    await t.store({ disableTouch: true }).get(browser.sid);
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBeGreaterThan(59_000);
  });

  test("is not loaded if its old key expires between the two reads", async () => {
    // Delays the PTTL.
    const late = t.redis.client();
    const pttl = late.pttl.bind(late);
    late.pttl = (async (key: string) => {
      await t.db.del(key);
      return pttl(key);
    }) as typeof late.pttl;
    expect(await t.store({ client: late, disableTouch: true }).get(browser.sid)).toBeNull();
    expect(await store.length()).toBe(0);
  });
});

test("removes an expired session whose key has no TTL", async () => {
  const cookie = { originalMaxAge: null, expires: new Date(Date.now() - 1000) };
  await t.db.set("sess:old", JSON.stringify({ cookie, userId: "alice" }));
  expect(await store.get("old")).toBeNull();
  expect(await t.db.exists("sess:old")).toBe(0);
});

test("a session whose cookie has no expires gets the store's ttl", async () => {
  await t.db.set("sess:old", JSON.stringify({ cookie: { originalMaxAge: null, expires: null }, userId: "alice" }));
  expect(await t.store({ ttl: 100 }).get("old")).toMatchObject({ userId: "alice" });
  expect(await t.db.pttl("rs:{sess}:s:~old")).toBeGreaterThan(99_000);
});

test.each(["{broken", "null", '"Salted__hunter2"', "7"])(
  "one that is %s fails the request, and stays where it is",
  async (text) => {
    await t.db.set("sess:old", text);
    await expect(store.get("old")).rejects.toMatchObject({
      name: "redisError",
      message: "A session that connect-redis wrote cannot be read. Was it written with another serializer?",
    });
    expect(await t.db.exists("sess:old")).toBe(1);
  },
);

describe("with the options", () => {
  test("legacy: false, takes nothing over", async () => {
    const site = await t.site({ store: t.store({ legacy: false }) });
    expect((await browser.copy(site.url).get("/me")).body).not.toHaveProperty("userId");
    expect(await t.db.keys("sess:*")).toHaveLength(1);
  });

  test("prefix, takes over, whether or not it has the form of an app", async () => {
    for (const prefix of ["myapp:", "a/b{c}"]) {
      await call((ready) =>
        t.connectRedis({ prefix }).set("sid", withCookie({ userId: "alice" }) as SessionData, ready),
      );
      expect(await store.get("sid")).toBeNull();
      expect(await t.store({ prefix }).get("sid")).toMatchObject({ userId: "alice" });
      expect(await t.db.exists(`${prefix}sid`)).toBe(0);
    }
  });

  test("hashIds, takes over", async () => {
    const hashed = t.store({ hashIds: true });
    expect(await hashed.get(browser.sid)).toMatchObject({ userId: "alice" });
    expect((await t.db.keys(`*${browser.sid}*`)).length).toBe(0);
  });

  test("rs and app, takes over from connect-redis's prefix", async () => {
    const onEngine = t.store({ rs: t.rs, app: "webapp" });
    expect(await onEngine.get(browser.sid)).toMatchObject({ userId: "alice" });
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(1);
  });

  test("serializer, takes over a session that connect-redis serialized as a whole", async () => {
    await t.db.set("sess:old", await rot13.stringify(withCookie({ userId: "alice", note: "hello" })));
    const secret = new RedisStore({ client: t.db, serializer: rot13 });
    expect(await secret.get("old")).toMatchObject({ userId: "alice", note: "hello" });
    expect((await readFields(t.db, "rs:{sess}:s:~old"))['"note"']).not.toContain("hello");
  });

  test("disableTTL, takes over", async () => {
    expect(await t.store({ disableTTL: true }).get(browser.sid)).toMatchObject({ userId: "alice" });
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBe(-1);
  });
});

test("a request under way cannot revive a session that was taken over", async () => {
  const under = browser.copy().get("/gate/set/color/red");
  await swapped.gate.waitFor(1);
  await store.killsoid("alice");
  swapped.gate.open();
  await under;
  expect((await browser.get("/me")).body).not.toHaveProperty("userId");
});

test("a session can be reloaded and saved right after the take-over", async () => {
  const loaded = await call<SessionData>((ready) => store.load(browser.sid, ready));
  const { session } = { session: loaded as SessionData & { save(ready: (error?: unknown) => void): void } };
  session.cart = ["cake"];
  await done((ready) => session.save(ready));
  expect(await store.get(browser.sid)).toMatchObject({ cart: ["cake"] });
});

test("a session whose userId is invalid is taken over as anonymous", async () => {
  await call((ready) => t.connectRedis().set("anonymous", withCookie({ color: "red" }) as SessionData, ready));
  const strict = t.store({ userId: () => "" });
  expect(await strict.get("anonymous")).toMatchObject({ color: "red" });
});

test("an error that the userId function throws fails the call", async () => {
  await call((ready) => t.connectRedis().set("anonymous", withCookie({ color: "red" }) as SessionData, ready));
  const broken = t.store({
    userId: () => {
      throw new TypeError("a mistake of the app's");
    },
  });
  await expect(broken.get("anonymous")).rejects.toThrow("a mistake of the app's");
  expect(await t.db.exists("sess:anonymous")).toBe(1);
});

test("with disableTTL a session is taken over even if its cookie has expired", async () => {
  const past = { cookie: { originalMaxAge: null, expires: new Date(Date.now() - 1000) }, color: "red" };
  await t.db.set("sess:old", JSON.stringify(past));
  expect(await t.store({ disableTTL: true }).get("old")).toMatchObject({ color: "red" });
});
