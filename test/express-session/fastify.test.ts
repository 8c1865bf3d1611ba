import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import Fastify, { type FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Browser } from "./support/browser.js";
import { Gate } from "./support/gate.js";
import { useStores } from "./support/stores.js";

declare module "fastify" {
  interface Session {
    userId?: string;
    color?: string;
  }
}

const t = useStores();
const opened: FastifyInstance[] = [];

interface FastifySite {
  url: string;
  gate: Gate;
}

type Options = Partial<fastifySession.FastifySessionOptions>;

async function open(options: Options = {}): Promise<FastifySite> {
  const gate = new Gate();
  const app = Fastify();
  opened.push(app);
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret: "a secret with a length of at least 32 characters",
    cookie: { secure: false, maxAge: 60_000 },
    saveUninitialized: false,
    store: t.store(),
    ...options,
  });
  app.addHook("preHandler", async ({ url }) => {
    if (url.startsWith("/gate")) await gate.pass();
  });
  for (const prefix of ["", "/gate"]) {
    app.get(`${prefix}/login/:user`, async ({ session, params }) => {
      session.userId = (params as { user: string }).user;
      return session;
    });
    app.get(`${prefix}/me`, async ({ session }) => ({ userId: session?.userId, color: session?.color }));
    app.get(`${prefix}/paint`, async ({ session }) => {
      session.color = "red";
      return {};
    });
    app.get(`${prefix}/save`, async ({ session }) => {
      session.color = "blue";
      await session.save();
      return {};
    });
    app.get(`${prefix}/logout`, async ({ session }) => {
      await session.destroy();
      return {};
    });
    app.get(`${prefix}/regenerate`, async ({ session }) => {
      await session.regenerate();
      return {};
    });
  }
  return { url: await app.listen({ port: 0, host: "127.0.0.1" }), gate };
}

let site: FastifySite;
let browser: Browser;

beforeEach(async () => {
  site = await open();
  browser = new Browser(site.url);
  await browser.get("/login/alice");
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((app) => app.close()));
});

test("a session is created, read, changed and destroyed", async () => {
  expect((await browser.get("/me")).body).toEqual({ userId: "alice" });
  await browser.get("/paint");
  expect((await browser.get("/me")).body).toEqual({ userId: "alice", color: "red" });
  await browser.get("/save");
  expect((await browser.get("/me")).body).toEqual({ userId: "alice", color: "blue" });
  const thief = browser.copy();
  await browser.get("/logout");
  expect((await thief.get("/me")).body).toEqual({});
});

test("regenerate ends the old session and creates a new one", async () => {
  const thief = browser.copy();
  await browser.get("/regenerate");
  expect(browser.sid).not.toBe(thief.sid);
  expect((await thief.get("/me")).body).toEqual({});
});

test("sessions are listed and ended by user", async () => {
  const store = t.store();
  await new Browser(site.url).get("/login/alice");
  expect((await store.soid("alice")).sessions).toHaveLength(2);
  expect(await store.killsoid("alice", { except: browser.sid })).toEqual({ kill: 1 });
  expect((await browser.get("/me")).body).toEqual({ userId: "alice" });
});

test("each request prolongs the session by its cookie's maxAge", async () => {
  const key = `rs:{sess}:s:~${browser.sid}`;
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
  await t.db.pexpire(key, 5000);
  await browser.get("/me");
  expect(await t.db.pttl(key)).toBeGreaterThan(59_000);
});

test("disableTTL keeps the session for the next request", async () => {
  const endless = new Browser((await open({ store: t.store({ disableTTL: true }), rolling: false })).url);
  await endless.get("/login/alice");
  expect((await endless.get("/me")).body).toEqual({ userId: "alice" });
  expect((await endless.get("/me")).body).toEqual({ userId: "alice" });
});

type End = (victim: { sid: string; user: string; other: Browser }) => Promise<unknown>;

/**
 * Ends a session while requests that have loaded it wait, and then lets them continue. Returns how often the old cookie
 * still works.
 */
async function revivals(at: FastifySite, end: End, rounds: number): Promise<number> {
  const paths = ["/me", "/paint", "/save"];
  let revived = 0;
  for (let round = 0; round < rounds; round++) {
    const user = `user${round}`;
    const victim = new Browser(at.url);
    await victim.get(`/login/${user}`);
    const thief = victim.copy();
    const under = paths.map((path) => victim.copy().get(`/gate${path}`));
    await at.gate.waitFor(paths.length);
    await end({ sid: victim.sid, user, other: victim.copy() });
    at.gate.open();
    await Promise.all(under);
    const { body } = await thief.get("/me");
    if (Object.keys(body).length > 0) revived++;
  }
  return revived;
}

describe("requests under way do not revive a session that was ended", () => {
  const logout: End = ({ other }) => other.get("/logout");

  test.each([true, false])("by its own logout, rolling %s", async (rolling) => {
    expect(await revivals(await open({ rolling }), logout, 30)).toBe(0);
  });

  test("by a logout on another app server", async () => {
    const elsewhere = await open({ store: t.store({ client: t.redis.client() }) });
    const end: End = ({ other }) => other.copy(elsewhere.url).get("/logout");
    expect(await revivals(site, end, 100)).toBe(0);
  });

  test("by destroy, killsoid or clear of another app server's store", async () => {
    const another = t.store({ client: t.redis.client() });
    expect(await revivals(site, ({ sid }) => another.destroy(sid), 30)).toBe(0);
    expect(await revivals(site, ({ user }) => another.killsoid(user), 30)).toBe(0);
    expect(await revivals(site, () => another.clear(), 30)).toBe(0);
  });

  test("by regenerate", async () => {
    expect(await revivals(site, ({ other }) => other.get("/regenerate"), 30)).toBe(0);
  });

  test("with hashed ids", async () => {
    const store = t.store({ hashIds: true });
    const hashed = await open({ store });
    expect(await revivals(hashed, logout, 20)).toBe(0);
    expect(await revivals(hashed, ({ user }) => store.killsoid(user), 20)).toBe(0);
  });

  test("but revive it on connect-redis 8, the control", async () => {
    const control = await open({ store: t.connectRedis() as unknown as fastifySession.SessionStore });
    expect(await revivals(control, logout, 5)).toBeGreaterThan(0);
  });
});
