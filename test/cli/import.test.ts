import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { useEngine } from "../support/engine.js";
import { openRedisSessions } from "../support/redis-sessions.js";
import { spawnCommand, toolsOn, useCommand } from "./support/command.js";

const t = useEngine();
useCommand();
const { tool, jsonOf } = toolsOn(() => t.redis);
const ZERO = { imported: 0, expired: 0, ended: 0, present: 0, damaged: 0, complete: true };

/** Writes a session as connect-redis does. */
async function plant(sid: string, data: object): Promise<void> {
  await t.db.set(`sess:${sid}`, JSON.stringify({ cookie: { originalMaxAge: null }, ...data }), "EX", 1000);
}

describe("import --from connect-redis", () => {
  test("imports the sessions of a prefix, and counts them in words and as JSON", async () => {
    await plant("a", { userId: "alice" });
    await plant("b", { passport: { user: "bob" } });
    await t.db.set("sess:config", "{}");
    const dry = await tool("import", "--from", "connect-redis", "--dry-run");
    expect(dry).toEqual({
      code: 0,
      out: "2 sessions would be imported\n1 left where they are: not sessions that the package wrote\n",
      err: "",
    });
    expect(await t.db.keys("rs:{*")).toEqual([]);
    expect(await jsonOf("import", "--from", "connect-redis", "--prefix", "sess:", "--app", "webapp")).toEqual({
      ...ZERO,
      imported: 2,
      damaged: 1,
    });
    const store = new RedisStore({ rs: t.rs, app: "webapp" });
    expect(await store.get("a")).toMatchObject({ userId: "alice" });
    expect((await store.soid("bob")).sessions).toHaveLength(1);
  });

  test("takes the options of the store", async () => {
    await plant("a", { account: { name: "carol" } });
    await t.db.persist("sess:a");
    const flags = ["--user-id", "account.name", "--hash-ids", "--disable-ttl"];
    expect((await tool("import", "--from", "connect-redis", ...flags)).out).toBe("1 session imported\n");
    const store = new RedisStore({ client: t.db, hashIds: true, disableTTL: true });
    expect(await store.get("a")).toMatchObject({ account: { name: "carol" } });
    const userId = ({ account }: SessionData & { account?: { name: string } }) => account?.name;
    expect((await new RedisStore({ client: t.db, userId }).soid("carol")).sessions).toHaveLength(1);
  });

  test("asks for the app if the prefix does not name one", async () => {
    const { code, err } = await tool("import", "--from", "connect-redis", "--prefix", "a/b");
    expect(code).toBe(2);
    expect(err).toContain('No app supplied, and the prefix "a/b" names none');
    expect(err).toContain("--app");
  });

  test("says that no key has the prefix, which may be misspelt", async () => {
    await plant("a", { userId: "alice" });
    const { code, out } = await tool("import", "--from", "connect-redis", "--prefix", "ses:", "--app", "webapp");
    expect({ code, out }).toEqual({ code: 0, out: "0 sessions imported\nnone found: check --prefix\n" });
  });
});

describe("import --from redis-sessions", () => {
  test("imports the sessions of an app, from a namespace of its own", async () => {
    const old = openRedisSessions("4", t.redis.port, "old");
    const { token } = await old.create({ app: "webapp", id: "alice", ip: "::1" });
    await old.quit();
    const flags = ["import", "--from", "redis-sessions", "--app", "webapp"];
    expect((await tool(...flags)).out).toBe("0 sessions imported\nnone found: check --app and --from-namespace\n");
    expect((await tool(...flags, "--from-namespace", "old")).out).toBe("1 session imported\n");
    expect(await t.rs.get({ app: "webapp", token })).toMatchObject({ id: "alice" });
  });

  test("refuses a wrong command line with the exit code 2", async () => {
    expect(await tool("import")).toMatchObject({ code: 2, err: expect.stringContaining("--from") });
    expect(await tool("import", "--from", "redis")).toMatchObject({ code: 2 });
    expect(await tool("import", "--from", "redis-sessions")).toMatchObject({
      code: 2,
      err: expect.stringContaining("No app supplied"),
    });
    expect(await tool("import", "--from", "redis-sessions", "--app", "webapp", "--prefix", "sess:")).toMatchObject({
      code: 2,
      err: expect.stringContaining("--prefix does not apply to --from redis-sessions"),
    });
  });
});

/** Writes many sessions as connect-redis does. */
async function plantMany(count: number): Promise<void> {
  for (let from = 0; from < count; from += 1000) {
    const pipeline = t.db.pipeline();
    for (let n = from; n < from + 1000; n++) {
      pipeline.set(`sess:${n}`, '{"cookie":{"originalMaxAge":null},"userId":"alice"}', "EX", 1000);
    }
    await pipeline.exec();
  }
}

test("import says after a failure how far it came, and that it can be run again", async () => {
  await plantMany(20_000);
  const { result } = spawnCommand(["import", "--from", "connect-redis", "--redis", t.redis.url]);
  // More than are moved at a time, so some are counted.
  while ((await t.db.zcard("rs:{sess}:active")) < 100);
  await t.db.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  const { code, out, err } = await result;
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^at least \d+ imported, 0 skipped, 0 left: run the command again to import the rest\n/);
  expect(err).toContain("Redis");
}, 60_000);

test("import stops at Ctrl-C, and imports the rest when it is run again", async () => {
  const count = 20_000;
  await plantMany(count);
  const { child, result } = spawnCommand(["import", "--from", "connect-redis", "--json", "--redis", t.redis.url]);
  // The first session that is imported shows that the import has begun.
  while ((await t.db.zcard("rs:{sess}:active")) === 0);
  child.kill("SIGINT");
  const first = await result;
  expect(first).toMatchObject({ code: 1, err: "" });
  const stopped = JSON.parse(first.out);
  expect(stopped).toMatchObject({ complete: false });
  expect(await t.db.zcard("rs:{sess}:active")).toBe(stopped.imported);
  expect(await jsonOf("import", "--from", "connect-redis")).toEqual({ ...ZERO, imported: count - stopped.imported });
  expect(await t.db.zcard("rs:{sess}:active")).toBe(count);
}, 60_000);

describe("import of an app with several shards", () => {
  test.each([
    ["of which Redis has the number", true, []],
    ["that has no session yet, with --shards", false, ["--shards", "16"]],
  ] as const)("%s puts the sessions into their shards", async (_which, isRegistered, flags) => {
    const open = () => new RedisStore({ client: t.db, shards: 16 });
    const before = open();
    if (isRegistered) await before.set("old", { cookie: { originalMaxAge: null } } as SessionData);
    for (const sid of ["a", "b", "c"]) await plant(sid, { userId: "alice" });
    expect((await tool("import", "--from", "connect-redis", ...flags)).out).toBe("3 sessions imported\n");
    expect((await open().soid("alice")).sessions).toHaveLength(3);
    expect(await t.db.exists("rs:{sess}:active")).toBe(0);
  });

  test("refuses a number that is not possible, or not the app's", async () => {
    expect(await tool("import", "--from", "connect-redis", "--shards", "3")).toMatchObject({
      code: 2,
      err: expect.stringContaining("It must be one of 1, 2, 4, 8, 16, 32."),
    });
    await new RedisStore({ client: t.db, shards: 4 }).set("old", { cookie: { originalMaxAge: null } } as SessionData);
    await plant("a", { userId: "alice" });
    const { code, err } = await tool("import", "--from", "connect-redis", "--shards", "16");
    expect(code).toBe(1);
    expect(err).toContain('The app "sess" has 4 shards in Redis, but this process has the option shards: 16');
  });
});
