import { setTimeout as sleep } from "node:timers/promises";
import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import express from "express";
import type { SessionData, SessionOptions } from "express-session";
import session from "express-session";
import Fastify from "fastify";
import { describe, expect, test } from "vitest";
import type { RedisStore } from "../../src/express-session/index.js";
import { readStored } from "../support/index-check.js";
import { editFields, readFields } from "../support/session-text.js";
import { Browser, serve } from "./support/browser.js";
import { SETTINGS } from "./support/races.js";
import { rot13 } from "./support/serializers.js";
import { done } from "./support/site.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

/** A browser that is signed in, and another tab of it. */
async function signIn(options: Parameters<typeof t.site>[0] = {}) {
  const store = t.store();
  const site = await t.site({ store, ...options });
  const browser = site.browser();
  await browser.get("/login/alice");
  await browser.get("/set/note/hello");
  const tab = browser.copy();
  return { store, site, browser, tab, sid: browser.sid };
}

/** An app in which `/begin` signs the visitor in. */
function appOf(store: RedisStore, options: Partial<SessionOptions> = {}) {
  const app = express();
  app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false, ...options }));
  app.get("/begin", (req, res) => {
    req.session.userId = "alice";
    res.end();
  });
  return app;
}

describe("rotate", () => {
  describe.each(SETTINGS)("resave %o", (settings) => {
    test("sets a cookie with a new id, under which the same data is stored", async () => {
      const { browser, tab, sid, store } = await signIn(settings);
      const { body, cookies } = await browser.get("/rotate/10");
      expect(body).toMatchObject({ rotated: true, userId: "alice", note: "hello" });
      expect(cookies).toHaveLength(1);
      expect(browser.sid).not.toBe(sid);
      expect(body.id).toBe(browser.sid);
      for (const one of [browser, tab]) {
        expect((await one.get("/me")).body).toMatchObject({ userId: "alice", note: "hello" });
      }
      expect((await store.soid("alice")).sessions.map(({ ref }) => ref)).toEqual([store.ref(browser.sid)]);
      expect((await readStored(t.db, "sess")).problems).toEqual([]);
    });
  });

  test("keeps the old id for its grace, and not longer", async () => {
    const { browser, tab } = await signIn();
    await browser.get("/rotate/1");
    expect((await tab.get("/me")).body).toMatchObject({ userId: "alice" });
    await sleep(1100);
    expect((await tab.get("/me")).body).not.toHaveProperty("userId");
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  });

  test("ends the old id at once with grace 0", async () => {
    const { browser, tab, site } = await signIn();
    const underWay = site.browser().copy();
    const late = tab.copy();
    const saving = late.get("/gate/set/color/red");
    await site.gate.waitFor(1);
    await browser.get("/rotate/0");
    site.gate.open();
    await saving;
    for (const one of [tab, late, underWay]) expect((await one.get("/me")).body).not.toHaveProperty("userId");
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
    expect((await browser.get("/me")).body).not.toHaveProperty("color");
  });

  test.each([
    ["as JSON", {}],
    ["with a slow serializer", { serializer: rot13 }],
    ["under hashed ids", { hashIds: true }],
    ["of a large session", {}, "x".repeat(400_000)],
  ])("saves that are under way on the old id reach the session, %s", async (_how, options, big?: string) => {
    const store = t.store(options);
    const { browser, site, sid } = await signIn({ store });
    if (big !== undefined) {
      await store.set(sid, Object.assign((await store.get(sid)) as SessionData, { big }));
    }
    const tabs = Array.from({ length: 5 }, () => browser.copy());
    const saves = tabs.map((tab, i) => tab.get(`/gate/set/key${i}/${i}`));
    const removal = browser.copy().get("/gate/delete/note");
    await site.gate.waitFor(6);
    expect((await browser.get("/rotate/10")).body).toMatchObject({ rotated: true });
    site.gate.open();
    await Promise.all([...saves, removal]);
    const { body } = await browser.get("/me");
    expect(body).toMatchObject({ userId: "alice", key0: "0", key1: "1", key2: "2", key3: "3", key4: "4" });
    expect(body).not.toHaveProperty("note");
    expect(await store.length()).toBe(1);
  });

  test("loses no key of parallel requests around many rotations, and signs nobody out", async () => {
    const { browser, store } = await signIn({ express: "Express 4" });
    for (let round = 0; round < 8; round++) {
      const before = browser.copy();
      const requests = Array.from({ length: 6 }, (_, i) => before.copy().get(`/set/key${round}-${i}/x`));
      const [, ...answers] = await Promise.all([browser.get("/rotate/10"), ...requests]);
      for (const { body } of answers) expect(body).toMatchObject({ userId: "alice" });
    }
    const { body } = await browser.get("/me");
    expect(Object.keys(body).filter((key) => /^key\d-\d$/.test(key))).toHaveLength(48);
    expect(await store.length()).toBe(1);
    expect((await readStored(t.db, "sess")).problems).toEqual([]);
  });

  test("carries over what the request has not saved yet", async () => {
    const store = t.store();
    const app = express();
    app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false, genid: () => next() }));
    const ids = ["first", "second"];
    const next = () => ids.shift() ?? "third";
    app.get("/begin", (req, res) => {
      Object.assign(req.session, { note: "hello", old: 1 });
      res.json({});
    });
    app.get("/rotate", async (req, res) => {
      req.session.userId = "alice";
      req.session.cookie.maxAge = 50_000;
      Reflect.deleteProperty(req.session, "old");
      const rotation = store.rotate(req);
      Object.assign(req.session, { meanwhile: 2 });
      expect(await rotation).toBe(true);
      expect(req.session.id).toBe(req.sessionID);
      Object.assign(req.session, { after: 3 });
      res.json({});
    });
    const served = await serve(app);
    const browser = new Browser(served.url);
    await browser.get("/begin");
    const { cookies } = await browser.get("/rotate");
    expect(cookies[0]).toMatch(/second.*Expires=/);
    const stored = await store.get("second");
    expect(stored).toMatchObject({ userId: "alice", note: "hello", meanwhile: 2, after: 3 });
    expect(stored?.cookie.originalMaxAge).toBe(50_000);
    expect(stored).not.toHaveProperty("old");
    expect((await store.soid("alice")).sessions.map(({ ref }) => ref)).toEqual(["~second"]);
    await served.close();
  });

  test("keeps creation, ttl, absolute lifetime and counts", async () => {
    const store = t.store({ absolute: 100, maxPerUser: 1 });
    const { browser, sid } = await signIn({ store, cookie: { maxAge: 60_000 } });
    await editFields(t.db, `rs:{sess}:s:~${sid}`, { created: 1000 });
    const { la, r, ...before } = await readFields(t.db, `rs:{sess}:s:~${sid}`);
    await browser.get("/rotate/10");
    const { la: _la, r: _r, ...after } = await readFields(t.db, `rs:{sess}:s:~${browser.sid}`);
    expect(after).toEqual(before);
    expect(await t.db.pttl(`rs:{sess}:s:~${browser.sid}`)).toBeGreaterThan(50_000);
  });

  test("costs one command beside those of the request", async () => {
    const { browser } = await signIn({ cookie: { maxAge: 60_000 } });
    expect(await t.redis.watch(() => browser.get("/rotate/10"))).toHaveLength(2);
    expect(await t.redis.watch(() => browser.get("/me"))).toHaveLength(1);
    expect(await t.redis.watch(() => browser.get("/set/color/red"))).toHaveLength(2);
  });

  test("returns false for an old id, whose request goes on", async () => {
    const { browser, tab, sid } = await signIn();
    await browser.get("/rotate/10");
    const { body, cookies } = await tab.get("/rotate/10");
    expect(body).toMatchObject({ rotated: false, userId: "alice", id: sid });
    expect(cookies).toEqual([]);
    await browser.get("/rotate/10");
    expect((await tab.get("/set/color/red")).body).toMatchObject({ userId: "alice" });
    expect((await browser.get("/me")).body).toMatchObject({ color: "red" });
  });

  test("returns false for a session that was never saved, which is then saved as usual", async () => {
    const { site } = await signIn();
    const visitor = site.browser();
    expect((await visitor.get("/rotate/10")).body).toMatchObject({ rotated: false });
    expect(visitor.sid).toBe("");
    await visitor.get("/login/bob");
    expect((await visitor.get("/me")).body).toMatchObject({ userId: "bob" });
  });

  test("waits for a save of the same request that is under way", async () => {
    const store = t.store();
    const app = express();
    app.use(session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false }));
    app.get("/", async (req, res) => {
      req.session.userId = "alice";
      req.session.save();
      res.json({ rotated: await store.rotate(req, { grace: 0 }) });
    });
    const served = await serve(app);
    const browser = new Browser(served.url);
    expect((await browser.get("/")).body).toEqual({ rotated: true });
    expect(await store.get(browser.sid)).toMatchObject({ userId: "alice" });
    expect(await store.length()).toBe(1);
    await served.close();
  });

  test("leaves the request as it was if Redis cannot be reached", async () => {
    const client = t.redis.client();
    const store = t.store({ client });
    const app = appOf(store);
    app.get("/rotate", async (req, res) => {
      const before = [req.session, req.sessionID];
      client.disconnect();
      const error = await store.rotate(req).catch((error) => error);
      expect([req.session, req.sessionID]).toEqual(before);
      expect(req.session).toBe(before[0]);
      res.end(error.name);
    });
    const served = await serve(app);
    const browser = new Browser(served.url);
    await browser.get("/begin");
    expect((await browser.get("/rotate")).text).toBe("unavailable");
    await served.close();
  });
});

