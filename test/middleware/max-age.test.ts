import { describe, expect, test } from "vitest";
import { refOf } from "../../src/sessions/token.js";
import { type Browser, parts } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { query, type SiteOptions, useSites } from "./support/site.js";

const t = useSites();
const DAY = 86_400;

const routes: Routes = {
  // ?maxAge=null is what `maxAge: null` is in code.
  "/login": (req) => req.rs.create("alice", JSON.parse(query(req, "options") || "{}")),
  "/me": (req) => req.rs.get(),
  "/hit": (req) => req.rs.set({ hits: 1 }),
  "/rotate": (req) => req.rs.rotate(),
  "/get-and-rotate": async (req) => (await req.rs.get()) && req.rs.rotate({ grace: 0 }),
};

const login = (options: object) => `/login?options=${encodeURIComponent(JSON.stringify(options))}`;

async function open(maxAge: number | undefined, options: SiteOptions = {}): Promise<Browser> {
  const cookie = maxAge === undefined ? {} : { maxAge };
  return (await t.open(routes, { use: [t.auth({ cookie })], ...options })).browser();
}

/** Returns the Max-Age of the response's cookie: undefined if the cookie ends with the browser, "no cookie" without one. */
async function maxAgeOf(browser: Browser, path: string): Promise<unknown> {
  const { status, cookies } = await browser.post(path);
  expect(status).toBe(200);
  return cookies.length === 0 ? "no cookie" : parts(cookies[0])["Max-Age"];
}

/** Moves the session into the past, so that its cookie is due for a renewal. */
async function age(browser: Browser): Promise<void> {
  const now = Date.now();
  await t.alter(refOf(`${browser.token}`), { created: now - 600_000, la: now - 300_000 });
}

describe.each(SERVER_NAMES)("maxAge of create on %s", (server) => {
  test("is the lifetime of the session's cookie, whatever the middleware's", async () => {
    for (const middleware of [undefined, 600]) {
      const browser = await open(middleware, { server });
      expect(await maxAgeOf(browser, login({ maxAge: 30 * DAY }))).toBe(`${30 * DAY}`);
      expect(await maxAgeOf(browser, login({ maxAge: null }))).toBeUndefined();
      expect(await maxAgeOf(browser, login({}))).toBe(middleware && `${middleware}`);
    }
  });

  test("is kept by renewals with get and set, and by rotations", async () => {
    for (const middleware of [undefined, 600]) {
      const browser = await open(middleware, { server });
      await browser.post(login({ maxAge: 30 * DAY }));
      for (const path of ["/me", "/hit", "/rotate", "/me", "/get-and-rotate", "/hit"]) {
        await age(browser);
        expect(await maxAgeOf(browser, path), path).toBe(`${30 * DAY}`);
      }
    }
  });

  test("null is kept by rotations, and such a cookie is never renewed", async () => {
    const browser = await open(600, { server });
    await browser.post(login({ maxAge: null }));
    for (const path of ["/rotate", "/get-and-rotate"]) {
      for (const reading of ["/me", "/hit"]) {
        await age(browser);
        expect(await maxAgeOf(browser, reading)).toBe("no cookie");
      }
      expect(await maxAgeOf(browser, path), path).toBeUndefined();
    }
  });
});

test("a cookie that is signed again with a new secret keeps the lifetime of its session", async () => {
  const [OLD, NEW] = ["o".repeat(32), "n".repeat(32)];
  for (const [maxAge, expected] of [
    [30 * DAY, `${30 * DAY}`],
    [null, undefined],
  ] as const) {
    const browser = await open(undefined, { use: [t.auth({ secret: OLD })] });
    await browser.post(login({ maxAge }));
    const rotated = (
      await t.open(routes, { use: [t.auth({ secret: [NEW, OLD], cookie: { maxAge: 600 } })] })
    ).browser();
    rotated.plant("rs", /rs=([^;]*)/.exec(browser.cookies)?.[1] as string);
    expect(await maxAgeOf(rotated, "/me")).toBe(expected);
  }
});

describe("the ttl of a sign-in with maxAge", () => {
  test.each<[object, object, number]>([
    [{}, { maxAge: 30 * DAY }, 30 * DAY],
    [{ ttl: 3600 }, { maxAge: 30 * DAY }, 30 * DAY],
    [{ ttl: 3600 }, { maxAge: 60 }, 3600],
    [{ ttl: 3600 }, { maxAge: null }, 3600],
    [{ ttl: 3600 }, { maxAge: 30 * DAY, ttl: 600 }, 600],
    [{ ttl: 3600, absolute: DAY }, { maxAge: 30 * DAY }, DAY],
  ])("with the middleware's %j and create's %j is %i", async (middleware, create, ttl) => {
    const browser = (await t.open(routes, { use: [t.auth(middleware)] })).browser();
    await browser.post(login(create));
    expect((await browser.get("/me")).body).toMatchObject({ ttl });
  });
});

test("create takes the middleware's limits for options that are null, and a maxAge of digits", async () => {
  const browser = (await t.open(routes, { use: [t.auth({ ttl: 3600, maxPerUser: 1 })] })).browser();
  await browser.copy().post(login({}));
  expect(await maxAgeOf(browser, login({ ttl: null, maxPerUser: null, device: null, maxAge: "60" }))).toBe("60");
  expect((await browser.get("/me")).body).toMatchObject({ ttl: 3600, maxAge: 60 });
  expect(await t.rs.soid({ app: "webapp", id: "alice" })).toMatchObject({ sessions: [{ maxAge: 60 }] });
});

test("create refuses milliseconds, and signs nobody in", async () => {
  const site = await t.open({
    "/login": (req) => req.rs.create("alice", { maxAge: 30 * DAY * 1000 }).catch(({ message }) => message),
  });
  expect(await site.browser().post("/login")).toMatchObject({
    body: "maxAge must be seconds, an integer from 1 to 34560000, or null",
    cookies: [],
  });
});
