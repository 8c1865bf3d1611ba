import { setTimeout as sleep } from "node:timers/promises";
import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import type { RedisStore, RedisStoreOptions } from "../../src/express-session/index.js";
import { readStored } from "../support/index-check.js";
import { editFields, readFields } from "../support/session-text.js";
import type { Browser } from "./support/browser.js";
import type { Site } from "./support/site.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const key = "rs:{sess}:s:~sid";

/** Moves the end of a session's absolute lifetime. */
async function endIn(ms: number, sid = "sid"): Promise<number> {
  const end = Date.now() + ms;
  await editFields(t.db, `rs:{sess}:s:~${sid}`, { end });
  return end;
}

/** A class that is not of express-session, like the sessions of @fastify/session. */
class Foreign {}

describe("absolute", () => {
  test("ends a session that is used all the time, and that is saved and touched", async () => {
    const store = t.store({ absolute: 10 });
    const site = await t.site({ store, rolling: true, cookie: { maxAge: 60_000 } });
    const browser = site.browser();
    await browser.get("/login/alice");
    const { sid } = browser;
    const end = await endIn(9000, sid);
    for (const path of ["/me", "/set/color/red", "/max-age/50000", "/save/color/blue", "/me"]) {
      expect((await browser.get(path)).body).toMatchObject({ userId: "alice" });
    }
    expect((await readFields(t.db, `rs:{sess}:s:~${sid}`)).end).toBe(String(end));
    expect(await t.db.pexpiretime(`rs:{sess}:s:~${sid}`)).toBeLessThanOrEqual(end + 1);
    const soon = await endIn(300, sid);
    // Longer than the interval in which reading does not prolong.
    await sleep(60);
    await browser.get("/me");
    await sleep(soon + 100 - Date.now());
    expect((await browser.get("/me")).body).not.toHaveProperty("userId");
  });

  test("counts from the first save, and shows in expires and in the cookie's date", async () => {
    const store = t.store({ absolute: 30 });
    const began = Date.now();
    await store.set("sid", withCookie({ userId: "alice" }));
    const end = Number((await readFields(t.db, key)).end);
    expect(end).toBeGreaterThanOrEqual(began + 30_000);
    expect(end).toBeLessThanOrEqual(Date.now() + 30_000);
    expect((await store.soid("alice")).sessions[0]?.expires).toBe(end);
    expect(Number((await store.get("sid"))?.cookie.expires)).toBe(end);
  });

  test.each([
    ["another object", (data: object) => data],
    ["a session of a framework", (data: object) => Object.assign(new Foreign(), data)],
    ["a large session", (data: object) => ({ ...data, big: "x".repeat(400_000) })],
  ])("is kept when the session is written whole with %s", async (_what, make) => {
    const store = t.store({ absolute: 30 });
    await store.set("sid", make(withCookie({ userId: "alice" })) as SessionData);
    const end = await endIn(20_000);
    await store.set("sid", make(withCookie({ userId: "alice", color: "red" })) as SessionData);
    expect((await readFields(t.db, key)).end).toBe(String(end));
    expect(Math.abs((await t.db.pexpiretime(key)) - end)).toBeLessThanOrEqual(1);
    expect(await store.get("sid")).toMatchObject({ color: "red" });
  });

  test("ends a session with disableTTL, and one whose cookie lasts longer", async () => {
    for (const options of [{ disableTTL: true }, { ttl: 1000 }, {}]) {
      const store = t.store({ absolute: 30, ...options });
      await store.set("sid", withCookie({}, "ttl" in options ? null : 900_000));
      const session = (await store.get("sid")) as SessionData;
      session.userId = "alice";
      await store.set("sid", session);
      const left = await t.db.pttl(key);
      expect(left).toBeGreaterThan(25_000);
      expect(left).toBeLessThanOrEqual(30_000);
      await store.destroy("sid");
    }
  });

  test("does not apply to a session that was there before, and applies to one that is taken over", async () => {
    await t.store().set("sid", withCookie({ userId: "alice" }));
    const store = t.store({ absolute: 10 });
    await store.get("sid");
    expect(await readFields(t.db, key)).not.toHaveProperty("end");
    await t.db.set("sess:old", JSON.stringify(withCookie({ userId: "alice" })));
    expect(await store.get("old")).toMatchObject({ userId: "alice" });
    expect(await t.db.pttl("rs:{sess}:s:~old")).toBeLessThanOrEqual(10_000);
  });

  test("starts again with regenerate, because that makes another session", async () => {
    const store = t.store({ absolute: 30 });
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/login/alice");
    const end = await endIn(5000, browser.sid);
    await browser.get("/regenerate");
    await browser.get("/login/alice");
    expect(Number((await readFields(t.db, `rs:{sess}:s:~${browser.sid}`)).end)).toBeGreaterThan(end);
  });

  test("costs no command, and causes no write", async () => {
    const site = await t.site({ store: t.store({ absolute: 30 }), cookie: { maxAge: 60_000 } });
    const browser = site.browser();
    await browser.get("/login/alice");
    await browser.get("/me");
    await endIn(20_000, browser.sid);
    expect(await t.redis.watch(() => browser.get("/me"))).toHaveLength(1);
    expect(await t.redis.watch(() => browser.get("/set/color/red"))).toHaveLength(2);
  });
});