describe("a rotated session that is ended stays ended", () => {
  test.each(["old", "new"])("by destroy of its %s id, while requests are under way on both", async (which) => {
    const { browser, tab, site, store, sid } = await signIn();
    await browser.get("/rotate/10");
    const requests = [browser, tab].flatMap((one) => [
      one.copy().get("/gate/set/color/red"),
      one.copy().get("/gate/rotate/10"),
    ]);
    await site.gate.waitFor(4);
    await store.destroy(which === "old" ? sid : browser.sid);
    site.gate.open();
    await Promise.all(requests);
    for (const one of [browser, tab]) expect((await one.get("/me")).body).not.toHaveProperty("userId");
    expect(await store.length()).toBe(0);
  });

  test("by killsoid during rotations", async () => {
    for (let round = 0; round < 20; round++) {
      const { browser, tab, store } = await signIn();
      const [{ body }] = await Promise.all([
        browser.get("/rotate/10"),
        tab.get("/set/color/red"),
        store.killsoid("alice"),
      ]);
      expect(body.rotated).toBeTypeOf("boolean");
      for (const one of [browser, tab]) expect((await one.get("/me")).body).not.toHaveProperty("userId");
      expect((await store.soid("alice")).sessions).toEqual([]);
    }
  });

  test("except the one that killsoid keeps by its old id", async () => {
    const { browser, store, site, sid } = await signIn();
    const other = site.browser();
    await other.get("/login/alice");
    await browser.get("/rotate/10");
    expect(await store.killsoid("alice", { except: sid })).toEqual({ kill: 1 });
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  });

  /** A session of a framework that does not tell whether it has loaded it, such as @fastify/session. */
  class Foreign {}

  test("after its grace, though a whole save under its old id comes late", async () => {
    const { browser, store, sid } = await signIn();
    const save = (color: string) =>
      store.set(sid, Object.assign(new Foreign(), withCookie({ userId: "alice", color })) as unknown as SessionData);
    await browser.get("/rotate/1");
    await save("red");
    expect((await browser.get("/me")).body).toMatchObject({ color: "red" });
    await sleep(1100);
    await save("blue");
    expect(await store.get(sid)).toBeNull();
    expect((await browser.get("/me")).body).toMatchObject({ color: "red" });
    expect(await store.length()).toBe(1);
  });

  test("and a set of an object of the caller's own writes the session, not another one", async () => {
    const { browser, store, sid } = await signIn();
    await browser.get("/rotate/10");
    await store.set(sid, withCookie({ userId: "alice", color: "green" }));
    expect((await browser.get("/me")).body).toMatchObject({ color: "green" });
    expect(await store.length()).toBe(1);
  });
});

