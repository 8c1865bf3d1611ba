import { readFileSync } from "node:fs";
import { join } from "node:path";
import ConnectRedis7 from "connect-redis7";
import { RedisStore as ConnectRedis9 } from "connect-redis9";
import { RedisStore as ConnectRedis10 } from "connect-redis10";
import type { SessionData, Store } from "express-session";
import type { Redis } from "ioredis";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis5";
import { afterEach, describe, expect, test } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { call } from "../contract/store.js";
import { type Program, startProgram } from "../support/programs.js";
import { Browser } from "./support/browser.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();
const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const source = readFileSync(join(import.meta.dirname, "support/app-on-connect-redis.js"), "utf8");
const OLD_LINE = 'import { RedisStore } from "connect-redis10";';

/** The app's source on connect-redis 9 and 10 with node-redis, and on connect-redis 7 with ioredis. */
const APPS: Record<string, { source: string; line: string }> = {
  "connect-redis 10 with node-redis 6": { source, line: OLD_LINE },
  "connect-redis 10 with node-redis 5": { source: source.replace('from "redis"', 'from "redis5"'), line: OLD_LINE },
  "connect-redis 9 with node-redis 6": {
    source: source.replace("connect-redis10", "connect-redis9"),
    line: OLD_LINE.replace("connect-redis10", "connect-redis9"),
  },
  "connect-redis 7 with ioredis": {
    source: source
      .replace(OLD_LINE, 'import RedisStore from "connect-redis7";')
      .replace('import { createClient } from "redis"', 'import { Redis } from "ioredis"')
      .replace("await createClient({ url: process.env.REDIS_URL }).connect()", "new Redis(process.env.REDIS_URL)"),
    line: 'import RedisStore from "connect-redis7";',
  },
};

async function run(text: string): Promise<Program> {
  const program = await startProgram(process.execPath, ["--input-type=module", "--eval", text], {
    REDIS_URL: t.redis.url,
  });
  ends.push(() => program.stop());
  return program;
}

describe.each(Object.entries(APPS))("an app with passport and flash on %s", (_name, { source, line }) => {
  test("is moved by one import line, and nobody is signed out", async () => {
    expect(source).toContain(line);
    const before = await run(source);
    const old = new Browser(before.url);
    expect((await old.get("/login?username=alice&password=x")).body).toEqual({ id: "alice" });
    const late = new Browser(before.url);
    await late.get("/login?username=bob&password=x");
    await before.stop();
    expect(await t.db.keys("myapp:*")).toHaveLength(2);

    const after = await run(source.replace(line, 'import { RedisStore } from "ioredis-sessions/express-session";'));
    const browser = old.copy(after.url);
    expect((await browser.get("/me")).body).toEqual({ user: "alice", cart: ["tea"], flash: ["Welcome"] });
    // The message is shown once, so the session was changed and saved.
    expect((await browser.get("/me")).body).toEqual({ user: "alice", cart: ["tea"], flash: [] });
    expect(await t.db.keys("myapp:*")).toHaveLength(1);
    await browser.get("/logout");
    expect((await browser.get("/me")).body).toEqual({ flash: [] });
    expect((await late.copy(after.url).get("/me")).body).toMatchObject({ user: "bob" });
  }, 30_000);
});

/** What each store class takes: the options of connect-redis. */
type Options = Omit<RedisStoreOptions, "client">;

const rot: NonNullable<RedisStoreOptions["serializer"]> = {
  stringify: (data) => Buffer.from(JSON.stringify(data)).toString("base64"),
  parse: (text) => JSON.parse(Buffer.from(text, "base64").toString()),
};

const OPTIONS: [string, Options, ttl: [min: number, max: number]][] = [
  ["no options", {}, [86_300, 86_400]],
  ["a prefix", { prefix: "shop/" }, [86_300, 86_400]],
  ["a ttl", { ttl: 600 }, [590, 600]],
  ["a function for the ttl", { ttl: () => 700 }, [690, 700]],
  ["disableTTL", { disableTTL: true }, [-1, -1]],
  ["disableTouch", { disableTouch: true, ttl: 500 }, [490, 500]],
  ["scanCount", { scanCount: 10 }, [86_300, 86_400]],
  ["a serializer", { serializer: rot }, [86_300, 86_400]],
];

type NodeRedis = ReturnType<typeof createClient>;

/** Opens a client, and connect-redis on it. */
const PAIRS: Record<string, () => Promise<{ client: Redis | NodeRedis; old: (options: Options) => Store }>> = {
  "connect-redis 10 on node-redis 6": () => onNodeRedis(createClient({ url: t.redis.url })),
  "connect-redis 10 on node-redis 5": () =>
    // To TypeScript a client of another version is another type.
    onNodeRedis(createClient5({ url: t.redis.url }) as unknown as NodeRedis),
  "connect-redis 9 on node-redis 6": () => onNodeRedis(createClient({ url: t.redis.url }), ConnectRedis9),
  "connect-redis 7 on ioredis": async () => {
    const client = t.redis.client();
    return { client, old: (options) => new ConnectRedis7({ ...options, client } as never) };
  },
};

async function onNodeRedis(
  client: NodeRedis,
  ConnectRedis: typeof ConnectRedis9 | typeof ConnectRedis10 = ConnectRedis10,
) {
  await client.connect();
  ends.push(() => client.destroy());
  return { client, old: (options: Options) => new ConnectRedis({ ...options, client } as never) as Store };
}

describe.each(Object.keys(PAIRS))("%s", (name) => {
  test.each(OPTIONS)("with %s, RedisStore with the same options takes over a session", async (_what, options, ttl) => {
    const { client, old } = await (PAIRS[name] as (typeof PAIRS)[string])();
    const data = withCookie({ userId: "alice", cart: ["tea"] }, null) as SessionData;
    await call((done) => old(options).set("sid", data, done));
    const store = new RedisStore({ ...options, client });
    const got = await store.get("sid");
    expect(got).toMatchObject({ userId: "alice", cart: ["tea"] });
    const left = [...(await t.db.keys("*:s:~sid"))];
    expect(left).toHaveLength(1);
    const seconds = await t.db.ttl(left[0] as string);
    expect(seconds).toBeGreaterThanOrEqual(ttl[0]);
    expect(seconds).toBeLessThanOrEqual(ttl[1]);
    Object.assign(got as SessionData, { cart: ["tea", "cake"] });
    await store.set("sid", got as SessionData);
    expect(await store.get("sid")).toMatchObject({ cart: ["tea", "cake"] });
    expect(await store.killsoid("alice")).toEqual({ kill: 1 });
    expect(await store.get("sid")).toBeNull();
  });
});
