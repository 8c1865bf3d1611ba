import { sign } from "cookie-signature";
import { describe, expect, test } from "vitest";
import type { CookieOptions } from "../../src/middleware/index.js";
import { refOf } from "../../src/sessions/token.js";
import { type Browser, parts } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { SECRET, type Site, useSites } from "./support/site.js";
import { TLS } from "./support/tls.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/logout": (req) => req.rs.kill(),
};

const VALUE = /^[A-Za-z0-9]{64}\.(?:[A-Za-z0-9]|%2B|%2F)+$/;

describe.each(SERVER_NAMES)("%s", (server) => {
  test("sets a signed session cookie named rs with HttpOnly, SameSite=Lax and Path=/ by default", async () => {
    const { cookies } = await (await t.open(routes, { server })).browser().post("/login");
    expect(cookies).toHaveLength(1);
    expect(cookies[0]).toMatch(/^rs=/);
    const expected = { value: expect.stringMatching(VALUE), HttpOnly: true, SameSite: "Lax", Path: "/" };
    expect(parts(cookies[0])).toEqual(expected);
  });

  test("clears the cookie with the attributes that it was set with", async () => {
    const cookie = { path: "/", domain: "127.0.0.1.nip.io", sameSite: "strict", maxAge: 60, priority: "high" } as const;
    const browser = (await t.open(routes, { server, use: [t.auth({ cookie })] })).browser();
    const [set] = (await browser.post("/login")).cookies;
    const [cleared] = (await browser.post("/logout")).cookies;
    expect(parts(cleared)).toEqual({ ...parts(set), value: "", "Max-Age": "0" });
    expect(parts(set)).toMatchObject({ "Max-Age": "60" });
  });
});

test.each<[string, CookieOptions, Record<string, string | true>]>([
  ["path", { path: "/shop" }, { Path: "/shop" }],
  ["domain", { domain: "example.com" }, { Domain: "example.com" }],
  ["sameSite strict", { sameSite: "strict" }, { SameSite: "Strict" }],
  ["sameSite none", { sameSite: "none", secure: true }, { SameSite: "None", Secure: true }],
  ["secure", { secure: true }, { Secure: true }],
  ["maxAge", { maxAge: 86_400 }, { "Max-Age": "86400" }],
  ["partitioned", { partitioned: true, secure: true }, { Partitioned: true, Secure: true }],
  ["priority", { priority: "low" }, { Priority: "Low" }],
  ["name __Host-", { name: "__Host-sid", secure: true }, { Secure: true, Path: "/" }],
  ["name __Http-", { name: "__Http-sid", secure: true, domain: "example.com" }, { Secure: true, HttpOnly: true }],
  ["name __Host-Http-", { name: "__Host-Http-sid", secure: true }, { Secure: true, HttpOnly: true, Path: "/" }],
  ["name __Secure-", { name: "__Secure-sid", secure: true, domain: "example.com" }, { Secure: true }],
])("sets the attributes of the option %s", async (_what, cookie, attributes) => {
  const site = await t.open(routes, { use: [t.auth({ cookie: { secure: false, ...cookie } })], tls: TLS });
  const [line] = (await site.browser().post("/login")).cookies;
  expect(line?.split("=")[0]).toBe(cookie.name ?? "rs");
  const expected = { value: expect.stringMatching(VALUE), HttpOnly: true, SameSite: "Lax", Path: "/", ...attributes };
  expect(parts(line)).toMatchObject(expected);
  expect(parts(line)).toHaveProperty("HttpOnly", true);
});

test.each(["connect.sid", "a+b", "$sid", "s|d", "s^d", "*", "'sid'"])(
  "finds its cookie by the exact name %s",
  async (name) => {
    const browser = (await t.open(routes, { use: [t.auth({ cookie: { name } })] })).browser();
    const [value] = (await browser.post("/login")).cookies.map((line) => parts(line).value);
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
    for (const other of [name.replace(/[^a-z]/, "x"), name.replace(/[^a-z]/, ""), `x${name}`, `${name}x`]) {
      expect((await browser.get("/me", { cookie: `${other}=${value}` })).body, other).toBeNull();
    }
    // A cookie of ours that is invalid is cleared; a cookie of another name is not.
    expect((await browser.get("/me", { cookie: `${name}=nonsense` })).cookies).toHaveLength(1);
    expect((await browser.get("/me", { cookie: "connectXsid=nonsense; aab=nonsense" })).cookies).toEqual([]);
  },
);

