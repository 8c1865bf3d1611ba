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
      "Sec-Fetch-Site is cross-site and Origin is this host",
      { "sec-fetch-site": "cross-site", origin: "http://127.0.0.1" },
    ],
    ["Origin is another host", { origin: "https://evil.example" }],
    ["Origin is a subdomain of this host", { origin: "http://evil.site.example", host: "site.example" }],
    ["Origin is opaque", { origin: "null" }],
    ["Origin is not a URL", { origin: "127.0.0.1" }],
    [
      "Origin is another host and Sec-Fetch-Site has an unknown value",
      { origin: "https://evil.example", "sec-fetch-site": "x" },
    ],
    [
      "Origin is another host that only an untrusted X-Forwarded-Host names",
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
    ["the request has neither header", {}],
    ["Sec-Fetch-Site is same-origin", { "sec-fetch-site": "same-origin", origin: "https://behind-a-proxy.example" }],
    ["Sec-Fetch-Site is same-site", { "sec-fetch-site": "same-site", origin: "https://www.site.example" }],
    ["Sec-Fetch-Site is none", { "sec-fetch-site": "none" }],
    ["Origin is this host", { origin: "http://127.0.0.1" }],
    [
      "Origin is this host with another case and the default port",
      { origin: "https://site.example", host: "SITE.example:443" },
    ],
    ["Origin is this host on another port", { origin: "http://site.example:8080", host: "site.example" }],
    ["Origin is this host and an IPv6 address", { origin: "http://[::1]:8080", host: "[::1]:8080" }],
  ])("is allowed when %s", async (_when, headers) => {
    expect((await (await visitor(server)).post("/login", headers)).body).toEqual(signedIn);
  });

  test("keeps the browser's session when it is refused", async () => {
    const browser = await visitor(server);
    await browser.post("/login");
    const { token } = browser;
    await browser.post("/login", { "sec-fetch-site": "cross-site" });
    expect(browser.token).toBe(token);
    expect(await t.rs.get({ app: "webapp", token: `${token}` })).not.toBeNull();
  });

  test("is not checked if no response sets a token", async () => {
    const browser = await visitor(server, { auth: { header: true, cookie: false } });
    expect((await browser.post("/login", { "sec-fetch-site": "cross-site" })).body).toEqual(signedIn);
  });

  test("is refused if the option write sends the token", async () => {
    const browser = await visitor(server, { auth: { read: () => undefined, write: () => {} } });
    expect((await browser.post("/login", { "sec-fetch-site": "cross-site" })).body).toEqual(refused);
  });

  test("is allowed by GET and HEAD, with which identity providers redirect", async () => {
    const browser = await visitor(server);
    expect((await browser.get("/login", { "sec-fetch-site": "cross-site" })).body).toEqual(signedIn);
  });
});

test.each(["Express 4", "Express 5", "Fastify"] as const)(
  "compares Origin with X-Forwarded-Host on %s behind a trusted proxy",
  async (server) => {
    const browser = await visitor(server, { trustProxy: true });
    const asked = { "x-forwarded-host": "site.example:8443", host: "10.0.0.9:3000" };
    expect((await browser.post("/login", { ...asked, origin: "https://site.example:8443" })).body).toEqual(signedIn);
    expect((await browser.post("/login", { ...asked, origin: "https://10.0.0.9" })).body).toEqual(refused);
  },
);

test("makes the server's error handler answer 403", async () => {
  for (const server of ["Express 4", "Express 5", "Connect", "node:http", "Fastify"] as const) {
    const site = await t.open({ "/login": (req) => req.rs.create("alice") }, { server });
    const { status, cookies } = await site.browser().post("/login", { "sec-fetch-site": "cross-site" });
    expect([status, cookies]).toEqual([403, []]);
  }
});

test("explains the refusal in the message and the solutions in the hint", async () => {
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

test("throws invalidValue if crossSite is not a boolean", async () => {
  const site = await t.open({ "/login": (req) => outcome(req.rs.create("alice", { crossSite: "yes" as never })) });
  expect((await site.browser().post("/login")).body).toMatchObject({ error: "invalidValue" });
});
