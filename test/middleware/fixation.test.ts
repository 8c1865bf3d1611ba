import { sign } from "cookie-signature";
import { describe, expect, test } from "vitest";
import type { Browser } from "./support/browser.js";
import { type Routes, SERVER_NAMES } from "./support/servers.js";
import { query, SECRET, useSites } from "./support/site.js";

const t = useSites();

const routes: Routes = {
  "/login": (req) => req.rs.create(query(req, "as")),
  "/me": (req) => req.rs.get(),
  "/promote": (req) => req.rs.rotate(query(req, "grace") === "" ? {} : { grace: Number(query(req, "grace")) }),
};

async function id(browser: Browser): Promise<string | undefined> {
  return ((await browser.get("/me")).body as { id: string } | null)?.id;
}

describe.each(SERVER_NAMES)("%s", (server) => {
  test("ends an attacker's planted session when the victim signs in", async () => {
    const site = await t.open(routes, { server });
    const attacker = site.browser();
    await attacker.post("/login?as=mallory");
    const victim = attacker.copy();
    expect(await id(victim)).toBe("mallory");
    await victim.post("/login?as=alice");
    expect(victim.token).not.toBe(attacker.token);
    expect(await id(victim)).toBe("alice");
    expect(await id(attacker)).toBeUndefined();
  });

  test("never uses a planted token for the new session, even if its signature is valid", async () => {
    const planted = "A".repeat(64);
    const victim = (await t.open(routes, { server })).browser();
    victim.plant("rs", encodeURIComponent(sign(planted, SECRET)));
    expect(victim.token).toBe(planted);
    await victim.post("/login?as=alice");
    expect(victim.token).not.toBe(planted);
    expect(await id(victim)).toBe("alice");
    expect(await t.rs.get({ app: "webapp", token: planted })).toBeNull();
  });

  test("invalidates a stolen token with rotate: at once with grace: 0, otherwise after the grace", async () => {
    const site = await t.open(routes, { server });
    for (const grace of [0, 1]) {
      const victim = site.browser();
      await victim.post("/login?as=alice");
      const thief = victim.copy();
      await victim.post(`/promote?grace=${grace}`);
      await expect.poll(() => id(thief), { timeout: 3000 * grace + 100 }).toBeUndefined();
      expect(await id(victim)).toBe("alice");
    }
  });

  test("refuses to rotate an old token during its grace", async () => {
    const victim = (await t.open(routes, { server })).browser();
    await victim.post("/login?as=alice");
    const thief = victim.copy();
    await victim.post("/promote");
    expect((await thief.post("/promote")).body).toBeNull();
    expect(thief.token).not.toBe(victim.token);
    expect(await id(thief)).toBe("alice");
  });
});

test("keeps a rotated token valid for 10 seconds by default", async () => {
  const victim = (await t.open(routes)).browser();
  await victim.post("/login?as=alice");
  const before = victim.copy();
  await victim.post("/promote");
  const keys = await t.db.keys("rs:{webapp}:s:*");
  const lives = await Promise.all(keys.map((key) => t.db.pttl(key)));
  expect(Math.min(...lives)).toBeGreaterThan(8000);
  expect(Math.min(...lives)).toBeLessThanOrEqual(10_000);
  expect(await id(before)).toBe("alice");
});

describe("rotate during 20 requests of the same browser", () => {
  test.each(SERVER_NAMES)("keeps all of them signed in on %s", async (server) => {
    const site = await t.open(routes, { server });
    const browser = site.browser();
    await browser.post("/login?as=alice");
    for (let round = 0; round < 5; round++) {
      // Each request sends the cookie that the browser has now. The one in the middle changes it.
      const ten = () => Array.from({ length: 10 }, () => browser.get("/me"));
      const [before, promoted, after] = [ten(), browser.post("/promote"), ten()];
      for (const { body } of await Promise.all([...before, ...after])) expect(body).toMatchObject({ id: "alice" });
      expect((await promoted).body).toMatchObject({ token: browser.token });
      expect(await id(browser)).toBe("alice");
    }
  });

  test("rotates once if all 20 call it, and leaves the browser with that token", async () => {
    const browser = (await t.open(routes)).browser();
    await browser.post("/login?as=alice");
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => browser.post("/promote")));
      const tokens = answers.flatMap(({ body }) => (body as { token: string } | null)?.token ?? []);
      expect(tokens).toEqual([browser.token]);
      expect(await id(browser)).toBe("alice");
    }
  });
});
