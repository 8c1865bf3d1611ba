import { readFileSync } from "node:fs";
import type { SessionData } from "express-session";
import type { RedisOptions } from "ioredis";
import { beforeEach, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import * as scripts from "../../src/lua/index.js";
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

test("with the rights that docs/production.md names the engine can do all", async () => {
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0 });
  await everyMethod(rs);
  const crowd = Array.from({ length: 200 }, () =>
    rs.create({ app: "webapp", id: "alice", ip: "::1", maxPerUser: 190 }),
  );
  await Promise.all(crowd);
  expect((await rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(190);
  expect(await rs.killsoid({ app: "webapp", id: "alice" })).toEqual({ kill: 190 });
  await rs.quit();
});

test.each([{}, { disableTouch: true }])("so can RedisStore %o, with what connect-redis left", async (options) => {
  await t.db.acl("SETUSER", "sessions", "~sess:*");
  const left = { cookie: { originalMaxAge: 60_000 }, userId: "alice" };
  await t.db.set("sess:sid", JSON.stringify(left), "PX", 60_000);
  const store = new RedisStore({ client: t.redis.client(user), ...options });
  const session = (await store.get("sid")) as SessionData;
  expect(session).toMatchObject({ userId: "alice" });
  await store.set("sid", Object.assign(session, { cart: ["tea"] }));
  await store.touch("sid", session);
  expect((await store.soid("alice")).sessions).toMatchObject([{ ref: "sid", d: { cart: ["tea"] } }]);
  expect(await store.killsoid("alice")).toEqual({ kill: 1 });
  await store.destroy("sid");
});

test("and every command of a script is among them", () => {
  const named = Object.values(scripts).flatMap(({ source }) =>
    [...source.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command]) => `+${command?.toLowerCase()}`),
  );
  expect(named.length).toBeGreaterThan(100);
  expect([...new Set(named)].filter((command) => !rules.includes(command))).toEqual([]);
});

test.each([
  ["the command that runs scripts", "-evalsha"],
  ["a command that a script runs", "-zadd"],
  ["the keys", "resetkeys"],
])("without %s the error says where the rights are listed, and names no key", async (_what, rule) => {
  await t.db.acl("SETUSER", "sessions", rule);
  const rs = new RedisSessions({ client: t.redis.client(user), wipe: 0 });
  const refused = rs.create({ app: "webapp", id: "alice", ip: "::1" });
  await expect(refused).rejects.toMatchObject({
    name: "redisError",
    hint: expect.stringContaining('README, "Running Redis"'),
    message: expect.not.stringContaining("rs:{"),
  });
});
