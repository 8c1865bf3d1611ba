import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { CookieOptions } from "../../src/middleware/index.js";
import { parts } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { type SiteOptions, useSites } from "./support/site.js";
import { TLS } from "./support/tls.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/logout": (req) => req.rs.kill(),
};

const emitWarning = vi.spyOn(process, "emitWarning").mockReturnValue();

beforeEach(() => void emitWarning.mockClear());
afterAll(() => emitWarning.mockRestore());

/** Returns the warnings of the process. */
function warned(): string[] {
  return emitWarning.mock.calls.map(([message]) => String(message));
}

async function openSite(cookie: CookieOptions, options: SiteOptions = {}) {
  return t.open(routes, { use: [t.auth({ cookie })], ...options });
}

const HTTPS_PROXY = { "x-forwarded-proto": "https" };

describe.each(SERVER_NAMES)("%s", (server) => {
  test("sets and clears a Secure cookie over HTTPS", async () => {
    const browser = (await openSite({}, { server, tls: TLS })).browser();
    expect(parts((await browser.post("/login")).cookies[0])).toHaveProperty("Secure", true);
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
    expect(parts((await browser.post("/logout")).cookies[0])).toMatchObject({ value: "", Secure: true });
    expect(browser.cookies).toBe("");
  });

  test("sets a cookie without Secure over HTTP, also with an untrusted X-Forwarded-Proto", async () => {
    const browser = (await openSite({}, { server })).browser(HTTPS_PROXY);
    expect(parts((await browser.post("/login")).cookies[0])).not.toHaveProperty("Secure");
    expect(warned()).toEqual([expect.stringMatching(/the app does not trust the proxy/)]);
  });

  test("does not set a Secure cookie over HTTP, and warns once with the reason", async () => {
    const browser = (await openSite({ secure: true }, { server })).browser();
    for (let i = 0; i < 3; i++) expect(await browser.post("/login")).toMatchObject({ status: 200, cookies: [] });
    const messages = warned();
    expect(messages).toHaveLength(1);
    expect(messages[0]).toMatch(/cookie "rs" is Secure, but the request did not use HTTPS.*trust proxy/s);
  });

  test("omits Secure with secure: false, also over HTTPS", async () => {
    const browser = (await openSite({ secure: false }, { server, tls: TLS })).browser();
    expect(parts((await browser.post("/login")).cookies[0])).not.toHaveProperty("Secure");
  });

  test("sets a cookie that browsers accept only with Secure over HTTPS, and not over HTTP", async () => {
    for (const cookie of [{ sameSite: "none" }, { partitioned: true }] as const) {
      const secure = (await openSite(cookie, { server, tls: TLS })).browser();
      expect(parts((await secure.post("/login")).cookies[0])).toHaveProperty("Secure", true);
      const plain = (await openSite(cookie, { server })).browser();
      expect((await plain.post("/login")).cookies).toEqual([]);
    }
    expect(warned()).toHaveLength(2);
  });
});

describe.each(["Express 4", "Express 5"] as const)("%s behind a trusted proxy", (server) => {
  test.each([[{}], [{ secure: true }], [{ name: "__Host-rs", secure: true }]])(
    "sets a Secure cookie with %o if the browser used HTTPS",
    async (cookie: CookieOptions) => {
      const site = await openSite(cookie, { server, trustProxy: true });
      const [line] = (await site.browser().post("/login", HTTPS_PROXY)).cookies;
      expect(parts(line)).toHaveProperty("Secure", true);
      expect(warned()).toEqual([]);
    },
  );

  test("sets a cookie without Secure if the browser used HTTP", async () => {
    const site = await openSite({}, { server, trustProxy: true });
    const [line] = (await site.browser().post("/login", { "x-forwarded-proto": "http" })).cookies;
    expect(parts(line)).not.toHaveProperty("Secure");
  });
});

test.each(["Connect", "node:http"] as const)(
  "reads req.secure, which the app sets, on %s behind a proxy",
  async (server) => {
    const auth = t.auth({ cookie: { secure: true } });
    const site = await t.open(routes, {
      server,
      use: [
        (req, _res, next) => {
          Object.assign(req, { secure: req.headers["x-forwarded-proto"] === "https" });
          next();
        },
        auth,
      ],
    });
    expect(parts((await site.browser().post("/login", HTTPS_PROXY)).cookies[0])).toHaveProperty("Secure", true);
    expect((await site.browser().post("/login")).cookies).toEqual([]);
  },
);
