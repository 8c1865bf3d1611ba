import { describe, expect, test } from "vitest";
import { refOf } from "../../src/sessions/token.js";
import { editFields } from "../support/session-text.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { outcome, query, useSites } from "./support/site.js";

const t = useSites();

const keyOf = (ref: string) => `rs:{webapp}:s:${ref}`;

const routes: Routes = {
  "/login": (req) => req.rs.create(query(req, "as") || "alice", { d: { cart: 1 } }),
  "/me": (req) => req.rs.get(),
  "/poll": (req) => req.rs.get({ touch: false }),
  "/token": (req) => ({ token: req.rs.token ?? null, state: req.rs.state }),
  "/set": (req) => req.rs.set(JSON.parse(query(req, "d"))),
  "/set-quietly": (req) => req.rs.set({ a: 1 }, { touch: false }),
  "/touch": (req) => req.rs.touch(query(req, "ttl") === "" ? {} : { ttl: Number(query(req, "ttl")) }),
  "/count": (req) => req.rs.increment("n", Number(query(req, "by") || 1), { max: 100 }),
  "/count-many": async (req) => {
    await req.rs.get();
    await Promise.all(Array.from({ length: 10 }, () => req.rs.increment("n")));
    return [(await req.rs.get())?.d, req.rs.state];
  },
  "/rotate": (req) => req.rs.rotate(),
  "/logout": (req) => req.rs.kill(),
};

const set = (d: object) => `/set?d=${encodeURIComponent(JSON.stringify(d))}`;

