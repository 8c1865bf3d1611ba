import { describe, expect, test } from "vitest";
import type { Device } from "../../src/middleware/index.js";
import type { Browser } from "./support/browser.js";
import { type Data, type Routes, SERVER_NAMES } from "./support/servers.js";
import { query, useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create(query(req, "as") || "alice"),
  "/me": (req) => req.rs.get(),
  "/devices": (req) => req.rs.devices(),
  "/kill-others": (req) => req.rs.killOthers(),
  "/kill-all": (req) => req.rs.killAll(),
};

async function devices(browser: Browser): Promise<Device<Data>[]> {
  return (await browser.get("/devices")).body as Device<Data>[];
}

describe.each(SERVER_NAMES)("%s", (server) => {
  test("devices returns the user's sessions, newest first, with current: true for the request's own", async () => {
    const site = await t.open(routes, { server });
    const [laptop, phone, other] = [site.browser(), site.browser(), site.browser()];
    const [first, second] = [await laptop.post("/login"), await phone.post("/login")].map(
      ({ body }) => (body as { ref: string }).ref,
    );
    await other.post("/login?as=bob");
    await t.alter(`${first}`, { created: Date.now() - 60_000 });
    const seen = async (browser: Browser) => (await devices(browser)).map(({ ref, current }) => [ref, current]);
    expect(await seen(laptop)).toEqual([
      [second, false],
      [first, true],
    ]);
    expect(await seen(phone)).toEqual([
      [second, true],
      [first, false],
    ]);
    expect(await devices(site.browser())).toEqual([]);
  });

  test("killOthers ends the user's other sessions and those of no other user", async () => {
    const site = await t.open(routes, { server });
    const browsers = [site.browser(), site.browser(), site.browser()];
    for (const browser of browsers) await browser.post("/login");
    const bob = site.browser();
    await bob.post("/login?as=bob");
    const [laptop, ...others] = browsers as [Browser, ...Browser[]];
    expect((await laptop.post("/kill-others")).body).toEqual({ kill: 2 });
    for (const other of others) expect((await other.get("/me")).body).toBeNull();
    expect((await laptop.get("/me")).body).toMatchObject({ id: "alice" });
    expect((await bob.get("/me")).body).toMatchObject({ id: "bob" });
    expect((await site.browser().post("/kill-others")).body).toEqual({ kill: 0 });
  });

  test("killAll ends all of the user's sessions and clears the cookie", async () => {
    const site = await t.open(routes, { server });
    const [laptop, phone, bob] = [site.browser(), site.browser(), site.browser()];
    await laptop.post("/login");
    await phone.post("/login");
    await bob.post("/login?as=bob");
    expect((await laptop.post("/kill-all")).body).toEqual({ kill: 2 });
    expect(laptop.cookies).toBe("");
    expect((await phone.get("/me")).body).toBeNull();
    expect((await bob.get("/me")).body).toMatchObject({ id: "bob" });
    expect((await laptop.post("/kill-all")).body).toEqual({ kill: 0 });
  });
});

test("devices and killOthers find the current session by a rotated token", async () => {
  const site = await t.open({ ...routes, "/rotate": (req) => req.rs.rotate() });
  const laptop = site.browser();
  await laptop.post("/login");
  const late = laptop.copy();
  await laptop.post("/rotate");
  expect((await devices(late)).map(({ current }) => current)).toEqual([true]);
  expect((await late.post("/kill-others")).body).toEqual({ kill: 0 });
  expect((await laptop.get("/me")).body).toMatchObject({ id: "alice" });
});

test("devices and killOthers find the current session in the request that rotates it", async () => {
  const site = await t.open({
    ...routes,
    "/rotate": async (req) => {
      await req.rs.get();
      await req.rs.rotate();
      return [await req.rs.devices(), await req.rs.killOthers()];
    },
  });
  const laptop = site.browser();
  await laptop.post("/login");
  expect((await laptop.post("/rotate")).body).toMatchObject([[{ current: true }], { kill: 0 }]);
});
