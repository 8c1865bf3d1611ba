import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisStore } from "../src/express-session/index.js";
import { RedisSessions, SessionError } from "../src/index.js";
import { sessions } from "../src/middleware/index.js";
import { rest } from "../src/rest/index.js";
import { useEngine } from "./support/engine.js";

/**
 * What people type on their first day, and what they see: the message and the hint, as the terminal prints them. The tables
 * are also a list to read: each line must name the value and the remedy. test/engine/connection-errors.test.ts has the
 * mistakes in the address of Redis, test/cli those of the command line.
 */

const t = useEngine();
const client = new Redis({ lazyConnect: true });
const SECRET = "a-secret-of-at-least-thirty-two-characters";
const TOKEN = "x".repeat(64);
const REF = "r".repeat(27);
/** In every place where a secret may land by mistake. */
const URL = "redis://:hunter2@localhost";

afterAll(() => client.disconnect());

/** Anything that JavaScript may call in a wrong way. */
type Untyped = (...args: unknown[]) => unknown;

/** Returns what the terminal prints above the stack, or null if the call raises no error. */
async function printed(call: () => unknown): Promise<string | null> {
  try {
    await call();
  } catch (error) {
    expect(error).toBeInstanceOf(SessionError);
    const [text = ""] = `${(error as Error).stack}`.split(/\n {4}at /);
    expect(text).not.toMatch(/hunter2|xxxxxxxx/);
    return text.replace("\n  Hint: ", " | ");
  }
  return null;
}

const CLIENT = "a client of node-redis 5 or 6, or a Redis or Cluster of ioredis or iovalkey";
const HOST = "a host name or an address: a port belongs in port, a URL in options: { url }";

describe("new RedisSessions says what is wrong with", () => {
  test.each<[unknown, string]>([
    [{ client: URL }, `RedisSessions: client must be ${CLIENT} | it is a string`],
    [{ client: Redis }, `RedisSessions: client must be ${CLIENT} | it is a function`],
    [{ client: null }, `RedisSessions: client must be ${CLIENT} | it is null`],
    [{ redis: client }, 'RedisSessions has no option "redis". Did you mean "client"?'],
    [{ redisClient: client }, 'RedisSessions has no option "redisClient". Did you mean "client"?'],
    [{ options: URL }, "RedisSessions: options must be an object | it is a string"],
    [{ host: URL }, `RedisSessions: host must be ${HOST}`],
    [{ host: "localhost:6379" }, `RedisSessions: host must be ${HOST}`],
    [{ options: { host: URL } }, `RedisSessions: options.host must be ${HOST}`],
    [{ port: "6379" }, "RedisSessions: port must be an integer from 0 to 65535 | it is a string: pass Number(…)"],
    [{ client, timeout: "2s" }, "RedisSessions: timeout must be an integer >= 1 | it is a string"],
    [{ client, timeout: 0 }, "RedisSessions: timeout must be an integer >= 1 | it is 0"],
    [{ client, wipe: false }, "RedisSessions: wipe must be 0 or an integer >= 10 | it is false"],
    [{ client, wipe: 5 }, "RedisSessions: wipe must be 0 or an integer >= 10 | it is 5"],
    [{ client, nested: "true" }, "RedisSessions: nested must be true or false | it is a string"],
    [{ client, namespace: "my{app}" }, "RedisSessions: namespace must be a string without { and }"],
    [{ client, namespace: 7 }, "RedisSessions: namespace must be a string without { and } | it is 7"],
    [{ client, ttl: 3600 }, 'RedisSessions has no option "ttl". It belongs to the calls: create({ ttl })'],
    [{ client, app: "webapp" }, 'RedisSessions has no option "app". It belongs to the calls: create({ app })'],
  ])("%o", async (options, message) => {
    expect(await printed(() => new RedisSessions(options as object))).toBe(`invalidValue: ${message}`);
  });

  test("a host that is an address of IPv6 raises no error", () => {
    expect(() => new RedisSessions({ host: "::1", wipe: 0, options: { lazyConnect: true } })).not.toThrow();
  });
});

const user = { app: "webapp", id: "alice", ip: "203.0.113.7" };
const token = { app: "webapp", token: TOKEN };
const NO_TOKEN =
  "No token supplied | pass the token that create returned, or a ref; soid and killsoid take a user's id";
