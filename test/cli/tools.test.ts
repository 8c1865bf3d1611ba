import { readFileSync } from "node:fs";
import type { SessionData } from "express-session";
import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { freePort } from "../support/redis.js";
import { run, toolsOn, useCommand } from "./support/command.js";

const t = useEngine();
useCommand();
const { tool, jsonOf } = toolsOn(() => t.redis);

describe("the command", () => {
  test("soid lists the sessions of a user", async () => {
    const { ref } = await t.create();
    await t.create({ id: "bob" });
    expect((await tool("soid", "webapp", "alice")).out).toContain(ref);
    const { sessions } = await t.rs.soid({ app: "webapp", id: "alice" });
    // The command takes a moment to start, so it may see one more second of idle time.
    const expected = sessions.map((session) => ({ ...session, idle: expect.any(Number) }));
    expect(await jsonOf("soid", "webapp", "alice")).toEqual({ sessions: expected });
    expect((await tool("soid", "webapp", "nobody")).out).toBe("No sessions.\n");
  });

  test("activity counts users", async () => {
    await t.create();
    expect((await tool("activity", "webapp")).out).toBe("1 user active in the last 600 seconds\n");
    await t.create({ id: "bob" });
    expect((await tool("activity", "webapp", "--dt", "60")).out).toBe("2 users active in the last 60 seconds\n");
    expect(await jsonOf("activity", "webapp")).toEqual({ activity: 2 });
  });

  test("kill ends a session by its ref or its token", async () => {
    const [one, two] = [await t.create(), await t.create()];
    expect((await tool("kill", "webapp", one.ref)).out).toBe("1 session ended\n");
    expect(await jsonOf("kill", "webapp", two.token)).toEqual({ kill: 1 });
    expect((await tool("kill", "webapp", two.ref)).out).toBe("0 sessions ended\n");
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toEqual([]);
  });

  test("accepts the refs of RedisStore sessions as listed", async () => {
    const store = new RedisStore({ client: t.db });
    const [one, two, uuid] = [
      "-bcdefghijklmnopqrstuvwxyz_12345",
      "b".repeat(32),
      "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ];
    const data = { userId: "alice", cookie: { originalMaxAge: null } } as unknown as SessionData;
    for (const id of [one, two, uuid]) await store.set(id, data);
    const listed = ((await jsonOf("soid", "sess", "alice")) as { sessions: { ref: string }[] }).sessions;
    expect(listed.map(({ ref }) => ref).sort()).toEqual([one, two, uuid].map((id) => store.ref(id)).sort());
    expect(await jsonOf("kill", "sess", store.ref(one))).toEqual({ kill: 1 });
    expect(await jsonOf("killsoid", "sess", "alice", "--except", store.ref(two))).toEqual({ kill: 1 });
    expect(await store.get(two)).not.toBeNull();
  });

  test("setall changes the data of all sessions of a user", async () => {
    const { ref } = await t.create();
    await t.create();
    expect((await tool("setall", "webapp", "alice", '{"role":"editor","list":[1]}')).out).toBe("2 sessions changed\n");
    expect((await t.rs.get({ app: "webapp", ref }))?.d).toEqual({ role: "editor", list: [1] });
    expect(await jsonOf("setall", "webapp", "bob", '{"a":1}')).toEqual({ set: 0 });
    for (const bad of ["role=editor", "[]", "3", "null", "{}"]) {
      expect((await tool("setall", "webapp", "alice", bad)).code).toBe(2);
    }
  });

  test("touch prolongs a session by its ref or its token, and sets another ttl", async () => {
    const { token, ref } = await t.create();
    expect(await jsonOf("touch", "webapp", ref, "--ttl", "60")).toMatchObject({ ref, ttl: 60 });
    expect((await tool("touch", "webapp", token)).out).toMatch(new RegExp(`^REF .*\n${ref} .* 60 s `));
    expect((await tool("touch", "webapp", "x".repeat(27))).out).toBe("No sessions.\n");
    expect(await jsonOf("touch", "webapp", `-${"h".repeat(26)}`)).toEqual({});
    expect((await tool("touch", "webapp", ref, "--ttl", "9")).code).toBe(2);
  });

  test("kill accepts a ref that begins with a dash", async () => {
    for (const ref of [`-${"h".repeat(26)}`, `--${"-".repeat(25)}`]) {
      expect(await jsonOf("kill", "webapp", ref)).toEqual({ kill: 0 });
    }
    expect(await run(["kill", "--redis", t.redis.url, "webapp", "--", `-${"h".repeat(26)}`])).toMatchObject({
      code: 0,
    });
    expect((await tool("kill", "webapp", "--jsno")).code).toBe(2);
  });

  test("announces a logout to other servers with --events, or RS_EVENTS, and not without", async () => {
    const listener = t.redis.client();
    const messages: string[] = [];
    listener.on("message", (_channel, message) => messages.push(message));
    await listener.subscribe("rs:{webapp}:changes");
    const logOut = async (...flags: string[]) => {
      await t.create();
      await tool("killsoid", "webapp", "alice", ...flags);
      await listener.ping();
      return messages.splice(0).filter((message) => message.includes("\nended\n")).length;
    };
    expect(await logOut()).toBe(0);
    expect(await logOut("--events")).toBe(1);
    await t.create();
    await run(["killsoid", "webapp", "alice"], { REDIS_URL: t.redis.url, RS_EVENTS: "1" });
    await listener.ping();
    expect(messages).toHaveLength(1);
  });

  test("killsoid ends all sessions of a user, or all except one", async () => {
    const [keep] = [await t.create(), await t.create(), await t.create({ id: "bob" })];
    expect((await tool("killsoid", "webapp", "alice", "--except", keep.ref)).out).toBe("1 session ended\n");
    expect(await jsonOf("killsoid", "webapp", "alice")).toEqual({ kill: 1 });
    expect((await t.rs.soapp({ app: "webapp", dt: 60 })).sessions).toMatchObject([{ id: "bob" }]);
  });

  test("killall exits with 2 if it cannot ask for confirmation", async () => {
    const { ref } = await t.create();
    const { code, out, err } = await tool("killall", "webapp");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("--yes");
    expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toMatchObject([{ ref }]);
  });

  test("killall --yes ends all sessions of the app and of no other app", async () => {
    await t.create();
    await t.create({ id: "bob" });
    await t.create({ app: "other" });
    expect((await tool("killall", "webapp", "--yes")).out).toBe("2 sessions ended\n");
    expect(await jsonOf("killall", "webapp", "--yes")).toEqual({ kill: 0 });
    expect(await t.rs.activity({ app: "other", dt: 60 })).toEqual({ activity: 1 });
  });

  test("finds Redis by --redis, REDIS_URL and the variables of rest-sessions", async () => {
    await t.create();
    const count = ["activity", "webapp", "--json"];
    const nowhere = `redis://127.0.0.1:${await freePort()}`;
    for (const { args = [], env } of [
      { env: { REDIS_URL: t.redis.url } },
      { env: { RS_REDISHOST: "127.0.0.1", RS_REDISPORT: `${t.redis.port}` } },
      { args: ["--redis", t.redis.url], env: { REDIS_URL: nowhere } },
    ]) {
      expect(JSON.parse((await run([...count, ...args], env)).out)).toEqual({ activity: 1 });
    }
    expect((await run(count, { REDIS_URL: t.redis.url, RS_NAMESPACE: "other" })).out).toContain('"activity":0');
    expect((await tool(...count, "--namespace", "other")).out).toContain('"activity":0');
  });

  test("exits with 1 and reports that Redis is down", async () => {
    const port = `${await freePort()}`;
    for (const env of [{ REDIS_URL: `redis://127.0.0.1:${port}` }, { RS_REDISPORT: port }]) {
      const { code, out, err } = await run(["ls", "webapp"], env);
      expect({ code, out }).toEqual({ code: 1, out: "" });
      const remedy = "no server listens there: check that Redis runs, and check host and port";
      expect(err).toBe(
        `ioredis-sessions: Redis is not available: connect ECONNREFUSED 127.0.0.1:${port} (${remedy})\n`,
      );
    }
  });

  test("exits with 1 for an unknown database and changes no other database", async () => {
    await t.create();
    const { code, out, err } = await run(["killsoid", "webapp", "alice", "--redis", `${t.redis.url}/99`]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    const remedy = "the database does not exist: check db, or the number at the end of the URL";
    expect(err).toBe(`ioredis-sessions: Redis is not available: ERR DB index is out of range (${remedy})\n`);
    expect((await tool("activity", "webapp")).out).toContain("1 user");
  });

  test("reports a wrong password once without repeating it", async () => {
    const { code, err } = await run(["ls", "webapp", "--redis", t.redis.url.replace("://", "://eve:S3cret@")]);
    expect(code).toBe(1);
    expect(err).toMatch(/^ioredis-sessions: (?:(?!WRONGPASS).)*WRONGPASS(?:(?!WRONGPASS).)*\n$/);
    expect(err).not.toContain("S3cret");
  });

  test("ignores empty variables", async () => {
    await t.create();
    const env = { REDIS_URL: "", RS_NAMESPACE: "", RS_REDISHOST: "", RS_REDISPORT: `${t.redis.port}` };
    expect((await run(["activity", "webapp"], env)).out).toContain("1 user");
  });

  test.each(["abc", "65536", "-1"])("refuses RS_REDISPORT=%s", async (port) => {
    const { code, err } = await run(["ls", "webapp"], { RS_REDISPORT: port });
    expect(code).toBe(2);
    expect(err).toBe(`ioredis-sessions: RS_REDISPORT must be a port, but is "${port}" (at most 65535)\n`);
  });

  test("exits with 1 and reports that Redis does not answer", async () => {
    t.redis.pause();
    try {
      const { code, out, err } = await tool("ls", "webapp");
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toContain("Redis did not answer");
    } finally {
      t.redis.resume();
    }
  });

  test.each<[string, string[], RegExp]>([
    ["no command", [], /Usage: ioredis-sessions/],
    ["an unknown command", ["lss"], /unknown command 'lss'[\s\S]*ls/],
    ["an unknown option", ["ls", "webapp", "--limits", "3"], /unknown option '--limits'[\s\S]*--limit/],
    ["a missing argument", ["soid", "webapp"], /missing required argument 'id'/],
    ["an argument too many", ["ls", "webapp", "shop"], /too many arguments/],
    ["an invalid number", ["ls", "webapp", "--dt", "ten"], /must be a whole number/],
    ["a limit of 0", ["ls", "webapp", "--limit", "0"], /at least 1/],
    ["a time span that is too short", ["activity", "webapp", "--dt", "9"], /dt must be a positive integer >= 10/],
    ["a bad app", ["ls", "no"], /Invalid app format.*3 to 20/],
    ["a bad ref", ["kill", "webapp", "short"], /Invalid token format \(64 of .*; or a ref: 27 of A-Z a-z 0-9 _ -/],
    ["an invalid port", ["serve", "--port", "65536"], /at most 65535/],
  ])("exits with 2 and reports %s", async (_what, args, message) => {
    const { code, out, err } = await run(args, { REDIS_URL: t.redis.url });
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n +at /);
  });

  test("--version prints the version of the package", async () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8"));
    expect(await run(["--version"])).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });

  test("serve refuses an invalid RS_PORT, and other commands ignore it", async () => {
    const { code, err } = await run(["serve"], { RS_PORT: "http" });
    expect(code).toBe(2);
    expect(err).toContain("RS_PORT");
    expect(err).not.toMatch(/\n +at /);
    expect(await run(["activity", "webapp"], { RS_PORT: "http", REDIS_URL: t.redis.url })).toMatchObject({ code: 0 });
  });

  test("serve --help describes the variables and the key file", async () => {
    const help = (await run(["serve", "--help"])).out.replace(/\s+/g, " ");
    for (const word of ["RS_PORT", "RS_REDISURL", "RS_API_KEYS", "# comment", "RS_LOGLEVEL=none logs only"]) {
      expect(help).toContain(word);
    }
  });

  test.each(["", "serve", "ls", "activity", "soid", "kill", "killsoid", "killall"])(
    "ioredis-sessions %s --help lists the options and exits with 0",
    async (command) => {
      const { code, out, err } = await run([...(command === "" ? [] : [command]), "--help"]);
      expect({ code, err }).toEqual({ code: 0, err: "" });
      expect(out).toContain(`Usage: ioredis-sessions ${command}`.trimEnd());
      const flags =
        command === ""
          ? ["serve", "ls", "activity", "soid", "kill", "killsoid", "killall"]
          : ["--redis", "--namespace"];
      for (const flag of flags) expect(out).toContain(flag);
    },
  );
});

describe("an app with several shards", () => {
  const sharded = () => new RedisSessions({ client: t.db, wipe: 0, shards: 16 });

  test("is listed and ended like any other: the command reads the number from Redis", async () => {
    const rs = sharded();
    const ids = Array.from({ length: 20 }, (_, i) => `user${i}`);
    const created = await Promise.all(ids.map((id) => rs.create({ app: "webapp", id, ip: "::1" })));
    expect(((await jsonOf("ls", "webapp")) as { sessions: unknown[] }).sessions).toHaveLength(20);
    expect(await jsonOf("activity", "webapp")).toEqual({ activity: 20 });
    expect(await jsonOf("soid", "webapp", "user3")).toMatchObject({ sessions: [{ ref: created[3]?.ref }] });
    expect(await jsonOf("kill", "webapp", `${created[4]?.token}`)).toEqual({ kill: 1 });
    expect(await jsonOf("killsoid", "webapp", "user3")).toEqual({ kill: 1 });
    expect(await jsonOf("setall", "webapp", "user5", '{"role":"editor"}')).toEqual({ set: 1 });
    expect(await jsonOf("killall", "webapp", "--yes")).toEqual({ kill: 18 });
  });
});