test("omits HttpOnly with httpOnly: false", async () => {
  const site = await t.open(routes, { use: [t.auth({ cookie: { httpOnly: false } })] });
  const [line] = (await site.browser().post("/login")).cookies;
  expect(parts(line)).not.toHaveProperty("HttpOnly");
});

test("keeps the response's other cookies, and sets the session cookie once, with its last value", async () => {
  const site = await t.open({
    "/login": async (req, res) => {
      res.setHeader("Set-Cookie", ["theme=dark; Path=/", "rs2=x"]);
      await req.rs.create("alice");
      await req.rs.rotate();
      res.appendHeader("Set-Cookie", "lang=ko");
    },
    "/logout": async (req, res) => {
      res.setHeader("Set-Cookie", "theme=light");
      await req.rs.kill();
      await req.rs.create("bob");
      await req.rs.killAll();
    },
  });
  const browser = site.browser();
  const names = (cookies: string[]) => cookies.map((line) => line.split("=")[0]);
  expect(names((await browser.post("/login")).cookies)).toEqual(["theme", "rs2", "rs", "lang"]);
  const { cookies } = await browser.post("/logout");
  expect(names(cookies)).toEqual(["theme", "rs"]);
  expect(parts(cookies[1])).toMatchObject({ value: "", "Max-Age": "0" });
});

describe("secrets", () => {
  /** Returns the id of the user that a site with these secrets sees in the browser's cookie. */
  async function idOn(browser: Browser, secret: string | string[]): Promise<unknown> {
    const site = await t.open(routes, { use: [t.auth({ secret })] });
    const other = site.browser({ cookie: browser.cookies });
    return ((await other.get("/me")).body as { id: string } | null)?.id;
  }

  test("signs with the first secret of a list and verifies with all", async () => {
    const browser = (await t.open(routes, { use: [t.auth({ secret: "old" })] })).browser();
    await browser.post("/login");
    expect(await idOn(browser, ["new", "old"])).toBe("alice");
    expect(await idOn(browser, ["new"])).toBeUndefined();

    const later = (await t.open(routes, { use: [t.auth({ secret: ["new", "old"] })] })).browser();
    await later.post("/login");
    expect(await idOn(later, "new")).toBe("alice");
    expect(await idOn(later, "old")).toBeUndefined();
  });

  test("signs a cookie again if a secret other than the first has signed it", async () => {
    const browser = (await t.open(routes, { use: [t.auth({ secret: "old" })] })).browser();
    await browser.post("/login");
    const both = await t.open(routes, { use: [t.auth({ secret: ["new", "old"] })] });
    const moved = both.browser().plant("rs", browser.cookies.slice("rs=".length));
    expect((await moved.get("/me")).cookies).toHaveLength(1);
    expect(moved.token).toBe(browser.token);
    expect((await moved.get("/me")).cookies).toEqual([]);
    expect(await idOn(moved, "new")).toBe("alice");
  });
});

describe("several cookies with our name", () => {
  let site: Site;
  const me = async (cookie: string) => {
    site = await t.open(routes);
    return ((await site.browser({ cookie }).get("/me")).body as { id: string } | null)?.id;
  };
  const cookieOf = async (id: string, secret = SECRET) => {
    const { token } = await t.rs.create({ app: "webapp", id, ip: "::1" });
    return `rs=${encodeURIComponent(sign(token, secret))}`;
  };

  test("uses the first valid cookie, at any position", async () => {
    const [alice, bob] = [await cookieOf("alice"), await cookieOf("bob")];
    const bad = await cookieOf("mallory", "another secret");
    expect(await me(`${alice}; ${bob}`)).toBe("alice");
    expect(await me(`${bob}; ${alice}`)).toBe("bob");
    expect(await me(`rs=x; ${bad}; theme=dark; ${alice}; rs=; ${bob}`)).toBe("alice");
    expect(await me(`${bad}; rs=${"x".repeat(64)}`)).toBeUndefined();
  });

  test("ignores cookies with similar names", async () => {
    const alice = await cookieOf("alice");
    for (const name of ["rs2", "xrs", "RS", "rs.sig", "rs%20", "__Host-rs"]) {
      expect(await me(`${name}${alice.slice(2)}`)).toBeUndefined();
    }
  });

  test("accepts a cookie whose signature is not percent-encoded", async () => {
    const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    expect(await me(`rs=${sign(token, SECRET)}`)).toBe("alice");
  });
});

test("keeps the token in the cookie and out of Redis", async () => {
  const browser = (await t.open(routes)).browser();
  await browser.post("/login");
  expect(await t.stored(refOf(`${browser.token}`))).toMatchObject({ id: '"alice"' });
  expect(await t.db.keys(`*${browser.token}*`)).toEqual([]);
});
