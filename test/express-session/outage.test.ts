import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import session, { type SessionData } from "express-session";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { openSite, type Site } from "./support/site.js";
import { withCookie } from "./support/stores.js";

const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);

let redis: TestRedis;
let client: Redis;
let store: RedisStore;
let site: Site;
let events: string[];

beforeAll(() => {
  process.on("unhandledRejection", note).on("uncaughtException", note);
});

beforeEach(async () => {
  redis = await startRedis();
  client = redis.client({ retryStrategy: () => 30 });
  await once(client, "ready");
  store = new RedisStore({ rs: new RedisSessions({ client, timeout: 300, wipe: 0 }), app: "webapp" });
  events = [];
  for (const event of ["disconnect", "connect"]) store.on(event, () => events.push(event));
  site = await openSite({ store });
});

afterEach(async () => {
  redis.resume();
  await site.close();
  await redis.stop();
  await sleep(20);
  expect(uncaught.splice(0)).toEqual([]);
});

afterAll(() => {
  process.off("unhandledRejection", note).off("uncaughtException", note);
});

test("the store tells once that Redis is gone, and once that it is back", async () => {
  const gone = once(store, "disconnect");
  await redis.kill();
  await gone;
  await sleep(150); // time for several vain attempts
  expect(events).toEqual(["disconnect"]);
  const back = once(store, "connect");
  await redis.start();
  await back;
  await sleep(50);
  expect(events).toEqual(["disconnect", "connect"]);
});

test("while Redis is gone requests pass without a session, and then with one again", async () => {
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

test("sessions that Redis has kept are back with it", async () => {
  const browser = site.browser();
  await browser.get("/login/alice");
  const back = once(store, "connect");
  await redis.client().call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await back;
  expect(events).toEqual(["disconnect", "connect"]);
  expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
});

test("a Redis that hangs fails requests within the engine's timeout, and then serves the session again", async () => {
  const browser = site.browser();
  await browser.get("/login/alice");
  redis.pause();
  const answer = await browser.get("/me");
  // Express answers with the error's status; connect-redis's errors have none, which is a 500.
  expect(answer.status).toBe(503);
  expect(answer.text).toContain("Redis did not answer within 300 ms");
  redis.resume();
  expect((await browser.get("/me")).body).toMatchObject({ userId: "alice" });
});

test("a Redis that hangs while a request is under way fails its save, and the response still ends", async () => {
  const browser = site.browser();
  await browser.get("/login/alice");
  const under = browser.get("/gate/save/color/red");
  await site.gate.crowd(1);
  redis.pause();
  site.gate.open();
  expect(await under).toMatchObject({ status: 500, body: { error: expect.stringContaining("did not answer") } });
});

test("what an app takes back of a save of which nobody knows the outcome is taken back", async () => {
  await store.set("sid", withCookie({ color: "red" }));
  const loaded = (await store.get("sid")) as SessionData & { userId?: string };
  loaded.userId = "alice";
  redis.pause();
  await expect(store.set("sid", loaded)).rejects.toMatchObject({ name: "timeout" });
  redis.resume();
  // The late write is through when this is.
  await client.ping();
  delete loaded.userId;
  await store.set("sid", loaded);
  expect(await store.get("sid")).not.toHaveProperty("userId");
});

test("calls fail with a SessionError, as promise and as callback", async () => {
  redis.pause();
  await expect(store.get("sid")).rejects.toMatchObject({ name: "timeout" });
  const error = await new Promise((resolve) => store.set("sid", withCookie({}), resolve));
  expect(error).toMatchObject({ name: "timeout" });
  await expect(store.length()).rejects.toMatchObject({ name: "timeout" });
});

test("a serializer that never reads a text fails the call, as a Redis that hangs does", async () => {
  await store.set("sid", withCookie({ userId: "alice" }));
  await client.set("sess:left", JSON.stringify(withCookie({})));
  const serializer = { stringify: JSON.stringify, parse: () => new Promise<object>(() => {}) };
  const rs = new RedisSessions({ client, timeout: 200, wipe: 0 });
  const hanging = new RedisStore({ rs, app: "webapp", serializer });
  const late = { name: "timeout", message: "RedisStore: the serializer took longer than the engine's timeout" };
  await expect(hanging.get("sid")).rejects.toMatchObject(late);
  await expect(hanging.get("left")).rejects.toMatchObject(late);
  await expect(hanging.soid("alice")).rejects.toMatchObject(late);
  expect(await client.exists("sess:left")).toBe(1);
});

test("a destroy that nobody waits for does not end the process when Redis is away", async () => {
  redis.pause();
  // As `req.session.destroy()` does, which express-session allows.
  Reflect.apply(store.destroy, store, ["sid", undefined]);
  await sleep(400);
  expect(uncaught).toEqual([]);
});

test("many stores on one client are told each, and are no leak in Node's eyes", async () => {
  const warnings: Error[] = [];
  const warn = (warning: Error) => void warnings.push(warning);
  process.on("warning", warn);
  const shared = redis.client({ retryStrategy: () => 30 });
  await once(shared, "ready");
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
  await sleep(150); // time for several vain attempts
  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => `disconnect ${i}`));
  const back = once(last, "connect");
  await redis.start();
  await back;
  expect(seen.slice(20)).toEqual(Array.from({ length: 20 }, (_, i) => `connect ${i}`));
});

test("a store that is made after another has told the outage tells it, too", async () => {
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

test("a store that is made while Redis is gone tells when it is there", async () => {
  await redis.kill();
  const early = redis.client({ retryStrategy: () => 30 });
  const late = new RedisStore({ client: early });
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

test("a first save that Redis did not answer is not repeated over a session that was ended since", async () => {
  const Session = session.Session as unknown as new (req: object, data: object) => SessionData;
  // The wipers know the app from here on.
  await store.set("other", withCookie({}));
  const saved = new Session({ sessionID: "new", sessionStore: store }, withCookie({ userId: "alice" }));
  redis.pause();
  await expect(store.set("new", saved)).rejects.toMatchObject({ name: "timeout" });
  redis.resume();
  await client.ping();
  expect(await store.killsoid("alice")).toEqual({ kill: 1 });
  await store.set("new", saved);
  expect(await store.get("new")).toBeNull();
});
