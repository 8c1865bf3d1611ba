import { describe, expect, test } from "vitest";
import type { SessionsOptions } from "../../src/middleware/index.js";
import { type Data, type Routes, SERVER_NAMES, type ServerName } from "./support/servers.js";
import { outcome, type SiteOptions, useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => outcome(req.rs.create("alice")),
  "/saml": (req) => outcome(req.rs.create("alice", { crossSite: true })),
  "/strict": (req) => outcome(req.rs.create("alice", { crossSite: false })),
};

async function visitor(
  server: ServerName,
  { auth, ...site }: SiteOptions & { auth?: Partial<SessionsOptions<Data, string>> } = {},
) {
  return (await t.open(routes, { server, use: [t.auth(auth)], ...site })).browser();
}

const refused = expect.objectContaining({ error: "crossSite", code: "ERR_CROSS_SITE", status: 403 });
const signedIn = { token: expect.any(String), ref: expect.any(String) };

describe.each(SERVER_NAMES)("a sign-in by POST on %s", (server) => {
  test.each<[string, Record<string, string>, string?]>([
    ["Sec-Fetch-Site is cross-site", { "sec-fetch-site": "cross-site" }],
    [
      "Sec-Fetch-Site is cross-site, whatever Origin says",
      { "sec-fetch-site": "cross-site", origin: "http://127.0.0.1" },
    ],
    ["Origin is another host", { origin: "https://evil.example" }],
    ["Origin is another host of the domain", { origin: "http://evil.site.example", host: "site.example" }],
    ["Origin is opaque", { origin: "null" }],
    ["Origin is none", { origin: "127.0.0.1" }],
    [
      "Origin is another host, and Sec-Fetch-Site nothing known",
      { origin: "https://evil.example", "sec-fetch-site": "x" },
    ],
    [
      "Origin is another host, which a header says that no proxy vouches for",
      { origin: "https://evil.example", "x-forwarded-host": "evil.example" },
    ],
  ])("is refused when %s", async (_when, headers) => {
    const browser = await visitor(server);
    expect(await browser.post("/login", headers)).toMatchObject({ body: refused, cookies: [] });
    expect((await browser.post("/strict", headers)).body).toEqual(refused);
    expect(await t.db.dbsize()).toBe(0);
    expect((await browser.post("/saml", headers)).body).toEqual(signedIn);
  });

  test.each<[string, Record<string, string>]>([
    ["there is neither header", {}],
    ["Sec-Fetch-Site is same-origin", { "sec-fetch-site": "same-origin", origin: "https://behind-a-proxy.example" }],
    ["Sec-Fetch-Site is same-site", { "sec-fetch-site": "same-site", origin: "https://www.site.example" }],
    ["Sec-Fetch-Site is none", { "sec-fetch-site": "none" }],
    ["Origin is this host", { origin: "http://127.0.0.1" }],
    ["Origin is this host, in other words", { origin: "https://site.example", host: "SITE.example:443" }],
    [
      "Origin is this host on another port, which shares its cookies",
      { origin: "http://site.example:8080", host: "site.example" },
    ],
    ["Origin is this host, an IPv6 address", { origin: "http://[::1]:8080", host: "[::1]:8080" }],
  ])("goes on when %s", async (_when, headers) => {
    expect((await (await visitor(server)).post("/login", headers)).body).toEqual(signedIn);
  });

  test("a refused one leaves the session alone that the browser has", async () => {
    const browser = await visitor(server);
    await browser.post("/login");
    const { token } = browser;
    await browser.post("/login", { "sec-fetch-site": "cross-site" });
    expect(browser.token).toBe(token);
    expect(await t.rs.get({ app: "webapp", token: `${token}` })).not.toBeNull();
  });

  test("is not looked at where no response sets a token", async () => {
    const browser = await visitor(server, { auth: { header: true, cookie: false } });
    expect((await browser.post("/login", { "sec-fetch-site": "cross-site" })).body).toEqual(signedIn);
  });

  test("is refused where the app writes the token itself", async () => {
    const browser = await visitor(server, { auth: { read: () => undefined, write: () => {} } });
    expect((await browser.post("/login", { "sec-fetch-site": "cross-site" })).body).toEqual(refused);
  });

  test("by GET or HEAD goes on, as that of an identity provider that redirects", async () => {
    const browser = await visitor(server);
    expect((await browser.get("/login", { "sec-fetch-site": "cross-site" })).body).toEqual(signedIn);
  });
});

test.each(["Express 4", "Express 5", "Fastify"] as const)(
  "%s behind a proxy that it trusts: the host is what the browser asked",
  async (server) => {
    const browser = await visitor(server, { trustProxy: true });
    const asked = { "x-forwarded-host": "site.example:8443", host: "10.0.0.9:3000" };
    expect((await browser.post("/login", { ...asked, origin: "https://site.example:8443" })).body).toEqual(signedIn);
    expect((await browser.post("/login", { ...asked, origin: "https://10.0.0.9" })).body).toEqual(refused);
  },
);

test("what an error handler answers is 403", async () => {
  for (const server of ["Express 4", "Express 5", "Connect", "node:http", "Fastify"] as const) {
    const site = await t.open({ "/login": (req) => req.rs.create("alice") }, { server });
    const { status, cookies } = await site.browser().post("/login", { "sec-fetch-site": "cross-site" });
    expect([status, cookies]).toEqual([403, []]);
  }
});

test("the message says what is wrong, and the hint the way out", async () => {
  let thrown: unknown;
  const site = await t.open({
    "/login": (req) =>
      req.rs.create("alice").catch((error) => {
        thrown = error;
      }),
  });
  await site.browser().post("/login", { "sec-fetch-site": "cross-site" });
  expect(thrown).toMatchObject({
    message: expect.stringContaining("a page of another site"),
    hint: expect.stringMatching(/crossSite: true.*X-Forwarded-Host.*trust proxy/s),
  });
});

test("crossSite must be true or false", async () => {
  const site = await t.open({ "/login": (req) => outcome(req.rs.create("alice", { crossSite: "yes" as never })) });
  expect((await site.browser().post("/login")).body).toMatchObject({ error: "invalidValue" });
});
