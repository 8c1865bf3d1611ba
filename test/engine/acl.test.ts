import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import express from "express";
import type { SessionData } from "express-session";
import type { RedisOptions } from "ioredis";
import { beforeEach, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import * as scripts from "../../src/lua/index.js";
import { sessions } from "../../src/middleware/index.js";
import type { Script } from "../../src/redis/script.js";
import { rest } from "../../src/rest/index.js";
import { openSite } from "../express-session/support/site.js";
import { useEngine } from "../support/engine.js";
import { everyMethod } from "../support/every-method.js";

/** The rights that docs/production.md names. */
const [, rights = ""] =
  /^redis-cli ACL SETUSER sessions on '>secret' (.*?)\n```/ms.exec(readFileSync("docs/production.md", "utf8")) ?? [];
const rules = rights.replaceAll("'", "").split(/[\s\\]+/);
const user: RedisOptions = { username: "sessions", password: "secret" };

const t = useEngine();

beforeEach(async () => {
  await t.db.script("FLUSH");
  await t.db.acl("SETUSER", "sessions", "reset", "on", ">secret", ...rules);
});

test("the engine works with the rights that docs/production.md lists", async () => {
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0 });
  await everyMethod(rs);
  const created = Array.from({ length: 200 }, () =>
    rs.create({ app: "webapp", id: "alice", ip: "::1", maxPerUser: 190 }),
  );
  await Promise.all(created);
  expect((await rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(190);
  expect(await rs.killsoid({ app: "webapp", id: "alice" })).toEqual({ kill: 190 });
  await rs.quit();
});

/** The rights that it names for an engine with events. */
const [, eventRights = ""] =
  /^redis-cli ACL SETUSER sessions ('&.*?)\n```/ms.exec(readFileSync("docs/production.md", "utf8")) ?? [];
const eventRules = eventRights.replaceAll("'", "").split(/[\s\\]+/);

test.each([
  ["the channels", "resetchannels", /channel/],
  ["the command of an announcement", "-publish", /can't run this command|no permissions to run/],
  ["the command of a stream", "-xadd", /can't run this command|no permissions to run/],
])(
  "without the right for %s, the error of a change says that it was made, and names the rights",
  async (_what, rule, reason) => {
    await t.db.acl("SETUSER", "sessions", ...eventRules, rule);
    const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0, events: { stream: 10 } });
    const refused = {
      name: "redisError",
      message: expect.stringMatching(/^The change was made, but Redis refused to announce it: (?!.*rs:\{)/),
      hint: expect.stringMatching(/&rs:\*, \+publish .*docs\/production\.md#rights-acl/),
      cause: expect.objectContaining({ message: expect.stringMatching(reason) }),
    };
    const alice = { app: "webapp", id: "alice", ip: "::1" };
    await expect(rs.create(alice)).rejects.toMatchObject(refused);
    // Calls that share a run share its error.
    const together = await Promise.allSettled([rs.create(alice), rs.create(alice)]);
    expect(together).toMatchObject(Array(2).fill({ status: "rejected", reason: refused }));
    expect((await rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(3);
    await rs.quit();
  },
);

test("without the right to append to a stream, a change is announced all the same", async () => {
  await t.db.acl("SETUSER", "sessions", ...eventRules, "-xadd");
  const subscriber = t.redis.client();
  const heard: string[] = [];
  subscriber.on("message", (_channel, message) => heard.push(message));
  await subscriber.subscribe("rs:{webapp}:changes");
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0, events: { stream: 10 } });
  await expect(rs.create({ app: "webapp", id: "alice", ip: "::1" })).rejects.toMatchObject({ name: "redisError" });
  await expect.poll(() => heard).toEqual([expect.stringContaining("created")]);
  await rs.quit();
});

test("an engine with events works with the additional rights", async () => {
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0, events: { stream: 10 } });
  await t.db.acl("SETUSER", "sessions", ...eventRules);
  await everyMethod(rs);
  const { connection } = internalsOf(rs);
  const subscription = connection.subscriber.subscribe("rs:{webapp}:changes", { onMessage: () => {} });
  await expect.poll(() => subscription.epoch).toBeGreaterThan(0);
  await rs.quit();
});

test.each([{}, { disableTouch: true }])(
  "RedisStore %o works with them, and takes over sessions of connect-redis",
  async (options) => {
    const left = { cookie: { originalMaxAge: 60_000 }, userId: "alice" };
    await t.db.set("sess:sid", JSON.stringify(left), "PX", 60_000);
    const store = new RedisStore({ client: t.redis.client(user), ...options });
    const session = (await store.get("sid")) as SessionData;
    expect(session).toMatchObject({ userId: "alice" });
    await store.set("sid", Object.assign(session, { cart: ["tea"] }));
    await store.touch("sid", session);
    expect((await store.soid("alice")).sessions).toMatchObject([{ ref: "~sid", d: { cart: ["tea"] } }]);
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
    await store.destroy("sid");
  },
);

test("a site on RedisStore with its defaults works with them: login, logout, a stale cookie, lists and mass logouts", async () => {
  const store = new RedisStore({ client: t.redis.client(user) });
  const site = await openSite({ store });
  const browser = site.browser();
  const stale = browser.copy();
  for (const path of ["/login/alice", "/me", "/push/tea", "/regenerate", "/login/alice", "/logout", "/me"])
    expect((await browser.get(path)).status).toBe(200);
  await stale.get("/login/bob");
  await store.destroy(stale.sid);
  expect((await stale.get("/me")).status).toBe(200);
  await browser.get("/login/alice");
  await store.killsoid("alice", { except: browser.sid });
  expect([await store.length(), (await store.ids()).length, (await store.all()).length]).toEqual([1, 1, 1]);
  expect((await store.soapp(60)).sessions).toHaveLength(1);
  expect(await store.activity(60)).toEqual({ activity: 1 });
  await store.clear();
  await site.close();
});

test("the middleware and REST work with them", async () => {
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0 });
  const auth = sessions({ rs, app: "webapp", secret: "keyboard cat and 19 more characters" });
  const server = express()
    .use("/rest", rest({ rs, authorize: ["key-0123456789abcdef"] }))
    .use(auth)
    .get("/in", async ({ rs: own }, res) => void res.json(await own.create("alice")))
    .get("/me", async ({ rs: own }, res) => void res.json(await own.get()))
    .get("/rotate", async ({ rs: own }, res) => void res.json(await own.rotate()))
    .get("/everywhere", async ({ rs: own }, res) => void res.json(await own.killAll()))
    .listen(0);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let cookie = "";
  for (const path of ["/in", "/me", "/rotate", "/me", "/everywhere", "/me"]) {
    const answer = await fetch(url + path, { headers: { cookie } });
    expect(answer.status).toBe(200);
    cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? cookie;
  }
  const headers = { "X-API-Key": "key-0123456789abcdef" };
  for (const [method, path] of [
    ["PUT", "create/bob?ip=::1"],
    ["GET", "soid/bob"],
    ["GET", "soapp?dt=60"],
    ["GET", "activity?dt=60"],
    ["DELETE", "killsoid/bob"],
    ["DELETE", "killall"],
  ])
    expect((await fetch(`${url}/rest/webapp/${path}`, { method: `${method}`, headers })).status).toBe(200);
  server.close();
});