const TTL = "ttl must be a positive integer >= 10 | ttl is in seconds, at most 9007199254740";
const NO_MAXIMUM =
  "overflow needs maxPerUser | overflow says what happens beyond it: pass maxPerUser, or leave out overflow";
const TYPES = "Only strings, numbers, boolean and null are allowed.";

describe("the engine says what is wrong with", () => {
  test.each<[string, unknown, string]>([
    ["create", undefined, "No app supplied | app is the name of your application: 3 to 20 of A-Z a-z 0-9 _ -"],
    ["create", { ...user, app: 123 }, "Invalid app format | 3 to 20 of A-Z a-z 0-9 _ -, not a number"],
    ["create", { ...user, app: "my app" }, "Invalid app format | 3 to 20 of A-Z a-z 0-9 _ -"],
    ["create", { ...user, id: undefined }, "No id supplied | id is the user's id: it is undefined"],
    ["create", { ...user, id: "" }, "No id supplied | id is the user's id: it is an empty string"],
    ["create", { ...user, id: null }, "No id supplied | id is the user's id: it is null"],
    [
      "create",
      { ...user, ip: undefined },
      "No ip supplied | ip is the user's address, such as req.ip: it is undefined",
    ],
    ["create", { ...user, ip: 127 }, "Invalid ip format | a well-formed string of 1 to 39 characters, not a number"],
    ["create", { ...user, userId: 1 }, 'create has no option "userId". Did you mean "id"?'],
    ["create", { ...user, data: {} }, 'create has no option "data". Did you mean "d"?'],
    ["create", { ...user, TTL: 100 }, 'create has no option "TTL". Did you mean "ttl"?'],
    ["create", { ...user, ttl: "1h" }, `${TTL}, not a string`],
    ["create", { ...user, ttl: 5 }, `${TTL}, not 5`],
    ["create", { ...user, ttl: 3600.5 }, `${TTL}, not 3600.5`],
    ["create", { ...user, maxPerUser: 0 }, "maxPerUser must be an integer >= 1 | it is 0"],
    ["create", { ...user, maxPerUser: "two" }, "maxPerUser must be an integer >= 1 | it is a string"],
    ["create", { ...user, overflow: "reject" }, NO_MAXIMUM],
    ["create", { ...user, no_resave: "yes" }, "no_resave must be true or false | it is a string"],
    [
      "create",
      { ...user, device: {} },
      "Invalid device format | a well-formed string of 1 to 64 characters, not an object",
    ],
    [
      "create",
      { ...user, d: { n: 1n } },
      `d.n has a forbidden type. ${TYPES} | it is a bigint: store it as text or a number`,
    ],
    ["create", { ...user, d: { n: () => {} } }, `d.n has a forbidden type. ${TYPES} | it is a function: leave it out`],
    [
      "create",
      { ...user, d: { n: Number.NaN } },
      `d.n has a forbidden type. ${TYPES} | it is NaN: store a finite number or null`,
    ],
    [
      "create",
      { ...user, d: { n: new Map() } },
      `d.n has a forbidden type. ${TYPES} | it is a Map: convert it to an object or array`,
    ],
    ["get", { app: "webapp", token: undefined }, NO_TOKEN],
    ["get", { app: "webapp", id: "alice" }, NO_TOKEN],
    ["kill", { app: "webapp", id: "alice" }, NO_TOKEN],
    [
      "get",
      { ...token, token: Promise.resolve() },
      "Invalid token format | 64 of A-Z a-z 0-9, not a promise: await it",
    ],
    ["get", { ...token, token: token }, "Invalid token format | 64 of A-Z a-z 0-9, not an object: pass its token"],
    [
      "get",
      { ...token, token: REF },
      "Invalid token format | 64 of A-Z a-z 0-9; this seems to be a ref: pass it as ref",
    ],
    [
      "get",
      { app: "webapp", ref: TOKEN },
      "Invalid ref format | 27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id; this seems to be a token: pass it as token",
    ],
    ["get", { ...token, touch: "no" }, "touch must be true or false | it is a string"],
    ["set", token, "No d supplied | pass the values to store: d: { key: value }"],
    [
      "set",
      { ...token, cart: 3 },
      'set has no option "cart". It takes app, token, ref, d, nested, touch. Values of the session belong in d',
    ],
    ["soapp", { app: "webapp", dt: 600, limit: 0 }, "limit must be an integer >= 1 | it is 0"],
    ["soid", { app: "webapp", user: "alice" }, 'soid has no option "user". Did you mean "id"?'],
    ["rotate", { ...token, grace: -1 }, "grace must be an integer >= 0 | at most 9007199254740, not -1"],
  ])("%s(%o)", async (method, options, message) => {
    const call = (t.rs as unknown as Record<string, Untyped>)[method] as Untyped;
    expect((await printed(() => call(options)))?.replace(/^\w+: /, "")).toBe(message);
  });

  test("a call after the client was closed", async () => {
    const closed = new Redis({ lazyConnect: true });
    closed.disconnect();
    const rs = new RedisSessions({ client: closed, wipe: 0 });
    expect(await printed(() => rs.create(user))).toBe(
      "unavailable: Redis is not available | the client was closed, or has stopped trying: create a new client, and close it last",
    );
  });
});