test.each([10, 0])("rotate with grace %i leaves no session if the request destroys it meanwhile", async (grace) => {
  const store = t.store();
  const app = appOf(store);
  app.get("/end", async (req, res) => {
    const rotation = store.rotate(req, { grace }).catch(String);
    // The rotation is sent first, and no answer can arrive between two microtasks.
    for (let i = 0; i < 5; i++) await null;
    await done((ready) => req.session.destroy(ready));
    res.json({ rotated: await rotation });
  });
  const served = await serve(app);
  const browser = new Browser(served.url);
  await browser.get("/begin");
  expect((await browser.get("/end")).body).toEqual({ rotated: false });
  expect(await store.length()).toBe(0);
  await served.close();
});

describe("rotate refuses", () => {
  test("a response that has begun, and changes nothing", async () => {
    const store = t.store();
    const app = appOf(store);
    app.get("/rotate", async (req, res) => {
      res.write("begun ");
      const error = await store.rotate(req).catch((error) => error);
      res.end(error.name);
    });
    const served = await serve(app);
    const browser = new Browser(served.url);
    await browser.get("/begin");
    expect((await browser.get("/rotate")).text).toBe("begun headersSent");
    expect(await store.get(browser.sid)).toMatchObject({ userId: "alice" });
    await served.close();
  });

  test.each([
    ["no request", undefined],
    ["a request without a session", { headers: {} }],
    ["a session id", "some-id"],
  ])("%s", async (_what, req) => {
    await expect(t.store().rotate(req as never)).rejects.toThrow("a request that has a session of express-session");
  });

  test("an id that is not new, because genid returned the same one, and keeps the session", async () => {
    const store = t.store();
    const app = appOf(store, { genid: () => "same" });
    app.get("/rotate", async (req, res) => {
      res.end(String(await store.rotate(req).catch((error) => error.message)));
    });
    const served = await serve(app);
    const browser = new Browser(served.url);
    await browser.get("/begin");
    expect((await browser.get("/rotate")).text).toContain("genid");
    expect(await store.get("same")).toMatchObject({ userId: "alice" });
    await served.close();
  });

  test("a request of @fastify/session", async () => {
    const store = t.store();
    const app = Fastify();
    await app.register(fastifyCookie);
    await app.register(fastifySession, { store, secret: "a secret with a length of at least 32 characters" });
    app.get("/", async (request) => ({
      error: String(await store.rotate(request as never).catch((error) => error.hint)),
    }));
    expect((await app.inject("/")).json().error).toContain("request.session.regenerate");
    await app.close();
  });

  test("bad options", async () => {
    const store = t.store();
    await expect(store.rotate({} as never, { grace: -1 })).rejects.toThrow("grace must be an integer >= 0");
    await expect(store.rotate({} as never, { garce: 1 } as object)).rejects.toThrow('Did you mean "grace"?');
  });
});
