import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Browser } from "./support/browser.js";
import { type Routes, SERVER_NAMES, type ServerName } from "./support/servers.js";
import { outcome, useSites } from "./support/site.js";

const TIMEOUT = 200;
/** Milliseconds that a busy machine may add. A hang would take many times as long. */
const SLACK = 1500;

const t = useSites({ timeout: TIMEOUT });

const uncaught: unknown[] = [];
const note = (error: unknown) => void uncaught.push(error);
beforeAll(() => void process.on("unhandledRejection", note).on("uncaughtException", note));
afterAll(() => {
  process.off("unhandledRejection", note).off("uncaughtException", note);
  expect(uncaught).toEqual([]);
});
afterEach(() => t.redis.resume());

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/set": (req) => req.rs.set({ a: 1 }),
  "/rotate": (req) => req.rs.rotate(),
  "/logout": (req) => req.rs.kill(),
  "/devices": (req) => req.rs.devices(),
  "/kill-others": (req) => req.rs.killOthers(),
  "/kill-all": (req) => req.rs.killAll(),
  "/hello": () => "hello",
};

const WRITES = ["/login", "/set", "/rotate", "/logout"];

async function signedIn(server: ServerName, onOutage: "error" | "anonymous"): Promise<Browser> {
  const auth = t.auth({ onOutage });
  const browser = (
    await t.open({ ...routes, "/private": [auth.required(), () => "secret"] }, { server, use: [auth] })
  ).browser();
  await browser.post("/login");
  return browser;
}

/** Returns the status of a response, which must arrive within the timeout. */
async function timely(browser: Browser, path: string): Promise<number> {
  const began = performance.now();
  const { status, cookies } = await browser.get(path);
  expect(performance.now() - began).toBeLessThan(2 * TIMEOUT + SLACK);
  expect(cookies).toEqual([]);
  return status;
}

describe.each(SERVER_NAMES)("%s while Redis hangs", (server) => {
  test('answers 503 through the server\'s error handling with onOutage "error"', async () => {
    const browser = await signedIn(server, "error");
    t.redis.pause();
    const asking = [...WRITES, "/me", "/private", "/devices", "/kill-others", "/kill-all"];
    const statuses = await Promise.all(asking.map((path) => timely(browser.copy(), path)));
    expect(statuses).toEqual(asking.map(() => 503));
    expect(await timely(browser, "/hello")).toBe(200);
  });

  test('returns null from get, answers 503 to writes and keeps the cookie with onOutage "anonymous"', async () => {
    const browser = await signedIn(server, "anonymous");
    t.redis.pause();
    const writes = [...WRITES, "/kill-others", "/kill-all"];
    const writing = await Promise.all(writes.map((path) => timely(browser.copy(), path)));
    expect(writing).toEqual(writes.map(() => 503));
    expect(await browser.get("/me")).toMatchObject({ status: 200, body: null, cookies: [] });
    expect(await browser.get("/devices")).toMatchObject({ status: 200, body: [] });
    expect(await timely(browser, "/private")).toBe(401);
    t.redis.resume();
    // When this call returns, the queued calls have been answered.
    await t.db.ping();
    expect(browser.token).toBeDefined();
  });
});

test("answers 503 while Redis is down and works again when it is back", async () => {
  const browser = await signedIn("Express 5", "error");
  await t.redis.kill();
  for (const path of ["/me", "/login", "/private"]) expect(await timely(browser, path)).toBe(503);
  await t.redis.start();
  // ioredis may wait up to 2 s before it reconnects.
  await expect.poll(() => browser.get("/me").then(({ status }) => status), { timeout: 10_000 }).toBe(200);
  // Redis is empty, except for what the queued login has written.
  await t.db.flushdb();
  await browser.get("/me");
  expect(browser.cookies).toBe("");
  expect((await browser.post("/login")).status).toBe(200);
  expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
});

test("does not ask Redis again after a failure in the same request", async () => {
  const site = await t.open({
    ...routes,
    "/stubborn": async (req) => {
      const names: string[] = [];
      for (let i = 0; i < 3; i++) await req.rs.get().catch((error: Error) => names.push(error.name));
      t.redis.resume();
      await t.db.ping();
      const rotated = await req.rs.rotate();
      return [names, rotated !== null];
    },
  });
  const browser = site.browser();
  await browser.post("/login");
  t.redis.pause();
  expect((await browser.post("/stubborn")).body).toEqual([["timeout", "timeout", "timeout"], true]);
});

test("loads the session again after a write whose outcome is unknown", async () => {
  const site = await t.open({
    ...routes,
    "/late": async (req) => {
      await req.rs.get();
      t.redis.pause();
      const { error } = (await outcome(req.rs.kill())) as { error: string };
      t.redis.resume();
      await t.db.ping();
      return [error, await req.rs.get()];
    },
  });
  // Load the script into Redis first. Otherwise a late call is not sent a second time.
  const other = site.browser();
  await other.post("/login");
  await other.post("/logout");
  const browser = site.browser();
  await browser.post("/login");
  expect((await browser.post("/late")).body).toEqual(["timeout", null]);
  expect(browser.cookies).toBe("");
});

test("rejects with other errors, also with onOutage anonymous", async () => {
  const browser = await signedIn("Express 5", "anonymous");
  const [key] = await t.db.keys("rs:{webapp}:s:*");
  await t.db.del(`${key}`);
  await t.db.set(`${key}`, "no session");
  expect((await browser.get("/me")).status).toBe(500);
});

test("keeps the current cookie if a sign-in fails during an outage", async () => {
  const site = await t.open({
    ...routes,
    "/switch": async (req) => {
      const failed = await outcome(req.rs.create("bob"));
      t.redis.resume();
      await t.db.ping();
      return [failed, req.rs.state];
    },
  });
  const browser = site.browser();
  await browser.post("/login");
  t.redis.pause();
  expect(await browser.post("/switch")).toMatchObject({ body: [{ status: 503 }, "unmodified"], cookies: [] });
  expect(browser.token).toBeDefined();
});
