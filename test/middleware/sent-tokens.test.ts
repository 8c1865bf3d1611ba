import { sign } from "cookie-signature";
import { describe, expect, test } from "vitest";
import { sessions } from "../../src/middleware/index.js";
import { type Data, type Handler, type Routes, SERVER_NAMES } from "./support/servers.js";
import { query, SECRET, useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/me": async (req) => [await req.rs.get(), req.rs.token],
  "/poll": async (req) => [await req.rs.get({ touch: false }), req.rs.token],
  "/set": async (req) => [await req.rs.set({ a: 1 }), req.rs.token],
  "/state": async (req) => [await req.rs.get(), req.rs.state],
  "/rotate": (req) => req.rs.rotate(),
  "/create": (req) => req.rs.create(query(req, "as")),
  "/logout": (req) => req.rs.kill(),
  "/kill-all": (req) => req.rs.killAll(),
  "/kill-others": (req) => req.rs.killOthers(),
  "/devices": (req) => req.rs.devices(),
  "/hello": (req) => [req.rs.token, req.rs.state],
};

const token = async (id: string, app = "webapp") => (await t.rs.create({ app, id, ip: "::1" })).token;

/** Returns the token of a session that has ended. */
async function deadToken(): Promise<string> {
  const dead = await token("somebody");
  await t.rs.kill({ app: "webapp", token: dead });
  return dead;
}

const cookieOf = (...tokens: string[]) => tokens.map((one) => `rs=${encodeURIComponent(sign(one, SECRET))}`).join("; ");

const sessionOf = (one: string) => t.rs.get({ app: "webapp", token: one, touch: false });

describe.each(SERVER_NAMES)("two cookies with one name on %s", (server) => {
  test.each(["/me", "/poll", "/set"])("%s uses the cookie that has a session, and clears none", async (path) => {
    const [dead, good] = [await deadToken(), await token("alice")];
    const site = await t.open(routes, { server });
    for (const order of [
      [dead, good],
      [good, dead],
    ]) {
      const { body, cookies } = await site.browser({ cookie: cookieOf(...order) }).post(path);
      expect(body).toMatchObject([{ id: "alice" }, good]);
      expect(cookies).toEqual([]);
    }
  });

  test("rotate as the first call replaces the token of the live session", async () => {
    const [dead, good] = [await deadToken(), await token("alice")];
    const site = await t.open(routes, { server });
    const { body } = await site.browser({ cookie: cookieOf(dead, good) }).post("/rotate");
    expect(await sessionOf((body as { token: string }).token)).toMatchObject({ id: "alice" });
  });

  test("kill as the first call ends the live session", async () => {
    const [dead, good] = [await deadToken(), await token("alice")];
    const site = await t.open(routes, { server });
    const { body, cookies } = await site.browser({ cookie: cookieOf(dead, good) }).post("/logout");
    expect(body).toEqual({ kill: 1 });
    expect(cookies).toEqual([expect.stringMatching(/^rs=;/)]);
    expect(await sessionOf(good)).toBeNull();
  });

  test("create as the first call ends the live session", async () => {
    const [dead, good] = [await deadToken(), await token("alice")];
    const site = await t.open(routes, { server });
    await site.browser({ cookie: cookieOf(dead, good) }).post("/create?as=bob");
    expect(await sessionOf(good)).toBeNull();
    expect((await t.rs.soid({ app: "webapp", id: "bob" })).sessions).toHaveLength(1);
  });

  test("returns no session and clears the cookie once if no session is live", async () => {
    const cookie = cookieOf(await deadToken(), await deadToken());
    const { body, cookies } = await (await t.open(routes, { server })).browser({ cookie }).get("/state");
    expect(body).toEqual([null, "none"]);
    expect(cookies).toEqual([expect.stringMatching(/^rs=;/)]);
  });

  test("ignores the cookie of a parent domain's app with the same name and secret", async () => {
    const [parents, good] = [await token("alice", "parent"), await token("alice")];
    const site = await t.open(routes, { server });
    const { body, cookies } = await site.browser({ cookie: cookieOf(parents, good) }).post("/me");
    expect(body).toMatchObject([{ id: "alice" }, good]);
    expect(cookies).toEqual([]);
    await site.browser({ cookie: cookieOf(parents, good) }).post("/logout");
    expect(await t.rs.get({ app: "parent", token: parents })).toMatchObject({ id: "alice" });
  });
});

test("killAll, killOthers and devices use the live session's user", async () => {
  const site = await t.open(routes);
  const [dead, good] = [await deadToken(), await token("alice")];
  await token("alice");
  const browser = site.browser({ cookie: cookieOf(dead, good) });
  expect((await browser.get("/devices")).body).toMatchObject([{ current: false }, { current: true }]);
  expect((await browser.post("/kill-others")).body).toEqual({ kill: 1 });
  expect((await browser.post("/kill-all")).body).toEqual({ kill: 1 });
});

