import { describe, expect, test } from "vitest";
import type { SessionsOptions } from "../../src/middleware/index.js";
import { editFields } from "../support/session-text.js";
import type { Data, Routes } from "./support/servers.js";
import { outcome, type SiteOptions, useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = { "/login": (req) => req.rs.create("alice"), "/me": (req) => req.rs.get() };

/** Signs in and returns the session. */
async function signIn(
  headers: Record<string, string>,
  options: Partial<SessionsOptions<Data, string>> = {},
  site: SiteOptions = {},
): Promise<{ ip: string; device?: string }> {
  const browser = (await t.open(routes, { use: [t.auth(options)], ...site })).browser(headers);
  expect((await browser.post("/login")).status).toBe(200);
  return (await browser.get("/me")).body as { ip: string };
}

describe("the device", () => {
  test.each([
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
      "Safari on iOS",
    ],
    [
      "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
      "Chrome on Android",
    ],
    ["curl/8.14.1", "curl"],
  ])("of %s is %s", async (agent, device) => {
    expect((await signIn({ "user-agent": agent })).device).toBe(device);
  });

  test("is absent without a User-Agent, or with an empty one", async () => {
    expect(await signIn({})).not.toHaveProperty("device");
    expect(await signIn({ "user-agent": "" })).not.toHaveProperty("device");
  });

  test("is cut after 64 characters, and an unusual User-Agent does not make the sign-in fail", async () => {
    expect((await signIn({ "user-agent": "x".repeat(5000) })).device).toBe("x".repeat(64));
    for (const agent of ["/", "(", "\t", "\xff\xfe", ";".repeat(100), "__proto__", '"\\'.repeat(40)]) {
      await signIn({ "user-agent": agent });
    }
  });

  test("comes from the option device, and may be cut in the middle of an emoji", async () => {
    expect((await signIn({}, { device: (req) => `Till ${req.headers["x-till"]}` })).device).toBe("Till undefined");
    const { device } = await signIn({}, { device: () => `${"x".repeat(63)}🍓` });
    expect(device).toMatch(/^x{63}/);
    expect(device).toHaveLength(64);
    expect(await signIn({}, { device: () => undefined })).not.toHaveProperty("device");
  });
});

