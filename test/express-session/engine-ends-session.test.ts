import fastifyCookie from "@fastify/cookie";
import fastifySession from "@fastify/session";
import type { SessionData } from "express-session";
import Fastify from "fastify";
import { describe, expect, test } from "vitest";
import { Browser } from "./support/browser.js";
import { Gate } from "./support/gate.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

const ends: Record<string, (sid: string) => Promise<unknown>> = {
  kill: (sid) => t.rs.kill({ app: "sess", ref: `~${sid}` }),
  killsoid: () => t.rs.killsoid({ app: "sess", id: "alice" }),
  killall: () => t.rs.killall({ app: "sess" }),
  "create with maxPerUser": () => t.rs.create({ app: "sess", id: "alice", ip: "::1", maxPerUser: 1 }),
};

describe("RedisStore, when the engine ends one of its sessions", () => {
  test.each(Object.keys(ends))("%s: does not let a running Fastify request recreate the session", async (how) => {
    const gate = new Gate();
    const app = Fastify();
    await app.register(fastifyCookie);
    await app.register(fastifySession, {
      secret: "a secret with a length of at least 32 characters",
      cookie: { secure: false },
      saveUninitialized: false,
      store: t.store(),
    });
    app.get("/login", async ({ session }) => Object.assign(session, { userId: "alice" }) && {});
    app.get("/me", async ({ session }) => ({ userId: (session as { userId?: string }).userId }));
    app.get("/slow", async ({ session }) => {
      await gate.pass();
      return Object.assign(session, { color: "red" }) && {};
    });
    const url = await app.listen({ port: 0, host: "127.0.0.1" });
    const browser = new Browser(url);
    await browser.get("/login");
    const thief = browser.copy();
    const slow = browser.copy().get("/slow");
    await gate.waitFor(1);
    await ends[how]?.(browser.sid);
    gate.open();
    await slow;
    expect((await thief.get("/me")).body).toEqual({});
    await app.close();
  });

  test.each(Object.keys(ends).slice(0, 3))(
    "%s: does not import the session from connect-redis a second time",
    async (how) => {
      await t.db.set("sess:sid", JSON.stringify(withCookie({ userId: "alice" })), "PX", 60_000);
      const first = t.store();
      const late = t.redis.client();
      const get = late.get.bind(late);
      // After the second request has read the old session, the first one imports it and the engine ends it.
      late.get = (async (key: string) => {
        const text = await get(key);
        if (key !== "sess:sid") return text;
        expect(await first.get("sid")).toMatchObject({ userId: "alice" });
        await ends[how]?.("sid");
        return text;
      }) as typeof late.get;
      expect(await t.store({ client: late }).get("sid")).toBeNull();
    },
  );

  test("leaves tombstones only for sessions of RedisStore", async () => {
    const { ref } = await t.rs.create({ app: "sess", id: "alice", ip: "::1" });
    await t.store().set("sid", withCookie({ userId: "alice" }) as SessionData);
    expect(await t.rs.killsoid({ app: "sess", id: "alice" })).toEqual({ kill: 2 });
    expect(await t.db.exists(`rs:{sess}:s:${ref}`, "rs:{sess}:s:~sid")).toBe(1);
    expect(await t.db.pttl("rs:{sess}:s:~sid")).toBeGreaterThan(50_000);
  });
});

test("destroy removes a session by ref that connect-redis has written again", async () => {
  const store = t.store();
  const left = JSON.stringify(withCookie({ userId: "alice" }));
  await t.db.set("sess:sid", left, "PX", 60_000);
  await store.get("sid");
  await t.db.set("sess:sid", left, "PX", 60_000);
  await store.destroy("~sid");
  // Simulate the expiry of the tombstone.
  await t.db.del("rs:{sess}:s:~sid");
  expect(await store.get("sid")).toBeNull();
});