describe("choice of the cookie", () => {
  test("uses the first of two live sessions, and reads and touches only that one", async () => {
    const site = await t.open(routes);
    const [alice, bob] = [await token("alice"), await token("bob")];
    expect((await site.browser({ cookie: cookieOf(alice, bob) }).get("/me")).body).toMatchObject([
      { id: "alice" },
      alice,
    ]);
    expect((await site.browser({ cookie: cookieOf(bob, alice) }).get("/me")).body).toMatchObject([
      { id: "bob", r: 1 },
      bob,
    ]);
    expect([await sessionOf(alice), await sessionOf(bob)]).toMatchObject([{ r: 2 }, { r: 2 }]);
  });

  test("prefers the new token to a rotated token in its grace", async () => {
    const site = await t.open(routes);
    const old = await token("alice");
    const { token: fresh = "" } = (await t.rs.rotate({ app: "webapp", token: old })) ?? {};
    expect((await site.browser({ cookie: cookieOf(old, fresh) }).get("/me")).body).toMatchObject([
      { id: "alice" },
      fresh,
    ]);
    expect((await site.browser({ cookie: cookieOf(old, fresh) }).post("/rotate")).body).toHaveProperty("token");
  });

  test("tries four cookies and no fifth", async () => {
    const site = await t.open(routes);
    const dead = await Promise.all([1, 2, 3, 4].map(deadToken));
    const good = await token("alice");
    const me = async (...tokens: string[]) =>
      ((await site.browser({ cookie: cookieOf(...tokens) }).get("/me")).body as [{ id: string } | null])[0]?.id;
    expect(await me(...dead.slice(1), good)).toBe("alice");
    expect(await me(...dead, good)).toBeUndefined();
  });

  test("uses the first token, with the state unmodified, before any call", async () => {
    const site = await t.open(routes);
    const [dead, good] = [await deadToken(), await token("alice")];
    const commands = await t.redis.watch(async () => {
      const { body } = await site.browser({ cookie: cookieOf(dead, good) }).get("/hello");
      expect(body).toEqual([dead, "unmodified"]);
    });
    expect(commands).toEqual([]);
  });
});

test("looks up all cookies together, and a repeated cookie once", async () => {
  const site = await t.open(routes);
  const [dead, other, good] = [await deadToken(), await deadToken(), await token("alice")];
  await site.browser({ cookie: cookieOf(good) }).get("/me");
  const cost = async (...tokens: string[]) => {
    const cookie = cookieOf(...tokens);
    return (await t.redis.watch(() => site.browser({ cookie }).get("/me"))).map(([name]) => name);
  };
  // The first lookup is sent at once, the others share a run. The last command is the read.
  expect(await cost(dead, good)).toEqual(["evalsha", "evalsha", "evalsha"]);
  expect(await cost(dead, other, good, good)).toEqual(["evalsha", "evalsha", "evalsha"]);
  expect(await cost(good, good)).toEqual(["evalsha"]);
});

// Otherwise the browser would send the other cookie next time, and be signed in again or as another user.
describe("two cookies with live sessions", () => {
  test.each<[string, string, number]>([
    ["kill", "/logout", 2],
    ["killAll", "/kill-all", 2],
  ])("%s ends both sessions", async (_name, path, kill) => {
    const site = await t.open(routes);
    const [alice, bob] = [await token("alice"), await token("bob")];
    expect((await site.browser({ cookie: cookieOf(alice, bob) }).post(path)).body).toEqual({ kill });
    expect([await sessionOf(alice), await sessionOf(bob)]).toEqual([null, null]);
  });

  test("create ends both sessions", async () => {
    const site = await t.open(routes);
    const [alice, bob] = [await token("alice"), await token("bob")];
    const { body } = await site.browser({ cookie: cookieOf(alice, bob) }).post("/create?as=carol");
    expect([await sessionOf(alice), await sessionOf(bob)]).toEqual([null, null]);
    expect(await sessionOf((body as { token: string }).token)).toMatchObject({ id: "carol" });
  });
});

test("uses one session in concurrent calls", async () => {
  const calls: Handler = async (req) => {
    const all = await Promise.all([req.rs.get(), req.rs.set({ a: 1 }), req.rs.set({ b: 2 }), req.rs.devices()]);
    return [all.flat().map((session) => session?.id), req.rs.token];
  };
  const site = await t.open({ "/calls": calls });
  const [dead, good] = [await deadToken(), await token("alice")];
  const { body } = await site.browser({ cookie: cookieOf(dead, good) }).get("/calls");
  expect(body).toEqual([Array(4).fill("alice"), good]);
  expect(await sessionOf(good)).toMatchObject({ d: { a: 1, b: 2 } });
});

// Otherwise the response would clear the cookie, which holds the new token by then.
test("does not clear the new cookie in a request with two old cookies that ends after a sign-in", async () => {
  const site = await t.open(routes);
  const [dead, good] = [await deadToken(), await token("alice")];
  await site.browser({ cookie: cookieOf(good) }).post("/create?as=bob");
  expect((await site.browser({ cookie: cookieOf(dead, good) }).get("/me")).cookies).toEqual([]);
});

test("signs a cookie with an old secret again, once, also beside a cookie without a session", async () => {
  const auth = t.auth({ secret: ["new", SECRET] });
  const site = await t.open(routes, { use: [auth] });
  const [dead, good] = [await deadToken(), await token("alice")];
  const { cookies } = await site.browser({ cookie: cookieOf(dead, good) }).get("/me");
  expect(cookies).toEqual([expect.stringContaining(good)]);
  const both = `${cookieOf(good)}; rs=${encodeURIComponent(sign(good, "new"))}`;
  expect((await site.browser({ cookie: both }).get("/me")).cookies).toEqual([]);
});

test("uses the cookie of the request's app if app is a function", async () => {
  const auth = sessions<Data>({ rs: t.rs, app: async (req) => req.headers["x-tenant"]?.toString(), secret: SECRET });
  const site = await t.open(routes, { use: [auth] });
  const cookie = cookieOf(await token("alice", "blue"), await token("bob", "green"));
  for (const [tenant, id] of [
    ["blue", "alice"],
    ["green", "bob"],
  ] as const) {
    const browser = site.browser({ cookie, "x-tenant": tenant });
    expect((await browser.get("/me")).body).toMatchObject([{ id }, expect.any(String)]);
  }
  expect((await site.browser({ cookie }).get("/me")).body).toMatchObject([null, expect.any(String)]);
});
