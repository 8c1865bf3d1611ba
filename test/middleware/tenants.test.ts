import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type AppOf, sessions } from "../../src/middleware/index.js";
import { type Data, type Routes, SERVER_NAMES } from "./support/servers.js";
import { outcome, query, SECRET, useSites } from "./support/site.js";

const t = useSites();

function tenants(app: AppOf) {
  return sessions<Data, AppOf>({ rs: t.rs, app, secret: SECRET });
}

const byHeader: AppOf = (req) => req.headers["x-tenant"]?.toString();

const routes: Routes = {
  "/login": (req) => outcome(req.rs.create(query(req, "as") || "alice")),
  "/me": (req) => outcome(req.rs.get()),
  "/set": (req) => req.rs.set({ a: 1 }),
  "/devices": (req) => req.rs.devices(),
  "/logout": (req) => req.rs.kill(),
  "/state": async (req) => [await req.rs.get(), req.rs.state],
};

const blue = { "x-tenant": "blue" };
const green = { "x-tenant": "green" };

describe.each(SERVER_NAMES)("%s", (server) => {
  test.each<[string, AppOf]>([
    ["at once", byHeader],
    ["later", async (req) => sleep(2).then(() => byHeader(req))],
  ])("two tenants of one server, told apart %s, do not see each other's sessions", async (_when, app) => {
    const site = await t.open(routes, { server, use: [tenants(app)] });
    const [inBlue, inGreen] = [site.browser(blue), site.browser(green)];
    await inBlue.post("/login");
    await inGreen.post("/login");
    const thief = site.browser({ ...green, cookie: inBlue.cookies });
    expect((await thief.get("/me")).body).toBeNull();
    expect((await thief.get("/set")).body).toBeNull();
    expect(await thief.post("/logout")).toMatchObject({ body: { kill: 0 }, cookies: [] });
    expect((await inBlue.get("/devices")).body).toHaveLength(1);
    expect((await inBlue.get("/me")).body).toMatchObject({ id: "alice" });
    expect((await inGreen.get("/me")).body).toMatchObject({ id: "alice" });
    await t.rs.killall({ app: "blue" });
    expect((await inBlue.get("/me")).body).toBeNull();
    expect((await inGreen.get("/me")).body).toMatchObject({ id: "alice" });
  });

  test("has no session and refuses create if the app is undefined", async () => {
    const site = await t.open(routes, { server, use: [tenants(byHeader)] });
    const browser = site.browser();
    await browser.post("/login", blue);
    const token = browser.token;
    const commands = await t.redis.watch(async () => {
      expect((await browser.get("/me")).body).toBeNull();
      expect((await browser.get("/state")).body).toEqual([null, "none"]);
      expect((await browser.get("/set")).body).toBeNull();
      expect((await browser.get("/devices")).body).toEqual([]);
      expect((await browser.post("/login")).body).toMatchObject({
        error: "missingParameter",
        message: "No app supplied",
      });
    });
    expect(commands).toEqual([]);
    expect(browser.token).toBe(token);
    expect((await browser.get("/me", blue)).body).toMatchObject({ id: "alice" });
  });

  test("rejects in that request only if the app is malformed or the function fails", async () => {
    const failing: AppOf = (req) => {
      if (req.headers["x-tenant"] === "boom") throw new Error("no such tenant");
      return byHeader(req);
    };
    const site = await t.open(routes, { server, use: [tenants(failing)] });
    const browser = site.browser(blue);
    await browser.post("/login");
    for (const tenant of ["x", "a{b}c", "../etc/passwd", "y".repeat(21)]) {
      expect((await browser.get("/me", { "x-tenant": tenant })).body).toMatchObject({ error: "invalidFormat" });
    }
    const { body } = await browser.get("/me", { "x-tenant": "boom" });
    expect(body).toMatchObject({ error: "Error", message: "no such tenant" });
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
  });
});

test("calls app once per request, and only when it is needed", async () => {
  let asked = 0;
  const auth = tenants(() => {
    asked++;
    return "blue";
  });
  const site = await t.open(
    { ...routes, "/hello": () => "hello", "/much": async (req) => [await req.rs.get(), await req.rs.devices()] },
    { use: [auth] },
  );
  const browser = site.browser();
  await browser.get("/hello");
  await browser.get("/me");
  expect(asked).toBe(0);
  await browser.post("/login");
  expect(asked).toBe(1);
  await browser.get("/much");
  expect(asked).toBe(2);
});

test("admin takes the app as an option of each call", async () => {
  const auth = tenants(byHeader);
  const site = await t.open(routes, { use: [auth] });
  const browsers = [site.browser(blue), site.browser(blue), site.browser(green)] as const;
  for (const browser of browsers) await browser.post("/login");
  expect((await auth.admin.soid({ app: "blue", id: "alice" })).sessions).toHaveLength(2);
  expect((await auth.admin.soapp({ app: "green", dt: 60 })).sessions).toHaveLength(1);
  expect(await auth.admin.activity({ app: "blue", dt: 60 })).toEqual({ activity: 1 });
  expect(await auth.admin.kill({ app: "blue", token: `${browsers[0].token}` })).toEqual({ kill: 1 });
  expect(await auth.admin.kill({ app: "green", token: `${browsers[1].token}` })).toEqual({ kill: 0 });
  expect(await auth.admin.killsoid({ app: "blue", id: "alice" })).toEqual({ kill: 1 });
  expect(await auth.admin.killall({ app: "green" })).toEqual({ kill: 1 });
});
