import { sign } from "cookie-signature";
import { describe, expect, test } from "vitest";
import { refOf } from "../../src/sessions/token.js";
import { type Browser, parts } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/poll": (req) => req.rs.get({ touch: false }),
  "/hit": (req) => req.rs.set({ hits: 1 }),
  "/promote": (req) => req.rs.rotate(),
  "/logout": (req) => req.rs.kill(),
  "/kill-all": (req) => req.rs.killAll(),
  "/hello": () => "hello",
};

/** Returns a browser that has signed in to a site whose cookies have this maxAge. */
async function signedIn(maxAge?: number): Promise<Browser> {
  const cookie = maxAge === undefined ? {} : { maxAge };
  const browser = (await t.open(routes, { use: [t.auth({ cookie })] })).browser();
  await browser.post("/login");
  return browser;
}

/** Moves the session into the past: created and last used this many seconds ago. */
async function age(browser: Browser, created: number, used: number): Promise<void> {
  const now = Date.now();
  await t.alter(refOf(`${browser.token}`), { created: now - created * 1000, la: now - used * 1000 });
}

describe("renewal of a cookie with maxAge", () => {
  test("sends it again with the first use in each minute, with the same token and the full maxAge", async () => {
    const browser = await signedIn(3600);
    const token = browser.token;
    for (const [created, used] of [
      [90, 50],
      [1800, 1700],
      [86_400, 61],
    ] as const) {
      await age(browser, created, used);
      const { cookies } = await browser.get("/me");
      expect(cookies).toHaveLength(1);
      expect(parts(cookies[0])).toMatchObject({ "Max-Age": "3600", HttpOnly: true });
      expect(browser.token).toBe(token);
    }
  });

  test("does not send it again with further uses in the same minute", async () => {
    const browser = await signedIn(3600);
    expect((await browser.get("/me")).cookies).toEqual([]);
    await age(browser, 50, 30);
    expect((await browser.get("/me")).cookies).toEqual([]);
    await age(browser, 110, 45);
    expect((await browser.get("/me")).cookies).toEqual([]);
    await age(browser, 130, 45);
    expect((await browser.get("/me")).cookies).toHaveLength(1);
    expect((await browser.get("/me")).cookies).toEqual([]);
  });

  test("sends it with one of 20 concurrent requests", async () => {
    const browser = await signedIn(3600);
    await age(browser, 600, 300);
    const answers = await Promise.all(Array.from({ length: 20 }, () => browser.get("/me")));
    expect(answers.filter(({ cookies }) => cookies.length > 0)).toHaveLength(1);
  });

  test("renews a short maxAge before the cookie expires", async () => {
    const browser = await signedIn(20);
    await age(browser, 15, 8);
    expect((await browser.get("/me")).cookies).toHaveLength(1);
  });

  test("sends it again if the last use was just before the minute ended", async () => {
    const browser = await signedIn(3600);
    await age(browser, 61.2, 1.5);
    expect((await browser.get("/me")).cookies).toHaveLength(1);
  });

  test("renews it with set as with get", async () => {
    const browser = await signedIn(3600);
    expect((await browser.post("/hit")).cookies).toEqual([]);
    await age(browser, 110, 45);
    expect((await browser.post("/hit")).cookies).toEqual([]);
    await age(browser, 130, 45);
    const { cookies } = await browser.post("/hit");
    expect(cookies).toHaveLength(1);
    expect(parts(cookies[0])).toMatchObject({ "Max-Age": "3600" });
    expect((await browser.post("/hit")).cookies).toEqual([]);
  });

  test("does not renew it with touch: false, nor if the request does not load its session", async () => {
    const browser = await signedIn(3600);
    await age(browser, 600, 300);
    expect((await browser.get("/poll")).cookies).toEqual([]);
    expect((await browser.get("/hello")).cookies).toEqual([]);
  });

  test("never renews a cookie without maxAge", async () => {
    const browser = await signedIn();
    for (const path of ["/me", "/hit"]) {
      await age(browser, 600, 300);
      expect((await browser.post(path)).cookies).toEqual([]);
    }
  });

  test("does not renew an old token after the session was rotated", async () => {
    const browser = await signedIn(3600);
    const late = browser.copy();
    await browser.post("/promote");
    await age(browser, 600, 300);
    expect(await late.get("/me")).toMatchObject({ body: { id: "alice" }, cookies: [] });
  });
});

describe.each(SERVER_NAMES)("clearing on %s", (server) => {
  test("clears an invalid cookie once, with the first request that loads its session", async () => {
    for (const value of [
      "nonsense",
      sign("x".repeat(64), "another secret"),
      "",
      `${"x".repeat(64)}.${"A".repeat(43)}`,
    ]) {
      const browser = (await t.open(routes, { server })).browser().plant("rs", encodeURIComponent(value));
      expect((await browser.get("/hello")).cookies).toEqual([]);
      const { cookies, body } = await browser.get("/me");
      expect(body).toBeNull();
      expect(cookies.map(parts)).toEqual([expect.objectContaining({ value: "", "Max-Age": "0" })]);
      expect((await browser.get("/me")).cookies).toEqual([]);
    }
  });

  test("clears an invalid cookie with kill and killAll", async () => {
    for (const path of ["/logout", "/kill-all"]) {
      const browser = (await t.open(routes, { server })).browser().plant("rs", "nonsense");
      expect(await browser.post(path)).toMatchObject({ body: { kill: 0 }, cookies: [expect.stringMatching(/^rs=;/)] });
      expect(browser.cookies).toBe("");
    }
  });

  test("clears the cookie of a session that has ended, once", async () => {
    const browser = (await t.open(routes, { server })).browser();
    await browser.post("/login");
    await t.rs.killall({ app: "webapp" });
    expect(await browser.get("/me")).toMatchObject({ body: null, cookies: [expect.stringMatching(/^rs=;/)] });
    expect((await browser.get("/me")).cookies).toEqual([]);
  });

  test("does not change a response that has begun", async () => {
    const site = await t.open(
      {
        "/late": async (req, res) => {
          res.write("begun");
          const session = await req.rs.get();
          res.end(String(session));
        },
      },
      { server },
    );
    const browser = site.browser().plant("rs", "nonsense");
    expect(await browser.get("/late")).toMatchObject({ status: 200, text: "begunnull", cookies: [] });
  });
});
