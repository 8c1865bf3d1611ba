import { beforeEach, describe, expect, test } from "vitest";
import { refOf } from "../../src/sessions/token.js";
import { endGrace, longAfter } from "../engine/support/time-passes.js";
import type { Browser } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": async (req) => ({ id: (await req.rs.get())?.id, state: req.rs.state, reason: req.rs.reason }),
  "/rotate": (req) => req.rs.rotate(),
  "/confirm": (req) => req.rs.rotate({ confirm: true }),
  "/sudo": async (req) => {
    const before = await req.rs.get();
    const rotated = await req.rs.rotate({ confirm: true, grace: 0 });
    await req.rs.set({ role: "admin" });
    const [devices, after] = [await req.rs.devices(), await req.rs.get()];
    return [before?.ref !== rotated?.ref, devices.map(({ current }) => current), after?.ref === rotated?.ref];
  },
  "/rotate-and-read": async (req) => {
    const rotated = await req.rs.rotate({ confirm: true, grace: 0 });
    return (await req.rs.get())?.ref === rotated?.ref;
  },
  "/twice": async (req) => [await req.rs.rotate({ confirm: true }), await req.rs.rotate({ confirm: true })],
  "/twice-at-once": (req) => Promise.all([req.rs.rotate({ confirm: true }), req.rs.rotate({ confirm: true })]),
  "/confirm-then-end": async (req) => [await req.rs.rotate({ confirm: true }), await req.rs.rotate({ grace: 0 })],
};

const ref = (browser: Browser) => refOf(`${browser.token}`);
const alice = { status: 200, body: { id: "alice" } };
const cleared = [expect.stringMatching(/^rs=;/)];

let browser: Browser;

describe.each(SERVER_NAMES)("a token that is reused, on %s", (server) => {
  let thief: Browser;

  beforeEach(async () => {
    const auth = t.auth();
    const site = await t.open({ ...routes, "/private": [auth.required(), () => "in"] }, { server, use: [auth] });
    browser = site.browser();
    await browser.post("/login");
    thief = browser.copy();
  });

  test("ends the session: the victim and the thief get 401, lose their cookies, and are told why", async () => {
    await browser.post("/rotate");
    expect(await browser.get("/me")).toMatchObject(alice);
    await longAfter(t.db, ref(thief));
    const copies = [thief.copy(), browser.copy()];
    for (const one of [thief, browser]) {
      expect(await one.get("/private")).toMatchObject({ status: 401, cookies: cleared });
      expect(one.cookies).toBe("");
    }
    for (const one of copies) expect((await one.get("/me")).body).toEqual({ state: "none", reason: "reused" });
  });

  test("ends the session of a thief who has rotated it first", async () => {
    await thief.post("/rotate");
    expect(await thief.get("/me")).toMatchObject(alice);
    await longAfter(t.db, ref(browser));
    expect(await browser.get("/private")).toMatchObject({ status: 401, cookies: cleared });
    expect((await thief.get("/me")).body).toEqual({ state: "none", reason: "reused" });
  });

  test("ends the session of a thief when the victim signs in again, also within the minute after the grace", async () => {
    await thief.post("/rotate");
    expect(await thief.get("/me")).toMatchObject(alice);
    await endGrace(t.db, ref(browser));
    await browser.post("/login");
    expect((await thief.get("/me")).body).toEqual({ state: "none" });
    expect(await browser.get("/me")).toMatchObject(alice);
  });
});

describe("a late request with the old token", () => {
  beforeEach(async () => {
    browser = (await t.open(routes)).browser();
    await browser.post("/login");
  });

  // Otherwise the response would clear the new cookie.
  test("finds no session, and clears no cookie", async () => {
    const late = browser.copy();
    await browser.post("/rotate");
    await browser.get("/me");
    await endGrace(t.db, ref(late));
    expect(await late.get("/me")).toMatchObject({ body: { state: "none" }, cookies: [] });
    expect(await browser.get("/me")).toMatchObject(alice);
  });

  test("beside the new cookie ends nothing, as an old path leaves it behind", async () => {
    const old = browser.cookies;
    await browser.post("/rotate");
    await browser.get("/me");
    const current = browser.cookies;
    await longAfter(t.db, refOf(old.slice(3, 67)));
    for (const cookie of [`${old}; ${current}`, `${current}; ${old}`]) {
      expect(await browser.get("/me", { cookie })).toMatchObject(alice);
    }
  });
});

describe("rotate with confirm", () => {
  /** A browser with the same cookies. What it receives is lost for the first one. */
  let lost: Browser;

  beforeEach(async () => {
    browser = (await t.open(routes)).browser();
    await browser.post("/login");
    lost = browser.copy();
  });

  test("keeps a browser signed in whose response was lost, until it rotates again and uses that token", async () => {
    await lost.post("/confirm");
    const old = ref(browser);
    await longAfter(t.db, old);
    expect(await browser.get("/me")).toMatchObject({ ...alice, cookies: [] });
    await browser.post("/confirm");
    expect(browser.token).toBe(lost.token);
    expect(await browser.get("/me")).toMatchObject(alice);
    expect(await t.db.pttl(`rs:{webapp}:s:${old}`)).toBeLessThanOrEqual(10_000);
  });

  test.each([
    ["/sudo", [true, [true], true]],
    ["/rotate-and-read", true],
  ])("does not take other calls in the same request for a use of the new token: %s", async (path, body) => {
    expect((await lost.post(path)).body).toEqual(body);
    await longAfter(t.db, ref(browser));
    expect(await browser.get("/me")).toMatchObject(alice);
    expect(await lost.get("/me")).toMatchObject(alice);
    expect((await browser.get("/me")).body).toEqual({ state: "none" });
  });

  test.each(["/twice", "/twice-at-once"])("returns one token if a request calls it %s", async (path) => {
    const { body, cookies } = await lost.post(path);
    const [first, second] = body as { token: string }[];
    expect(second).toEqual(first);
    expect(cookies).toHaveLength(1);
    await longAfter(t.db, ref(browser));
    expect(await browser.get("/me")).toMatchObject(alice);
    expect(await lost.get("/me")).toMatchObject(alice);
  });

  test("ends the old token if the same request rotates again without it", async () => {
    await lost.post("/confirm-then-end");
    expect((await browser.get("/me")).body).toEqual({ state: "none" });
    expect(await lost.get("/me")).toMatchObject(alice);
  });

  test("leaves all of 20 requests that rotate at the same time with one token", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => browser.post("/confirm")));
    const tokens = new Set(answers.map(({ body }) => (body as { token: string }).token));
    expect([...tokens]).toEqual([browser.token]);
    expect(await browser.get("/me")).toMatchObject(alice);
  });
});
