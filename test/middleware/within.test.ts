import { describe, expect, test } from "vitest";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create("alice"),
  "/me": (req) => req.rs.get(),
  "/confirm": (req) => req.rs.confirm(),
};

/** Pretends that the session was created an hour ago. */
async function makeOlder(body: unknown): Promise<void> {
  await t.alter((body as { ref: string }).ref, { created: Date.now() - 3_600_000 });
}

describe.each(SERVER_NAMES)("%s", (server) => {
  test("within refuses a session whose user signed in too long ago, until confirm", async () => {
    const auth = t.auth();
    const site = await t.open(
      { ...routes, "/keys": [auth.required({ within: 900 }), (req) => req.rs.get()] },
      { server, use: [auth] },
    );
    const browser = site.browser();
    expect(await browser.get("/keys")).toMatchObject({ status: 401, text: "Not signed in\n" });
    const { body } = await browser.post("/login");
    expect((await browser.get("/keys")).status).toBe(200);
    await makeOlder(body);
    const refused = await browser.get("/keys");
    expect(refused).toMatchObject({ status: 401, text: "More recent authentication is required\n", cookies: [] });
    expect(refused.headers["www-authenticate"]).toBe(
      'Session realm="webapp", error="insufficient_user_authentication", ' +
        'error_description="More recent authentication is required", max_age="900"',
    );
    expect((await browser.post("/confirm")).body).toMatchObject({ id: "alice", authTime: expect.any(Number) });
    expect((await browser.get("/keys")).status).toBe(200);
  });

  test("within redirects as required does", async () => {
    const auth = t.auth();
    const guards = [auth.required({ redirect: "/login" }), auth.required({ within: 900, redirect: "/confirm" })];
    const site = await t.open({ ...routes, "/keys": [...guards, () => "keys"] }, { server, use: [auth] });
    const browser = site.browser();
    expect(await browser.get("/keys")).toMatchObject({ status: 303, headers: { location: "/login" } });
    await makeOlder((await browser.post("/login")).body);
    const commands = await t.redis.watch(async () => {
      expect(await browser.get("/keys")).toMatchObject({ status: 303, headers: { location: "/confirm" } });
    });
    expect(commands).toHaveLength(1);
  });
});

test("within challenges a client with a token in a header by RFC 9470", async () => {
  const auth = t.auth({ header: true, cookie: false });
  const site = await t.open(
    { "/login": (req) => req.rs.create("alice"), "/keys": [auth.required({ within: 60 }), () => "keys"] },
    { use: [auth] },
  );
  const { token } = (await site.browser().post("/login")).body as { token: string };
  const { ref } = (await t.rs.get({ app: "webapp", token })) as { ref: string };
  await makeOlder({ ref });
  const refused = await site.browser().get("/keys", { authorization: `Bearer ${token}` });
  expect(refused.headers["www-authenticate"]).toMatch(
    /^Bearer realm="webapp", error="insufficient_user_authentication", .*max_age="60"$/,
  );
});

test("without an app of its own, the challenge has no realm", async () => {
  const auth = t.auth({ app: (() => "webapp") as never });
  const site = await t.open({ ...routes, "/keys": [auth.required({ within: 60 }), () => "keys"] }, { use: [auth] });
  const browser = site.browser();
  await makeOlder((await browser.post("/login")).body);
  expect((await browser.get("/keys")).headers["www-authenticate"]).toMatch(/^Session error="insufficient_user/);
});

test("within must be a positive integer", () => {
  for (const within of [0, -1, 1.5, "900", Number.NaN]) {
    expect(() => t.auth().required({ within: within as number })).toThrow("required: within must be an integer >= 1");
  }
});

describe("req.rs.confirm", () => {
  test("returns null without a session, and asks Redis nothing without a token", async () => {
    const site = await t.open(routes);
    const commands = await t.redis.watch(async () => {
      expect((await site.browser().post("/confirm")).body).toBeNull();
    });
    expect(commands).toEqual([]);
  });

  test("a later get of the same request returns the new authTime and asks Redis nothing", async () => {
    const site = await t.open({
      ...routes,
      "/both": async (req) => {
        const before = await req.rs.get();
        const confirmed = await req.rs.confirm();
        return [before, confirmed, await req.rs.get(), req.rs.state];
      },
    });
    const browser = site.browser();
    await makeOlder((await browser.post("/login")).body);
    const commands = await t.redis.watch(async () => {
      const [before, confirmed, after, state] = (await browser.get("/both")).body as { authTime: number; r: number }[];
      expect(confirmed?.authTime).toBeGreaterThan(before?.authTime as number);
      expect(after).toEqual({ ...before, authTime: confirmed?.authTime });
      expect(state).toBe("modified");
    });
    expect(commands).toHaveLength(2);
  });

  test("refuses an argument", async () => {
    const site = await t.open({ "/confirm": (req) => (req.rs.confirm as (given: unknown) => unknown)("alice") });
    expect((await site.browser().post("/confirm")).status).toBe(500);
  });
});
