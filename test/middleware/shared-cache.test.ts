import type { ServerResponse } from "node:http";
import { sign } from "cookie-signature";
import { describe, expect, test } from "vitest";
import { refOf } from "../../src/sessions/token.js";
import type { Browser } from "./support/browser.js";
import { type Routes, SERVER_NAMES, type ServerName } from "./support/servers.js";
import { query, SECRET, type Site, useSites } from "./support/site.js";

const t = useSites();

type Req = Parameters<typeof query>[0];

function cacheControl(req: Req, res: ServerResponse): void {
  const value = query(req, "cc");
  if (value !== "") res.setHeader("Cache-Control", value);
}

const routes: Routes = {
  "/login": (req, res) => {
    cacheControl(req, res);
    return req.rs.create("alice");
  },
  "/me": async (req, res) => {
    const session = await req.rs.get();
    // The usual order: handlers load the session before they set headers.
    cacheControl(req, res);
    return session;
  },
  "/before": (req, res) => {
    cacheControl(req, res);
    return req.rs.get();
  },
  "/set": async (req, res) => {
    await req.rs.set({ hits: 1 });
    cacheControl(req, res);
  },
  "/write-head": async (req, res) => {
    await req.rs.get();
    res.writeHead(200, { "Cache-Control": query(req, "cc"), "Set-Cookie": "theme=dark" }).end();
  },
  "/stream": async (req, res) => {
    await req.rs.get();
    cacheControl(req, res);
    res.write("a");
    res.end("b");
  },
  "/get-and-leave": async (req, res) => {
    await req.rs.get();
    cacheControl(req, res);
    return req.rs.kill();
  },
  "/get-and-rotate": async (req, res) => {
    await req.rs.get();
    cacheControl(req, res);
    return req.rs.rotate();
  },
};

const at = (path: string, cc: string) => `${path}?cc=${encodeURIComponent(cc)}`;

/** Returns a browser whose cookie is due for renewal. */
async function due(site: Site): Promise<Browser> {
  const browser = site.browser();
  await browser.post("/login");
  const now = Date.now();
  await t.alter(refOf(`${browser.token}`), { created: now - 600_000, la: now - 300_000 });
  return browser;
}

const open = (server: ServerName) => t.open(routes, { server, use: [t.auth({ cookie: { maxAge: 3600 } })] });

describe.each(SERVER_NAMES)("on %s", (server) => {
  test.each(["/me", "/before", "/set", "/write-head", "/stream"])(
    "%s renews the cookie, unless a shared cache may store the response",
    async (path) => {
      const site = await open(server);
      const ours = (lines: string[]) => lines.filter((line) => line.startsWith("rs="));
      for (const cc of [
        "public",
        "public, max-age=0",
        "PUBLIC",
        "s-maxage=60",
        "max-age=60",
        "max-age=31536000, immutable",
      ]) {
        expect(ours((await (await due(site)).get(at(path, cc))).cookies), cc).toEqual([]);
      }
      for (const cc of ["private", "private, max-age=60", "no-store", "no-cache", "max-age=0", "public, no-store"]) {
        expect(ours((await (await due(site)).get(at(path, cc))).cookies), cc).toHaveLength(1);
      }
    },
  );

  test("renews it without Cache-Control, and keeps the response's other cookies", async () => {
    const site = await open(server);
    expect((await (await due(site)).get("/me")).cookies).toHaveLength(1);
    const { cookies } = await (await due(site)).get(at("/write-head", "private"));
    expect(cookies.map((line) => line.split("=")[0]).toSorted()).toEqual(["rs", "theme"]);
  });

  test("does not clear an invalid cookie or sign one again if a shared cache may store the response", async () => {
    const site = await t.open(routes, { server, use: [t.auth({ secret: ["new", SECRET] })] });
    const { token } = await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    for (const value of ["nonsense", sign("A".repeat(64), SECRET), sign(token, SECRET)]) {
      const browser = site.browser().plant("rs", encodeURIComponent(value));
      expect((await browser.get(at("/me", "public"))).cookies).toEqual([]);
      expect((await browser.get("/me")).cookies).toHaveLength(1);
    }
  });

  test("sets the cookie once with create, rotate and kill, also if a shared cache may store the response", async () => {
    const site = await open(server);
    expect((await site.browser().post(at("/login", "public"))).cookies).toHaveLength(1);
    for (const cc of ["public", "private"]) {
      const rotated = await due(site);
      const { body, cookies } = await rotated.post(at("/get-and-rotate", cc));
      expect(cookies).toEqual([expect.stringContaining((body as { token: string }).token)]);
      const { cookies: cleared } = await (await due(site)).post(at("/get-and-leave", cc));
      expect(cleared).toEqual([expect.stringMatching(/^rs=;/)]);
    }
  });
});