describe("the address", () => {
  const server = ["Express 4", "Express 5"] as const;

  test.each(server)("is the socket's, unless %s trusts the proxy", async (name) => {
    const headers = { "x-forwarded-for": "203.0.113.7" };
    expect((await signIn(headers, {}, { server: name })).ip).toBe("127.0.0.1");
    expect((await signIn(headers, {}, { server: name, trustProxy: true })).ip).toBe("203.0.113.7");
  });

  test.each([
    ["an IPv4 one on an IPv6 socket", "::ffff:203.0.113.7", "203.0.113.7"],
    [
      "an IPv4 one on an IPv6 socket, written in full",
      "0000:0000:0000:0000:0000:ffff:192.168.100.228",
      "192.168.100.228",
    ],
    ["an IPv4 one on an IPv6 socket, in hexadecimal", "0:0:0:0:0:FFFF:cb00:7107", "203.0.113.7"],
    ["an IPv4 one with a port", "203.0.113.7:54321", "203.0.113.7"],
    ["an IPv6 one in full", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:db8:85a3::8a2e:370:7334"],
    ["an IPv6 one with a port", "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]:51234", "2001:db8:85a3::8a2e:370:7334"],
    ["an IPv6 one in brackets", "[2001:DB8::1]", "2001:db8::1"],
    ["an IPv4 one on an IPv6 socket with a port", "[::ffff:203.0.113.7]:443", "203.0.113.7"],
    ["an IPv6 one with the name of an interface", "fe80::1%eth0", "fe80::1"],
    ["an empty one", "", "127.0.0.1"],
    ["a list whose first entry is empty", " , 203.0.113.7", "203.0.113.7"],
    ["a number", "1", "unknown"],
    ["an octal one", "0177.0.0.1", "unknown"],
    ["half of one", "[2001:db8::1", "unknown"],
    ["a name", "unknown", "unknown"],
    ["anything else", "x".repeat(300), "unknown"],
    ["a long text that resembles an address", `${"1:".repeat(200)}%${"x".repeat(200)}`, "unknown"],
  ])("from a proxy may be %s", async (_what, forwarded, ip) => {
    for (const name of [...server, "Fastify"] as const) {
      if (name === "Fastify" && /^\s*(,|$)/.test(forwarded)) continue; // Fastify uses an empty address.
      const headers = { "x-forwarded-for": forwarded };
      expect((await signIn(headers, {}, { server: name, trustProxy: true })).ip).toBe(ip);
    }
  });
});

test("undefined options keep the middleware's limits", async () => {
  const site = await t.open(
    {
      "/login": (req) =>
        req.rs.create("alice", { ttl: undefined, maxPerUser: undefined, ip: undefined, device: undefined }),
      "/me": (req) => req.rs.get(),
      "/rotate": (req) => req.rs.rotate({ grace: undefined }),
    },
    { use: [t.auth({ ttl: 600, maxPerUser: 1, device: () => "kiosk" })] },
  );
  const browser = site.browser();
  await site.browser().post("/login");
  await browser.post("/login");
  expect((await browser.get("/me")).body).toMatchObject({ ttl: 600, ip: "127.0.0.1", device: "kiosk" });
  expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(1);
  expect((await browser.post("/rotate")).body).toHaveProperty("token");
});

describe("a sign-in that fails", () => {
  test.each([
    ["another app", { app: "other" }, 'create has no option "app". It takes ip,'],
    ["a misspelt limit", { maxPerUsr: 1 }, 'Did you mean "maxPerUser"?'],
    ["no options at all", null, "create takes an object of options"],
  ])("because it is given %s says so", async (_what, options, message) => {
    const site = await t.open({ "/login": (req) => outcome(req.rs.create("alice", options as object)) });
    expect((await site.browser().post("/login")).body).toMatchObject({
      error: "invalidValue",
      message: expect.stringContaining(message),
    });
  });

  test("keeps the current session if the id is invalid", async () => {
    const site = await t.open({ ...routes, "/bad": (req) => outcome(req.rs.create(undefined as unknown as string)) });
    const browser = site.browser();
    await browser.post("/login");
    const answer = await browser.post("/bad");
    expect(answer).toMatchObject({ body: { error: "missingParameter" }, cookies: [] });
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
  });

  test("throws tooManySessions if the user has too many sessions", async () => {
    const site = await t.open(
      { "/login": (req) => outcome(req.rs.create("alice")), "/me": (req) => req.rs.get() },
      { use: [t.auth({ maxPerUser: 1, overflow: "reject" })] },
    );
    const [laptop, phone] = [site.browser(), site.browser()];
    await laptop.post("/login");
    expect((await phone.post("/login")).body).toMatchObject({ error: "tooManySessions", status: 409 });
    expect(phone.cookies).toBe("");
    // The current session is replaced, so it does not count.
    expect((await laptop.post("/login")).body).toHaveProperty("token");
    expect((await laptop.get("/me")).body).toMatchObject({ id: "alice" });
  });

  test("ends the session that rested longest, with overflow idle", async () => {
    const site = await t.open(routes, { use: [t.auth({ maxPerUser: 2, overflow: "idle" })] });
    const [laptop, phone, tablet] = [site.browser(), site.browser(), site.browser()];
    const { ref } = (await laptop.post("/login")).body as { ref: string };
    const { ref: phoneRef } = (await phone.post("/login")).body as { ref: string };
    await editFields(t.db, `rs:{webapp}:s:${ref}`, { la: { add: -100_000 } });
    await editFields(t.db, `rs:{webapp}:s:${phoneRef}`, { la: { add: -50_000 } });
    // The laptop's session is the oldest one, but it is used again.
    await laptop.get("/me");
    await tablet.post("/login");
    expect((await phone.get("/me")).body).toBeNull();
    expect((await laptop.get("/me")).body).toMatchObject({ ref });
  });

  test("keeps the current session if the user has too many sessions", async () => {
    const site = await t.open(
      {
        ...routes,
        "/switch": async (req) => {
          await req.rs.get();
          const answer = await outcome(req.rs.create("bob", { maxPerUser: 1, overflow: "reject" }));
          return [answer, req.rs.state, (await req.rs.get())?.id];
        },
      },
      { use: [t.auth()] },
    );
    const browser = site.browser();
    await t.rs.create({ app: "webapp", id: "bob", ip: "::1" });
    await browser.post("/login");
    const answer = await browser.post("/switch");
    expect(answer).toMatchObject({ body: [{ error: "tooManySessions" }, "unmodified", "alice"], cookies: [] });
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
  });

  test("clears the cookie if the current session was ended, and get returns null", async () => {
    const site = await t.open({
      ...routes,
      "/switch": async (req) => [await outcome(req.rs.create("bob")), await req.rs.get()],
    });
    const browser = site.browser();
    await browser.post("/login");
    await t.db.config("SET", "maxmemory", "1");
    try {
      expect((await browser.post("/switch")).body).toMatchObject([{ error: "redisError" }, null]);
    } finally {
      await t.db.config("SET", "maxmemory", "0");
    }
    expect(browser.cookies).toBe("");
  });
});
