import session, { type SessionData } from "express-session";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { RedisStore, type RedisStoreOptions } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { type SessionsOptions, sessions } from "../../src/middleware/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const DAY = 86_400;

const warnings: Error[] = [];
const note = (warning: Error & { code?: string }) => {
  if (/^(MILLI)?SECONDS_EXPECTED$/.test(`${warning.code}`)) warnings.push(warning);
};

beforeAll(() => void process.on("warning", note));
afterAll(() => void process.off("warning", note));
afterEach(() => void warnings.splice(0));

/** Does `work`. Returns the messages of the warnings about times that it causes. */
async function warningsOf(work: () => unknown): Promise<string[]> {
  await work();
  await new Promise(setImmediate);
  return warnings.splice(0).map(({ message }) => message);
}

function middleware(options: Partial<SessionsOptions>): () => unknown {
  return () => sessions({ rs: t.rs, app, secret: "s".repeat(32), ...options });
}

function store(options: Partial<RedisStoreOptions>, ...maxAges: (number | null)[]): () => Promise<void> {
  return async () => {
    const one = new RedisStore({ client: t.db, ...options });
    for (const maxAge of maxAges) {
      const cookie = new session.Cookie();
      if (maxAge !== null) cookie.maxAge = maxAge;
      await one.set("sid", { cookie } as SessionData);
    }
  };
}

const mistakes: Record<string, { of: () => unknown; says: string; remedy: string }> = {
  "ttl of create": {
    of: () => t.create({ ttl: 3_600_000 }),
    says: "create: ttl is 3600000 seconds, which is 41.7 days",
    remedy: "write 3600",
  },
  "maxAge of create, which is also the default of ttl": {
    of: () => t.create({ maxAge: 3_600_000 }),
    says: "create: maxAge is 3600000 seconds, which is 41.7 days",
    remedy: "write 3600",
  },
  "absolute of create": {
    of: () => t.create({ absolute: 1000 * DAY }),
    says: "create: absolute is 86400000 seconds, which is 1000 days",
    remedy: "write 86400",
  },
  "ttl of touch": {
    of: async () => t.rs.touch({ app, token: (await t.create()).token, ttl: 3_600_000 }),
    says: "touch: ttl is 3600000 seconds, which is 41.7 days",
    remedy: "write 3600",
  },
  "grace of rotate": {
    of: async () => t.rs.rotate({ app, token: (await t.create()).token, grace: 10_000 }),
    says: "rotate: grace is 10000 seconds, which is 2.8 hours",
    remedy: "write 10",
  },
  "wipe of the engine": {
    of: () => new RedisSessions({ client: t.db, wipe: 600_000 }).quit(),
    says: "RedisSessions: wipe is 600000 seconds, which is 6.9 days",
    remedy: "write 600",
  },
  "within of auth.required": {
    of: () => sessions({ rs: t.rs, app, secret: "s".repeat(32) }).required({ within: 900_000 }),
    says: "required: within is 900000 seconds, which is 10.4 days",
    remedy: "write 900",
  },
  "grace of the store's rotate": {
    // The request has no session, but the option was checked.
    of: () => new RedisStore({ client: t.db }).rotate({} as never, { grace: 30_000 }).catch(() => {}),
    says: "RedisStore: grace is 30000 seconds, which is 8.3 hours",
    remedy: "write 30",
  },
  "ttl of the middleware": {
    of: middleware({ ttl: 7_200_000 }),
    says: "sessions: ttl is 7200000 seconds, which is 83.3 days",
    remedy: "write 7200",
  },
  "absolute of the middleware": {
    of: middleware({ absolute: 7_200_000 }),
    says: "sessions: absolute is 7200000 seconds",
    remedy: "write 7200",
  },
  "maxAge of the middleware's cookie": {
    of: middleware({ cookie: { maxAge: 1_800_000 } }),
    says: "sessions: cookie.maxAge is 1800000 seconds, which is 20.8 days",
    remedy: "write 1800",
  },
  "ttl of the store": {
    of: store({ ttl: 86_400_000 }),
    says: "RedisStore: ttl is 86400000 seconds, which is 1000 days",
    remedy: "write 86400",
  },
  "the ttl that the store's function returns": {
    of: store({ ttl: ({ cookie }) => cookie.maxAge as number }, 3_600_000),
    says: "seconds, which is 41.7 days, but the maxAge of the session's cookie is",
    remedy: "milliseconds, which is 3600 seconds. One of them has the wrong unit",
  },
  "a ttl of the store that is the cookie's maxAge in milliseconds": {
    of: store({ ttl: 100_000 }, null, 100_000),
    says: "RedisStore: ttl is 100000 seconds, which is 27.8 hours, but the maxAge",
    remedy: "milliseconds, which is 100 seconds. One of them has the wrong unit",
  },
};

test.each(Object.keys(mistakes))("warns of milliseconds in the place of seconds: %s", async (name) => {
  const { of, says, remedy } = mistakes[name] as (typeof mistakes)[string];
  const messages = await warningsOf(of);
  expect(messages).toEqual([expect.stringContaining(says)]);
  expect(messages[0]).toContain(remedy);
});

test("warns of seconds in the place of milliseconds: timeout of the engine", async () => {
  const make = (timeout: number) => new RedisSessions({ client: t.db, wipe: 0, timeout }).quit();
  expect(await warningsOf(() => make(2))).toEqual([
    "RedisSessions: timeout is 2 milliseconds, which is less than calls may take: if you mean 2 seconds, write 2000",
  ]);
  expect(await warningsOf(() => make(50))).toEqual([]);
});

test("warns once for each engine and each store, however many calls there are", async () => {
  const create = () => t.create({ ttl: 3_600_000, absolute: 7_200_000 });
  expect(await warningsOf(() => Promise.all([create(), create(), t.create({ absolute: 7_200_000 })]))).toHaveLength(1);
  expect(await warningsOf(store({ ttl: 3_600_000 }, null, 3_600_000, 3_600_000))).toHaveLength(1);
  expect(await warningsOf(middleware({ ttl: 7_200_000 }))).toEqual([]);
});

test.each([
  ["a ttl of 400 days", () => t.create({ ttl: 400 * DAY })],
  ["ttls of whole days", () => Promise.all([7, 14, 30, 60, 90, 125, 365].map((days) => t.create({ ttl: days * DAY })))],
  ["the defaults", () => t.create()],
  ["an hour of grace", async () => t.rs.rotate({ app, token: (await t.create()).token, grace: 3600 })],
  ["a wiper that runs once a day", () => new RedisSessions({ client: t.db, wipe: DAY }).quit()],
  ["a ttl as long as the cookie", middleware({ ttl: 30 * DAY, cookie: { maxAge: 30 * DAY } })],
  ["a store whose cookies last as long as its ttl", store({ ttl: 30 * DAY }, null, 30 * DAY * 1000)],
  ["a store whose sessions never end", store({ ttl: Number.POSITIVE_INFINITY }, null)],
])("does not warn of %s", async (_what, work) => {
  expect(await warningsOf(work)).toEqual([]);
});