/** How a session gets its user. */
const WAYS: Record<string, (browser: Browser) => Promise<unknown>> = {
  "the first save of a new session": (browser) => browser.get("/login/alice"),
  "a save of a loaded session": async (browser) => {
    await browser.get("/set/color/red");
    await browser.get("/login/alice");
  },
  "a save after regenerate": async (browser) => {
    await browser.get("/set/color/red");
    await browser.get("/regenerate");
    await browser.get("/login/alice");
  },
  "a save of a session of another user": async (browser) => {
    await browser.get("/login/bob");
    await browser.get("/login/alice");
  },
};

async function signedIn(browsers: readonly Browser[]): Promise<boolean[]> {
  const answers = await Promise.all(browsers.map((browser) => browser.get("/me")));
  return answers.map(({ body }) => body.userId === "alice");
}

async function refs(store: RedisStore): Promise<string[]> {
  return (await store.soid("alice")).sessions.map(({ ref }) => ref);
}

describe("maxPerUser", () => {
  describe.each(Object.entries(WAYS))("with %s", (_way, signIn) => {
    async function open(options: RedisStoreOptions): Promise<{ site: Site; store: RedisStore }> {
      const store = t.store({ maxPerUser: 2, ...options });
      return { store, site: await t.site({ store }) };
    }

    test("ends the oldest session", async () => {
      const { site, store } = await open({});
      const browsers = [site.browser(), site.browser(), site.browser()];
      for (const browser of browsers) {
        await signIn(browser);
        await sleep(2);
      }
      expect(await signedIn(browsers)).toEqual([false, true, true]);
      expect(await refs(store)).toHaveLength(2);
      expect((await readStored(t.db, "sess")).problems).toEqual([]);
    });

    test("ends the session that was not used for the longest time with overflow idle", async () => {
      const { site } = await open({ overflow: "idle" });
      const browsers = [site.browser(), site.browser(), site.browser()];
      await signIn(browsers[0] as Browser);
      await signIn(browsers[1] as Browser);
      await editFields(t.db, `rs:{sess}:s:~${browsers[1]?.sid}`, { la: { add: -5000 } });
      await signIn(browsers[2] as Browser);
      expect(await signedIn(browsers)).toEqual([true, false, true]);
    });

    test("refuses the save with overflow reject, and writes nothing", async () => {
      const { site, store } = await open({ overflow: "reject" });
      const browsers = [site.browser(), site.browser(), site.browser()];
      for (const browser of browsers.slice(0, 2)) await signIn(browser);
      const before = await refs(store);
      await signIn(browsers[2] as Browser);
      expect(await signedIn(browsers)).toEqual([true, true, false]);
      expect(await refs(store)).toEqual(before);
      // When another session has ended, there is room.
      await store.destroy(browsers[0]?.sid as string);
      await signIn(browsers[2] as Browser);
      expect(await signedIn(browsers)).toEqual([false, true, true]);
    });

    test("holds under parallel sign-ins, in two processes", async () => {
      const stores = [1, 2].map(() => t.store({ client: t.redis.client(), maxPerUser: 2 }));
      const sites = await Promise.all(stores.map((store) => t.site({ store })));
      const browsers = Array.from({ length: 16 }, (_, i) => (sites[i % 2] as Site).browser());
      await Promise.all(browsers.map(signIn));
      expect((await signedIn(browsers)).filter(Boolean)).toHaveLength(2);
      expect(await refs(stores[0] as RedisStore)).toHaveLength(2);
      expect((await readStored(t.db, "sess")).problems).toEqual([]);
    });

    test("refuses all but two of parallel sign-ins with overflow reject", async () => {
      const { site, store } = await open({ overflow: "reject" });
      const browsers = Array.from({ length: 8 }, () => site.browser());
      await Promise.all(browsers.map(signIn));
      expect((await signedIn(browsers)).filter(Boolean)).toHaveLength(2);
      expect(await refs(store)).toHaveLength(2);
    });
  });

  describe("keeps the order of calls while other sessions end to make room:", () => {
    /** A loaded session, which its first save will assign to alice, who has another session. */
    async function open(): Promise<{ store: RedisStore; session: SessionData & Record<string, unknown> }> {
      const store = t.store({ maxPerUser: 1 });
      await store.set("other", withCookie({ userId: "alice" }));
      await store.set("sid", withCookie({}));
      return { store, session: (await store.get("sid")) as SessionData & Record<string, unknown> };
    }

    test("the last save counts", async () => {
      const { store, session } = await open();
      Object.assign(session, { userId: "alice", color: "red" });
      const first = store.set("sid", session);
      session.color = "blue";
      await Promise.all([first, store.set("sid", session)]);
      expect(await store.get("sid")).toMatchObject({ userId: "alice", color: "blue" });
    });

    test("a later save signs out", async () => {
      const { store, session } = await open();
      session.userId = "alice";
      const first = store.set("sid", session);
      delete session.userId;
      await Promise.all([first, store.set("sid", session)]);
      expect(await store.get("sid")).not.toHaveProperty("userId");
      expect(await refs(store)).toEqual([]);
    });

    test("a later destroy ends a new session", async () => {
      const { store } = await open();
      await Promise.all([store.set("new", withCookie({ userId: "alice" })), store.destroy("new")]);
      expect(await store.get("new")).toBeNull();
      expect(await refs(store)).toEqual([]);
    });
  });

  test("does not apply to later saves of the user's session", async () => {
    const store = t.store({ maxPerUser: 2, overflow: "reject" });
    for (const sid of ["a", "b"]) await store.set(sid, withCookie({ userId: "alice" }));
    await store.set("a", withCookie({ userId: "alice", color: "red" }));
    const foreign = Object.assign(new Foreign(), withCookie({ userId: "alice", color: "blue" }));
    await store.set("b", foreign as SessionData);
    expect(await refs(store)).toEqual(["~b", "~a"]);
    expect(await store.get("b")).toMatchObject({ color: "blue" });
  });

  test("does not count sessions that have expired", async () => {
    const store = t.store({ maxPerUser: 1, overflow: "reject" });
    await store.set("a", withCookie({ userId: "alice" }));
    await t.db.del("rs:{sess}:s:~a");
    await store.set("b", withCookie({ userId: "alice" }));
    expect(await refs(store)).toEqual(["~b"]);
  });

  test.each([
    ["new", false],
    ["loaded", true],
  ])("holds for a large %s session", async (_kind, isLoaded) => {
    const store = t.store({ maxPerUser: 1 });
    const big = "x".repeat(400_000);
    await store.set("other", withCookie({ userId: "alice" }));
    if (isLoaded) {
      await store.set("sid", withCookie({ big }));
      const session = (await store.get("sid")) as SessionData;
      session.userId = "alice";
      await store.set("sid", session);
    } else {
      await store.set("sid", withCookie({ big, userId: "alice" }));
    }
    expect(await refs(store)).toEqual(["~sid"]);
    expect(await store.get("other")).toBeNull();
    const rejecting = t.store({ maxPerUser: 1, overflow: "reject" });
    await rejecting.set("third", withCookie({ big }));
    const third = (await rejecting.get("third")) as SessionData;
    third.userId = "alice";
    await expect(rejecting.set("third", third)).rejects.toMatchObject({ name: "tooManySessions" });
    expect(await rejecting.get("third")).not.toHaveProperty("userId");
  });

  test("does not apply when a session of connect-redis is taken over", async () => {
    const store = t.store({ maxPerUser: 1 });
    await store.set("sid", withCookie({ userId: "alice" }));
    await t.db.set("sess:old", JSON.stringify(withCookie({ userId: "alice" })));
    expect(await store.get("old")).toMatchObject({ userId: "alice" });
    expect(await refs(store)).toHaveLength(2);
    await store.set("new", withCookie({ userId: "alice" }));
    expect(await refs(store)).toEqual(["~new"]);
  });

  test("costs no command as long as there is room", async () => {
    const store = t.store({ maxPerUser: 2, legacy: false });
    await store.set("first", withCookie({}));
    expect(await t.redis.watch(() => store.set("a", withCookie({ userId: "alice" })))).toHaveLength(1);
    const site = await t.site({ store });
    const browser = site.browser();
    await browser.get("/set/color/red");
    expect(await t.redis.watch(() => browser.get("/login/alice"))).toHaveLength(2);
  });
});
