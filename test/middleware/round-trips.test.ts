import { beforeEach, describe, expect, test } from "vitest";
import type { Browser } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/hello": () => "hello",
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/set": (req) => req.rs.set({ a: 1 }),
  "/rotate": (req) => req.rs.rotate({ grace: 0 }),
  "/get-and-rotate": async (req) => (await req.rs.get()) && req.rs.rotate({ grace: 0 }),
  "/devices": (req) => req.rs.devices(),
  "/logout": (req) => req.rs.kill(),
};

describe.each(SERVER_NAMES)("%s", (server) => {
  let browser: Browser;

  beforeEach(async () => {
    const auth = t.auth();
    browser = (
      await t.open({ ...routes, "/private": [auth.required(), (req) => req.rs.get()] }, { server, use: [auth] })
    ).browser();
    // The first calls load the scripts and add the app to the index.
    for (const path of ["/login", "/me", "/set", "/rotate", "/logout", "/login"]) await browser.post(path);
  });

  /** Returns the names of the commands that the requests send. */
  async function cost(...paths: string[]): Promise<(string | undefined)[]> {
    const commands = await t.redis.watch(async () => {
      for (const path of paths) expect((await browser.get(path)).status).toBe(200);
    });
    return commands.map(([name]) => name?.toLowerCase());
  }

  test("sends nothing for a request that does not use its session", async () => {
    expect(await cost("/hello", "/hello")).toEqual([]);
  });

  test.each(["/me", "/private", "/set", "/logout"])("takes one round trip for %s", async (path) => {
    expect(await cost(path)).toEqual(["evalsha"]);
  });

  test("reads how long the browser keeps the cookie along with rotate, unless the request has loaded its session", async () => {
    expect(await cost("/rotate")).toEqual(["evalsha", "evalsha"]);
    await browser.get("/me");
    expect(await cost("/get-and-rotate")).toEqual(["evalsha", "evalsha"]);
  });

  test("takes one round trip, but for the first use of a new token, which is recorded", async () => {
    await browser.get("/rotate");
    // Loads the script that records it.
    await browser.get("/me");
    await browser.get("/rotate");
    expect(await cost("/me", "/me")).toEqual(["evalsha", "mget", "evalsha", "evalsha"]);
  });

  test("sends nothing for a browser without a session", async () => {
    await browser.post("/logout");
    expect(browser.cookies).toBe("");
    expect(await cost("/me", "/set", "/rotate", "/devices", "/logout")).toEqual([]);
  });

  test("takes one round trip for a sign-in, and one more to end the old session", async () => {
    expect(await cost("/login")).toEqual(["evalsha", "evalsha"]);
    await browser.post("/logout");
    expect(await cost("/login")).toEqual(["evalsha"]);
  });
});

test("takes at most one round trip for each of many concurrent reads", async () => {
  const site = await t.open(routes);
  const browsers = Array.from({ length: 10 }, () => site.browser());
  for (const browser of browsers) await browser.post("/login");
  const commands = await t.redis.watch(async () => {
    for (let round = 0; round < 5; round++) {
      const answers = await Promise.all(browsers.map((browser) => browser.get("/me")));
      for (const { body } of answers) expect(body).toMatchObject({ id: "alice" });
    }
  });
  expect(commands.length).toBeGreaterThanOrEqual(5);
  expect(commands.length).toBeLessThanOrEqual(50);
});