test("the store's error names the keys of connect-redis, and legacy: false, if the rights lack them", async () => {
  await t.db.acl("SETUSER", "sessions", "resetkeys", "~rs:*");
  const client = t.redis.client(user);
  const refused = {
    name: "redisError",
    hint: "RedisStore looks for sessions of connect-redis: allow the keys ~sess:*, or set legacy: false",
    message: expect.not.stringContaining("secret-id"),
  };
  const store = new RedisStore({ client });
  await expect(store.get("secret-id")).rejects.toMatchObject(refused);
  await expect(store.destroy("secret-id")).rejects.toMatchObject(refused);
  expect(await new RedisStore({ client, legacy: false }).get("secret-id")).toBeNull();
});

test("an import works with the rights that docs/production.md lists for it, and names them if one is missing", async () => {
  const client = t.redis.client(user);
  const [rs, store] = [new RedisSessions({ client, wipe: 0 }), new RedisStore({ client })];
  await t.db.set("sess:sid", JSON.stringify({ cookie: { originalMaxAge: null } }), "EX", 100);
  const now = Math.floor(Date.now() / 1000);
  await t.db.hset(`rs:webapp:${"x".repeat(64)}`, { id: "alice", r: 1, w: 1, ip: "::1", la: now, ttl: 100 });
  const hint = expect.stringContaining("docs/production.md#rights-acl");
  await expect(store.importSessions()).rejects.toMatchObject({ name: "redisError", hint });
  const [, row = ""] = /^\| an import: .*? \| (.*) \|$/m.exec(readFileSync("docs/production.md", "utf8")) ?? [];
  await t.db.acl("SETUSER", "sessions", ...(row.match(/\+\w+/g) ?? []));
  expect(await store.importSessions()).toMatchObject({ imported: 1 });
  expect(await rs.importSessions({ app: "webapp", from: "redis-sessions" })).toMatchObject({ imported: 1 });
});

test("every command in a script is in the list", () => {
  const variants = Object.values(scripts).map((script: Script) => [script, script.announcing ?? script] as const);
  const commandsOf = ({ source }: Script) =>
    [...source.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) => `+${command?.toLowerCase()}`);
  const named = variants.flatMap(([plain]) => commandsOf(plain));
  expect(named.length).toBeGreaterThan(100);
  expect([...new Set(named)].filter((command) => !rules.includes(command))).toEqual([]);
  const all = new Set(variants.flatMap(([, announcing]) => commandsOf(announcing)));
  expect([...all].filter((command) => ![...rules, ...eventRules].includes(command))).toEqual([]);
});

test.each([
  ["the command that runs scripts", "-evalsha"],
  ["a command that a script runs", "-zadd"],
  ["the keys", "resetkeys"],
])("without %s the error says where the rights are listed, and contains no key", async (_what, rule) => {
  await t.db.acl("SETUSER", "sessions", rule);
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0 });
  const refused = rs.create({ app: "webapp", id: "alice", ip: "::1" });
  await expect(refused).rejects.toMatchObject({
    name: "redisError",
    hint: expect.stringContaining("docs/production.md#rights-acl"),
    message: expect.not.stringContaining("rs:{"),
  });
});
