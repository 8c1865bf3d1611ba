import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import session, { type SessionData } from "express-session";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { type Client, RedisSessions } from "../../src/index.js";
import { clientOf } from "../../src/redis/recognise.js";
import { openClient, type TestClient } from "../support/clients.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { openSite, type Site } from "./support/site.js";
import { withCookie } from "./support/stores.js";

const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);

let redis: TestRedis;
const opened: TestClient[] = [];

/** Opens a connected client of this package. */
async function open(name: string): Promise<Client> {
  const client = openClient(name, redis.port);
  opened.push(client);
  await expect.poll(() => clientOf(client.client).isReady, { interval: 5 }).toBe(true);
  return client.client;
}

beforeAll(() => {
  process.on("unhandledRejection", note).on("uncaughtException", note);
});

afterAll(() => {
  process.off("unhandledRejection", note).off("uncaughtException", note);
});

describe.each(["ioredis 6", "node-redis 5", "node-redis 6"])("on %s", (name) => {
  let client: Client;
  /** A client for looking into the database. */
  let db: Redis;
  let store: RedisStore;
  let site: Site;
  let events: string[];

  beforeEach(async () => {
    redis = await startRedis();
    client = await open(name);
    db = redis.client();
    await db.ping();
    store = new RedisStore({ rs: new RedisSessions({ client, timeout: 300, wipe: 0 }), app: "webapp" });
    events = [];
    for (const event of ["disconnect", "connect"]) store.on(event, () => events.push(event));
    site = await openSite({ store });
  });

  afterEach(async () => {
    redis.resume();
    await site.close();
    for (const one of opened.splice(0)) one.close();
    await redis.stop();
    await sleep(20);
    expect(uncaught.splice(0)).toEqual([]);
  });

  test("the store emits disconnect and connect once each", async () => {
    const gone = once(store, "disconnect");
    await redis.kill();
    await gone;
    await sleep(150); // time for several failed attempts
    expect(events).toEqual(["disconnect"]);
    const back = once(store, "connect");
    await redis.start();
    await back;
    await sleep(50);
    expect(events).toEqual(["disconnect", "connect"]);
  });

  test("requests have no session while Redis is unreachable, and have one again after that", async () => {
    const browser = site.browser();
    await browser.get("/login/alice");
    const gone = once(store, "disconnect");
    await redis.kill();
    await gone;
    const { status, body, cookies } = await browser.get("/me");
    expect({ status, body, cookies }).toEqual({ status: 200, body: { expires: null }, cookies: [] });

    const back = once(store, "connect");
    await redis.start();
    await back;
    await browser.get("/login/bob");
    expect((await browser.get("/me")).body).toMatchObject({ userId: "bob" });
  });

  test("sessions that Redis has saved to disk are back after its restart", async () => {
    const browser = site.browser();
    await browser.get("/login/alice");
    const back = once(store, "connect");
    await redis.client().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await back;
    expect(events).toEqual(["disconnect", "connect"]);
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  });

  test("requests fail within the engine's timeout while Redis hangs, and succeed after that", async () => {
    const browser = site.browser();
    await browser.get("/login/alice");
    redis.pause();
    const answer = await browser.get("/me");
    // Express answers with the error's status. Errors of connect-redis have none, so Express answers 500.
    expect(answer.status).toBe(503);
    expect(answer.text).toContain("Redis did not answer within 300 ms");
    redis.resume();
    expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
  });

  test("a response ends though its save fails because Redis hangs", async () => {
    const browser = site.browser();
    await browser.get("/login/alice");
    const under = browser.get("/gate/save/color/red");
    await site.gate.waitFor(1);
    redis.pause();
    site.gate.open();
    expect(await under).toMatchObject({ status: 500, body: { error: expect.stringContaining("did not answer") } });
  });

  test("a change that is undone after a save with an unknown outcome is undone in Redis", async () => {
    await store.set("sid", withCookie({ color: "red" }));
    const loaded = (await store.get("sid")) as SessionData & { userId?: string };
    loaded.userId = "alice";
    redis.pause();
    await expect(store.set("sid", loaded)).rejects.toMatchObject({ name: "timeout" });
    redis.resume();
    // The late write has been executed when this is answered.
    await db.ping();
    delete loaded.userId;
    await store.set("sid", loaded);
    expect(await store.get("sid")).not.toHaveProperty("userId");
  });

  test("calls fail with a SessionError, by promise and by callback", async () => {
    redis.pause();
    await expect(store.get("sid")).rejects.toMatchObject({ name: "timeout" });
    const error = await new Promise((resolve) => store.set("sid", withCookie({}), resolve));
    expect(error).toMatchObject({ name: "timeout" });
    await expect(store.length()).rejects.toMatchObject({ name: "timeout" });
  });

  test("a serializer that never resolves fails the call with timeout", async () => {
    await store.set("sid", withCookie({ userId: "alice" }));
    await db.set("sess:left", JSON.stringify(withCookie({})));
    const serializer = { stringify: JSON.stringify, parse: () => new Promise<object>(() => {}) };
    const rs = new RedisSessions({ client, timeout: 200, wipe: 0 });
    const hanging = new RedisStore({ rs, app: "webapp", serializer });
    const late = { name: "timeout", message: "RedisStore: the serializer took longer than the engine's timeout" };
    await expect(hanging.get("sid")).rejects.toMatchObject(late);
    await expect(hanging.get("left")).rejects.toMatchObject(late);
    await expect(hanging.soid("alice")).rejects.toMatchObject(late);
    expect(await db.exists("sess:left")).toBe(1);
  });

  test("a rejected destroy that nobody awaits does not end the process", async () => {
    redis.pause();
    // express-session allows `req.session.destroy()` without a callback.
    Reflect.apply(store.destroy, store, ["sid", undefined]);
    await sleep(400);
    expect(uncaught).toEqual([]);
  });

  test("many stores on one client each emit the outage, without a MaxListenersExceededWarning", async () => {
    const warnings: Error[] = [];
    const warn = (warning: Error) => void warnings.push(warning);
    process.on("warning", warn);
    const shared = await open(name);
    const seen: string[] = [];
    const stores = Array.from({ length: 20 }, (_, i) => new RedisStore({ client: shared, prefix: `app${i}:` }));
    for (const [i, one] of stores.entries()) {
      for (const event of ["disconnect", "connect"]) one.on(event, () => seen.push(`${event} ${i}`));
    }
    const [last] = stores.slice(-1) as [RedisStore];
    await sleep(0);
    process.off("warning", warn);
    expect(warnings).toEqual([]);

    await redis.kill();
    await sleep(150); // time for several failed attempts
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `disconnect ${i}`));
    const back = once(last, "connect");
    await redis.start();
    await back;
    expect(seen.slice(20)).toEqual(Array.from({ length: 20 }, (_, i) => `connect ${i}`));
  });

  test("a store that is created during an outage emits disconnect, too", async () => {
    const gone = once(store, "disconnect");
    await redis.kill();
    await gone;
    const late = new RedisStore({ client });
    const seen: string[] = [];
    for (const event of ["disconnect", "connect"]) late.on(event, () => seen.push(event));
    await once(late, "disconnect");
    const back = once(late, "connect");
    await redis.start();
    await back;
    expect(seen).toEqual(["disconnect", "connect"]);
    expect(events).toEqual(["disconnect", "connect"]);
  });

  test("a store that is created while Redis is unreachable emits connect when Redis is back", async () => {
    await redis.kill();
    const early = openClient(name, redis.port);
    opened.push(early);
    const late = new RedisStore({ client: early.client });
    const seen: string[] = [];
    for (const event of ["disconnect", "connect"]) late.on(event, () => seen.push(event));
    await once(late, "disconnect");
    const back = once(late, "connect");
    await redis.start();
    await back;
    expect(seen).toEqual(["disconnect", "connect"]);
    await late.set("sid", withCookie({ color: "red" }));
    expect(await late.get("sid")).toMatchObject({ color: "red" });
  });

  test("a first save with an unknown outcome is not repeated over a session that was ended since", async () => {
    const Session = session.Session as unknown as new (req: object, data: object) => SessionData;
    // Registers the app, so that the next save does not.
    await store.set("other", withCookie({}));
    const saved = new Session({ sessionID: "new", sessionStore: store }, withCookie({ userId: "alice" }));
    redis.pause();
    await expect(store.set("new", saved)).rejects.toMatchObject({ name: "timeout" });
    redis.resume();
    await db.ping();
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
    await store.set("new", saved);
    expect(await store.get("new")).toBeNull();
  });
});