const own = { app: "webapp", secret: SECRET };

describe("sessions() says what is wrong with", () => {
  test.each<[object, string]>([
    [{ rs: client }, "sessions: rs must be an engine: new RedisSessions(…) | it is a Redis client"],
    [{ rs: RedisSessions }, "sessions: rs must be an engine: new RedisSessions(…) | it is a function"],
    [{ cookie: true }, "sessions: cookie must be an object or false | it is true"],
    [{ cookie: "rs" }, "sessions: cookie must be an object or false | it is a string"],
    [{ cookie: { maxAge: "30d" } }, "cookie: maxAge must be seconds, an integer from 1 to 34560000 | it is a string"],
    [{ cookie: { maxAge: 0 } }, "cookie: maxAge must be seconds, an integer from 1 to 34560000 | it is 0"],
    [{ overflow: "reject" }, NO_MAXIMUM],
    [{ onOutage: "anon" }, 'sessions: onOutage must be "error" or "anonymous"'],
    [{ keys: [SECRET] }, 'sessions has no option "keys". Did you mean "secret"?'],
    [{ resave: false }, 'sessions has no option "resave". It belongs to express-session: leave it out'],
    [
      { saveUninitialized: false },
      'sessions has no option "saveUninitialized". It belongs to express-session: leave it out',
    ],
  ])("%o", async (options, message) => {
    const make = () => (sessions as Untyped)({ ...own, rs: t.rs, ...options });
    expect(await printed(make)).toBe(`invalidValue: ${message}`);
  });
});

describe("new RedisStore says what is wrong with", () => {
  test.each<[object, string]>([
    [{ client: URL }, `RedisStore: client must be ${CLIENT} | it is a string`],
    [{ redis: client }, 'RedisStore has no option "redis". Did you mean "client"?'],
    [
      { client, ttl: "1d" },
      "RedisStore: ttl must be a number of seconds > 0, or a function of the session | it is a string",
    ],
    [{ client, overflow: "idle" }, NO_MAXIMUM],
    [{ client, userId: "user.id" }, "RedisStore: userId must be a function | it is a string"],
    [
      { client, timeout: 500 },
      'RedisStore has no option "timeout". It belongs to the engine: rs: new RedisSessions({ timeout })',
    ],
    [
      { client, secret: SECRET },
      'RedisStore has no option "secret". It belongs to express-session: session({ secret, store })',
    ],
  ])("%o", async (options, message) => {
    expect(await printed(() => new RedisStore(options as never))).toBe(`invalidValue: ${message}`);
  });
});

describe("rest() says what is wrong with", () => {
  test.each<[object, string]>([
    [{ keys: [SECRET] }, 'rest has no option "keys". Did you mean "authorize"?'],
    [{ apiKey: SECRET }, 'rest has no option "apiKey". Did you mean "authorize"?'],
    [{ authorize: true }, "rest: authorize must be a list of API keys, a function, or false | it is true"],
  ])("%o", async (options, message) => {
    expect(await printed(() => (rest as Untyped)({ rs: t.rs, ...options }))).toBe(`invalidValue: ${message}`);
  });
});