describe.each(SERVER_NAMES)("%s", (server) => {
  test("keeps a session from create until kill", async () => {
    const browser = (await t.open(routes, { server })).browser();
    expect((await browser.get("/me")).body).toBeNull();
    const { token, ref } = (await browser.post("/login")).body as { token: string; ref: string };
    expect(browser.token).toBe(token);
    expect((await browser.get("/me")).body).toMatchObject({ ref, id: "alice", d: { cart: 1 } });
    expect((await browser.post("/logout")).body).toEqual({ kill: 1 });
    expect(browser.cookies).toBe("");
    expect((await browser.get("/me")).body).toBeNull();
    expect((await browser.post("/logout")).body).toEqual({ kill: 0 });
    expect(await t.stored(ref)).toEqual({});
  });

  test("token is the one that the browser sent or is about to receive", async () => {
    const site = await t.open(
      { ...routes, "/sign-in": async (req) => [await req.rs.create("alice"), req.rs.token] },
      { server },
    );
    const browser = site.browser();
    expect((await browser.get("/token")).body).toEqual({ token: null, state: "none" });
    const [created, token] = (await browser.post("/sign-in")).body as [{ token: string }, string];
    expect(token).toBe(created.token);
    expect((await browser.get("/token")).body).toEqual({ token, state: "unmodified" });
  });

  test("set merges key by key, removes a key with null and accepts any JSON value", async () => {
    const browser = (await t.open(routes, { server })).browser();
    await browser.post("/login");
    const cart = [{ sku: "a", tags: ["x", { y: null }] }];
    expect((await browser.post(set({ cart, name: "A" }))).body).toMatchObject({ w: 2, d: { cart, name: "A" } });
    expect((await browser.post(set({ name: null }))).body).toMatchObject({ w: 3, d: { cart } });
    expect(((await browser.get("/me")).body as { d: unknown }).d).toEqual({ cart });
  });

  test("set with touch: false writes, and leaves the last use alone", async () => {
    const browser = (await t.open(routes, { server })).browser();
    const { ref } = (await browser.post("/login")).body as { ref: string };
    await editFields(t.db, keyOf(ref), { la: { add: -60_000 } });
    expect((await browser.post("/set-quietly")).body).toMatchObject({ w: 2, idle: 60, d: { cart: 1, a: 1 } });
    expect((await browser.get("/me")).body).toMatchObject({ idle: 60 });
    expect((await browser.get("/me")).body).toMatchObject({ idle: 0 });
  });

  test("touch prolongs the session, sets another ttl, and returns null without a session", async () => {
    const browser = (await t.open(routes, { server })).browser();
    expect((await browser.post("/touch")).body).toBeNull();
    const { ref } = (await browser.post("/login")).body as { ref: string };
    await editFields(t.db, keyOf(ref), { la: { add: -60_000 } });
    const { idle, expires } = (await browser.post("/touch")).body as { idle: number; expires: number };
    expect(idle).toBe(60);
    expect(Math.abs(expires - (Date.now() + 7_200_000))).toBeLessThan(2000);
    expect((await browser.post("/touch?ttl=86400")).body).toMatchObject({ r: 1, ttl: 86_400, idle: 0 });
    expect(await t.db.pttl(keyOf(ref))).toBeGreaterThan(86_390_000);
    expect((await browser.post("/touch?ttl=9")).status).toBe(500);
  });

  test("increment loses no count of parallel requests, stops at max, and get returns the new value", async () => {
    const browser = (await t.open(routes, { server })).browser();
    expect((await browser.post("/count")).body).toBeNull();
    await browser.post("/login");
    await Promise.all(Array.from({ length: 50 }, () => browser.post("/count")));
    expect((await browser.get("/me")).body).toMatchObject({ w: 51, d: { cart: 1, n: 50 } });
    expect((await browser.post("/count?by=51")).body).toEqual({ value: 50, applied: false });
    expect((await browser.post("/count-many")).body).toEqual([{ cart: 1, n: 60 }, "modified"]);
  });

  test("set without a session returns null and writes nothing", async () => {
    const browser = (await t.open(routes, { server })).browser();
    expect((await browser.post(set({ a: 1 }))).body).toBeNull();
    await browser.post("/login");
    await t.rs.killsoid({ app: "webapp", id: "alice" });
    expect((await browser.post(set({ a: 1 }))).body).toBeNull();
    expect(await t.db.keys("rs:{webapp}:*")).toEqual([]);
  });

  test("get asks Redis once per request and counts one read, or none with touch: false", async () => {
    const site = await t.open(
      { ...routes, "/thrice": (req) => Promise.all([1, 2, 3].map(() => req.rs.get())) },
      { server },
    );
    const browser = site.browser();
    await browser.post("/login");
    const ref = refOf(`${browser.token}`);
    const sessions = (await browser.get("/thrice")).body as { r: number }[];
    expect(sessions.map(({ r }) => r)).toEqual([1, 1, 1]);
    expect((await t.stored(ref)).r).toBe("2");
    await browser.get("/poll");
    expect((await t.stored(ref)).r).toBe("2");
  });

  test("get throws for a misspelt touch, which would keep the session alive", async () => {
    const site = await t.open({
      ...routes,
      "/misspelt": (req) => outcome(req.rs.get({ tuch: false } as object)),
      "/text": (req) => outcome(req.rs.get({ touch: "no" as unknown as boolean })),
    });
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.get("/misspelt")).body).toMatchObject({ message: expect.stringContaining('"touch"') });
    expect((await browser.get("/text")).body).toMatchObject({ message: "touch must be true or false" });
    expect((await browser.get("/me")).body).toMatchObject({ r: 1 });
  });

  test("get touches the session, unless touch is false", async () => {
    const browser = (await t.open(routes, { server })).browser();
    await browser.post("/login");
    const ref = refOf(`${browser.token}`);
    await t.alter(ref, { la: Date.now() - 60_000 });
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 5000);
    expect((await browser.get("/poll")).body).toMatchObject({ idle: 60 });
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(5000);
    await browser.get("/me");
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeGreaterThan(7_000_000);
  });

  test("get touches the session after a get with touch: false", async () => {
    const site = await t.open(
      {
        ...routes,
        "/peeked": async (req) => [await req.rs.get({ touch: false }), await req.rs.get(), await req.rs.get()],
      },
      { server },
    );
    const browser = site.browser();
    await browser.post("/login");
    const ref = refOf(`${browser.token}`);
    await t.alter(ref, { la: Date.now() - 60_000 });
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 5000);
    expect((await browser.get("/peeked")).body).toMatchObject([{ idle: 60, r: 1 }, { r: 1 }, { r: 1 }]);
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeGreaterThan(7_000_000);
    expect((await t.stored(ref)).r).toBe("2");
  });

  test("create returns a new token and ends the browser's session", async () => {
    const browser = (await t.open(routes, { server })).browser();
    await browser.post("/login?as=alice");
    const before = `${browser.token}`;
    await browser.post("/login?as=bob");
    expect(browser.token).not.toBe(before);
    expect((await browser.get("/me")).body).toMatchObject({ id: "bob" });
    expect(await t.rs.get({ app: "webapp", token: before })).toBeNull();
    expect((await t.rs.soapp({ app: "webapp", dt: 60 })).sessions).toHaveLength(1);
  });

  test("create takes ip and device from the request, unless the options contain them", async () => {
    const site = await t.open(
      {
        "/login": (req) => req.rs.create("alice"),
        "/as-told": (req) => req.rs.create("alice", { ip: "203.0.113.7", device: "Kiosk", ttl: 99, no_resave: true }),
        "/me": (req) => req.rs.get(),
      },
      { server, use: [t.auth({ ttl: 600 })] },
    );
    const agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const browser = site.browser({ "user-agent": agent });
    await browser.post("/login");
    const session = { ip: "127.0.0.1", device: "Firefox on Windows", ttl: 600 };
    expect((await browser.get("/me")).body).toMatchObject(session);
    await browser.post("/as-told");
    const told = { ip: "203.0.113.7", device: "Kiosk", no_resave: true, ttl: expect.closeTo(99, -1) };
    expect((await browser.get("/me")).body).toMatchObject(told);
  });

  test("rotate returns a new token for the same session", async () => {
    const browser = (await t.open(routes, { server })).browser();
    await browser.post("/login");
    const before = `${browser.token}`;
    const rotated = (await browser.post("/rotate")).body as { token: string; ref: string };
    expect(rotated.token).not.toBe(before);
    expect(browser.token).toBe(rotated.token);
    expect((await browser.get("/me")).body).toMatchObject({ ref: rotated.ref, id: "alice", d: { cart: 1 } });
  });

  test("rotate without a session returns null and sets no cookie", async () => {
    const browser = (await t.open(routes, { server })).browser();
    expect(await browser.post("/rotate")).toMatchObject({ body: null, cookies: [] });
    await browser.post("/login");
    await t.rs.killall({ app: "webapp" });
    expect(await browser.post("/rotate")).toMatchObject({ body: null, cookies: [] });
  });

  test("set has written when it resolves, so the request after a redirect reads the data", async () => {
    const site = await t.open(
      {
        ...routes,
        "/save": async (req, res) => {
          await req.rs.set({ n: Number(query(req, "n")) });
          res.writeHead(303, { Location: "/me" }).end();
        },
      },
      { server },
    );
    const browser = site.browser();
    await browser.post("/login");
    for (let n = 0; n < 50; n++) {
      const { headers, status } = await browser.post(`/save?n=${n}`);
      expect(status).toBe(303);
      expect((await browser.get(`${headers.location}`)).body).toMatchObject({ d: { n } });
    }
  });

  test("set and create reject invalid data and ids with an error that names the cause", async () => {
    const site = await t.open(
      {
        ...routes,
        "/bad-set": (req) => outcome(req.rs.set({ f: (() => 1) as never })),
        "/bad-id": (req) => outcome(req.rs.create("")),
      },
      { server },
    );
    const browser = site.browser();
    await browser.post("/login");
    expect((await browser.post("/bad-set")).body).toMatchObject({
      error: "invalidValue",
      message: expect.stringContaining("d.f has a forbidden type"),
    });
    expect((await browser.post("/bad-id")).body).toMatchObject({
      error: "missingParameter",
      message: "No id supplied",
    });
  });
});
