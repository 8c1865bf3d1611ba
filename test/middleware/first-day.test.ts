import Fastify from "fastify";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type SessionsOptions, sessions } from "../../src/middleware/index.js";
import { parts } from "./support/browser.js";
import { type Data, type Req, type Routes, SERVER_NAMES, type ServerName } from "./support/servers.js";
import { SECRET, useSites } from "./support/site.js";

/** Mistakes that would otherwise go unnoticed, and the words that name the remedy. */

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
};

const emitWarning = vi.spyOn(process, "emitWarning").mockReturnValue();

beforeEach(() => void emitWarning.mockClear());
afterAll(() => emitWarning.mockRestore());

/** Returns the codes and messages of our warnings. */
function warnings(): [code: unknown, message: string][] {
  return emitWarning.mock.calls.map(([message, options]) => [(options as { code?: unknown })?.code, String(message)]);
}

describe("a proxy that is not trusted", () => {
  const HTTPS_PROXY = { "x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7" };

  test.each(SERVER_NAMES)("causes one warning on %s, which names the line to add", async (server) => {
    const browser = (await t.open(routes, { server })).browser(HTTPS_PROXY);
    for (let i = 0; i < 3; i++) {
      expect(parts((await browser.post("/login")).cookies[0])).not.toHaveProperty("Secure");
    }
    expect((await browser.get("/me")).body).toMatchObject({ ip: "127.0.0.1" });
    expect(warnings()).toEqual([["UNTRUSTED_PROXY", expect.stringContaining('app.set("trust proxy", 1)')]]);
    const [[, message = ""] = []] = warnings();
    expect(message).toContain('Fastify({ trustProxy: "loopback" })');
    expect(message).toContain("Connect and node:http: set req.secure and req.ip");
  });

  test("causes the warning also without a cookie, because of the address", async () => {
    const auth = t.auth({ header: true, cookie: false });
    await (await t.open(routes, { use: [auth] })).browser(HTTPS_PROXY).post("/login");
    expect(warnings()).toEqual([["UNTRUSTED_PROXY", expect.any(String)]]);
  });

  test.each<[ServerName, boolean, Record<string, string>]>([
    ["Express 4", true, HTTPS_PROXY],
    ["Express 5", true, HTTPS_PROXY],
    ["Fastify", true, HTTPS_PROXY],
    ["Express 5", false, {}],
    ["Express 5", false, { "x-forwarded-proto": "http" }],
    ["Express 5", false, { "x-forwarded-proto": "http, https" }],
    ["Express 5", false, { "x-forwarded-for": "203.0.113.7" }],
  ])("causes no warning on %s if trusted is %j and the headers are %j", async (server, trustProxy, headers) => {
    await (await t.open(routes, { server, trustProxy })).browser(headers).post("/login");
    expect(warnings()).toEqual([]);
  });

  test("causes no warning if the app sets req.secure, and none before a sign-in", async () => {
    const auth = t.auth();
    const site = await t.open(routes, {
      server: "node:http",
      use: [
        (req, _res, next) => {
          Object.assign(req, { secure: req.url !== "/me" });
          next();
        },
        auth,
      ],
    });
    await site.browser(HTTPS_PROXY).post("/login");
    await site.browser(HTTPS_PROXY).get("/me");
    expect(warnings()).toEqual([]);
  });
});

describe("a secret of fewer than 32 characters", () => {
  const LONG = "0123456789abcdef0123456789abcdef";

  test.each([LONG.slice(1), "keyboard cat", [LONG.slice(1), LONG]])("causes one warning for %j", async (secret) => {
    const auth = t.auth({ secret });
    const browser = (await t.open(routes, { use: [auth] })).browser();
    for (let i = 0; i < 2; i++) await browser.post("/login");
    expect(warnings()).toEqual([["SHORT_SECRET", expect.stringContaining("node -p")]]);
    for (const one of [secret].flat()) expect(warnings()[0]?.[1]).not.toContain(one);
  });

  test("causes no warning as an old secret in the list, nor if it is not used", () => {
    t.auth({ secret: LONG });
    t.auth({ secret: [LONG, "keyboard cat"] });
    t.auth({ secret: "keyboard cat", cookie: false, header: true });
    expect(warnings()).toEqual([]);
  });
});

describe("a property that is assigned to req.rs", () => {
  // The assignments of sloppy code, such as CommonJS, would fail silently if req.rs were frozen.
  const assign = new Function("rs", "name", "rs[name] = 'hunter2'");

  test.each([
    ["foo", "req.rs.foo = … stores nothing. To store it in the session: await req.rs.set({ foo: … })"],
    ["user-id", "req.rs[…] = … stores nothing. To store it in the session: await req.rs.set({ …: … })"],
    ["a".repeat(64), "req.rs[…] = … stores nothing. To store it in the session: await req.rs.set({ …: … })"],
    ["id", "req.rs.id = … stores nothing. To store it in the session: await req.rs.set({ id: … })"],
  ])("throws for %s", async (name, message) => {
    const refuse = (req: Req) => {
      try {
        assign(req.rs, name);
        return "no error";
      } catch (error) {
        const { name, message } = error as Error;
        return { name, message };
      }
    };
    const browser = (await t.open({ ...routes, "/assign": refuse })).browser();
    await browser.post("/login");
    const { body } = await browser.get("/assign");
    expect(body).toEqual({ name: "invalidValue", message: expect.stringContaining(message) });
    expect(JSON.stringify(body)).not.toContain("hunter2");
  });

  test("throws for Object.assign", async () => {
    const site = await t.open({ "/assign": (req) => Object.assign(req.rs, { foo: 1 }) });
    expect(await site.browser().get("/assign")).toMatchObject({ status: 500 });
  });

  test("leaves the methods to tests that replace them", async () => {
    const site = await t.open({
      "/me": (req) => {
        req.rs.get = async () => null;
        vi.spyOn(req.rs, "devices").mockResolvedValue([]);
        return Promise.all([req.rs.get(), req.rs.devices()]);
      },
    });
    expect((await site.browser().get("/me")).body).toEqual([null, []]);
  });

  test("does not change what an unknown property is, nor how req.rs is awaited and printed", async () => {
    const site = await t.open({
      "/me": async (req) => {
        const { rs } = req;
        const names = ["foo", "then", "toJSON", Symbol.iterator];
        return [
          (await rs) === rs,
          names.map((name) => Reflect.get(rs, name) === undefined),
          `${rs}`,
          JSON.stringify(rs),
        ];
      },
    });
    expect((await site.browser().get("/me")).body).toEqual([true, [true, true, true, true], "[object Object]", "{}"]);
  });
});

describe("a request of Fastify instead of Node's", () => {
  test.each([true, false])("throws for a guard in preHandler, with the plugin: %j", async (isRegistered) => {
    const auth = t.auth();
    const app = Fastify();
    if (isRegistered) app.register(auth.fastify);
    const guards = { "/required": auth.required(), "/optional": auth.optional };
    for (const [path, guard] of Object.entries(guards)) app.get(path, { preHandler: guard as never }, () => "never");
    for (const path of Object.keys(guards)) {
      const { statusCode, body } = await app.inject({ path });
      expect(statusCode).toBe(500);
      expect(JSON.parse(body).message).toMatch(/app\.register\(auth\.fastify\).*preHandler.*req\.rs\.get\(\)/s);
    }
    await app.close();
  });
});

test("set resolves with null for a visitor without a session, and stores nothing", async () => {
  const site = await t.open({ "/set": (req) => req.rs.set({ cart: ["tea"] }) });
  const browser = site.browser();
  expect(await browser.post("/set")).toMatchObject({ status: 200, body: null, cookies: [] });
  expect(await t.db.keys("rs:{webapp}:*")).toEqual([]);
});

test("admin works without a request and without app.use", async () => {
  const options: SessionsOptions<Data, string> = { rs: t.rs, app: "webapp", secret: SECRET };
  await t.rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1" });
  expect(await sessions<Data>(options).admin.killsoid({ id: "alice" })).toEqual({ kill: 1 });
});
