import { describe, expect, test } from "vitest";
import { type RedisSessions, SessionError } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();

type Alias = "killAll" | "killUser" | "userSessions" | "activeSessions";
type MethodName = Exclude<
  keyof RedisSessions,
  "ping" | "quit" | "wipe" | "sessions" | "cache" | "events" | "on" | "once" | "off" | Alias
>;
type Refusal = [what: string, options: unknown, message: string];

const app = "webapp";
const id = "alice";
const ip = "127.0.0.1";
const token = "x".repeat(64);
const ref = "x".repeat(27);

const NAMES = [
  [/^No \w+ supplied$/, "missingParameter", "ERR_MISSING_PARAMETER"],
  [/^Invalid \w+ format$/, "invalidFormat", "ERR_INVALID_FORMAT"],
  [/./, "invalidValue", "ERR_INVALID_VALUE"],
] as const;

/** The refusals of `app` that every method has. `rest` are the other options of the call. */
function ofApp(rest: object): Refusal[] {
  return [
    ["nothing at all", undefined, "No app supplied"],
    ["null", null, "No app supplied"],
    ["no app", rest, "No app supplied"],
    ["an empty app", { ...rest, app: "" }, "No app supplied"],
    ["an app of null", { ...rest, app: null }, "No app supplied"],
    ["an app that is too short", { ...rest, app: "ab" }, "Invalid app format"],
    ["an app that is too long", { ...rest, app: "a".repeat(21) }, "Invalid app format"],
    ["an app with other characters", { ...rest, app: "web app" }, "Invalid app format"],
    ["an app with a brace", { ...rest, app: "{app}" }, "Invalid app format"],
    ["an app with a letter that is not of A-Z", { ...rest, app: "café" }, "Invalid app format"],
    ["an app that ends in a line feed", { ...rest, app: "webapp\n" }, "Invalid app format"],
    ["an app that is a number", { ...rest, app: 12345 }, "Invalid app format"],
    ["an app that is an array", { ...rest, app: ["webapp"] }, "Invalid app format"],
  ];
}

function ofId(rest: object): Refusal[] {
  return [
    ["no id", rest, "No id supplied"],
    ["an empty id", { ...rest, id: "" }, "No id supplied"],
    ["an id of null", { ...rest, id: null }, "No id supplied"],
    ["an id of 1.5", { ...rest, id: 1.5 }, "Invalid id format"],
    ["an id of NaN", { ...rest, id: Number.NaN }, "Invalid id format"],
    ["an id that is an inexact number", { ...rest, id: 2 ** 53 }, "Invalid id format"],
    ["an id that is a bigint", { ...rest, id: 7n }, "Invalid id format"],
    ["an id that is true", { ...rest, id: true }, "Invalid id format"],
    ["an id that is an object", { ...rest, id: {} }, "Invalid id format"],
    ["an id of 129 characters", { ...rest, id: "x".repeat(129) }, "Invalid id format"],
    ["an id with half a surrogate pair", { ...rest, id: "\ud83c" }, "Invalid id format"],
  ];
}

function ofToken(rest: object): Refusal[] {
  return [
    ["no token", rest, "No token supplied"],
    ["an empty token", { ...rest, token: "" }, "No token supplied"],
    ["a token of null", { ...rest, token: null }, "No token supplied"],
    ["a short token", { ...rest, token: "x".repeat(63) }, "Invalid token format"],
    ["a long token", { ...rest, token: "x".repeat(65) }, "Invalid token format"],
    ["a token with other characters", { ...rest, token: `${"x".repeat(63)}-` }, "Invalid token format"],
    ["a token that ends in a line feed", { ...rest, token: `${token}\n` }, "Invalid token format"],
    ["a token that is an array", { ...rest, token: [token] }, "Invalid token format"],
    ["a ref for a token", { ...rest, token: ref }, "Invalid token format"],
  ];
}

function ofWhich(rest: object): Refusal[] {
  return [
    ...ofToken(rest),
    ["a token and a ref", { ...rest, token, ref }, "Give a token or a ref, not both"],
    ["an empty ref", { ...rest, ref: "" }, "Invalid ref format"],
    ["a ref of null", { ...rest, ref: null }, "Invalid ref format"],
    ["a short ref", { ...rest, ref: "x".repeat(26) }, "Invalid ref format"],
    ["a ref with other characters", { ...rest, ref: `${"x".repeat(26)}:` }, "Invalid ref format"],
    ["a token for a ref", { ...rest, ref: token }, "Invalid ref format"],
  ];
}

function ofData(rest: object): Refusal[] {
  const forbidden = "has a forbidden type. Only strings, numbers, boolean and null are allowed.";
  return [
    ["d that is a string", { ...rest, d: "a" }, "d must be an object"],
    ["d that is an array", { ...rest, d: [1] }, "d must be an object"],
    ["d without a key", { ...rest, d: {} }, "d must contain at least one key."],
    ["d with an array", { ...rest, d: { ok: 1, arr: [1] } }, `d.arr ${forbidden}`],
    ["d with an object", { ...rest, d: { obj: { a: 1 } } }, `d.obj ${forbidden}`],
    ["nested that is not a boolean", { ...rest, d: { a: 1 }, nested: "yes" }, "nested must be true or false"],
  ];
}

function ofSeconds(item: string, option: string, rest: object): Refusal[] {
  return [9, 0, -10, 10.5, "9", "1e3", "60s", " 60", "-60", "", Number.NaN, Number.POSITIVE_INFINITY, 1e16, true].map(
    (value) => [
      `${option} of ${JSON.stringify(value)}`,
      { ...rest, [option]: value },
      `${item} must be a positive integer >= 10`,
    ],
  );
}

const refusals: Record<MethodName, Refusal[]> = {
  create: [
    ...ofApp({ id, ip }),
    ...ofId({ app, ip }),
    ["no ip", { app, id }, "No ip supplied"],
    ["an ip of 40 characters", { app, id, ip: "1".repeat(40) }, "Invalid ip format"],
    ["an ip that is a number", { app, id, ip: 127 }, "Invalid ip format"],
    ...ofSeconds("ttl", "ttl", { app, id, ip }),
    ...ofData({ app, id, ip }),
    ["no_resave that is a number", { app, id, ip, no_resave: 1 }, "no_resave must be true or false"],
    ["an empty device", { app, id, ip, device: "" }, "No device supplied"],
    ["a device of 65 characters", { app, id, ip, device: "d".repeat(65) }, "Invalid device format"],
    ["a device that is a number", { app, id, ip, device: 7 }, "Invalid device format"],
    ["a misspelt limit", { app, id, ip, maxPerUsr: 1 }, 'create has no option "maxPerUsr". Did you mean "maxPerUser"?'],
  ],
  get: [
    ...ofApp({ token }),
    ...ofWhich({ app }),
    ["touch that is a number", { app, token, touch: 0 }, "touch must be true or false"],
    ["touch that is a string", { app, ref, touch: "false" }, "touch must be true or false"],
    ["a token in the place of the options", token, "get takes an object of options, not a string: get({ app, token })"],
    [
      "a token in the place of a name",
      { app, ref, [token]: true },
      "get has no such option. It takes app, token, ref, touch, fresh.",
    ],
    ["a misspelt touch", { app, ref, tuch: false }, 'get has no option "tuch". Did you mean "touch"?'],
  ],
  set: [
    ...ofApp({ token, d: { a: 1 } }),
    ...ofWhich({ app, d: { a: 1 } }),
    ["no d", { app, token }, "No d supplied"],
    ["d of null", { app, token, d: null }, "No d supplied"],
    [
      "an option of create",
      { app, token, d: { a: 1 }, absolute: 60 },
      'set has no option "absolute". It takes app, token, ref, d, nested, touch. Values of the session belong in d',
    ],
    ...ofData({ app, token }),
  ],
  setAll: [
    ...ofApp({ id, d: { a: 1 } }),
    ...ofId({ app, d: { a: 1 } }),
    ["no d", { app, id }, "No d supplied"],
    ...ofData({ app, id }),
    [
      "a ref",
      { app, id, d: { a: 1 }, ref },
      'setAll has no option "ref". It takes app, id, d, nested. Values of the session belong in d',
    ],
  ],
  increment: [
    ...ofApp({ token, key: "n" }),
    ...ofWhich({ app, key: "n" }),
    ["no key", { app, token }, "No key supplied"],
    ["an empty key", { app, token, key: "" }, "No key supplied"],
    ["a key that is a number", { app, token, key: 1 }, "Invalid key format"],
    [
      "the key __proto__",
      { app, token, key: "__proto__" },
      "d.__proto__ is not allowed: code that copies the data could take it for a prototype",
    ],
    ...[1.5, "one", Number.NaN, 2 ** 53].flatMap((value): Refusal[] =>
      ["by", "max"].map((name) => [
        `${name} of ${JSON.stringify(value)}`,
        { app, token, key: "n", [name]: value },
        `${name} must be an integer >= -9007199254740991`,
      ]),
    ),
    ["touch that is a number", { app, token, key: "n", touch: 0 }, "touch must be true or false"],
    ["a ref of RedisStore", { app, ref: "~sid", key: "n" }, "increment does not change a session of RedisStore"],
    ["a key of 2 MiB", { app, token, key: "x".repeat(2 ** 21) }, "d is larger than 1048576 bytes"],
  ],
  touch: [
    ...ofApp({ token }),
    ...ofWhich({ app }),
    ...ofSeconds("ttl", "ttl", { app, token }),
    ["a misspelt ttl", { app, token, tll: 60 }, 'touch has no option "tll". Did you mean "ttl"?'],
    ["a ref of RedisStore", { app, ref: "~sid" }, "touch does not change a session of RedisStore"],
  ],
  confirm: [
    ...ofApp({ token }),
    ...ofWhich({ app }),
    ["a time", { app, ref, authTime: 1, at: 1 }, 'confirm has no option "at". It takes app, token, ref.'],
  ],
  kill: [
    ...ofApp({ token }),
    ...ofWhich({ app }),
    ["except", { app, ref, except: ref }, 'kill has no option "except". It takes app, token, ref.'],
  ],
  killsoid: [
    ...ofApp({ id }),
    ...ofId({ app }),
    ["a misspelt except", { app, id, excpt: ref }, 'killsoid has no option "excpt". Did you mean "except"?'],
    ["except of undefined", { app, id, except: undefined }, "except is undefined: leave it out to end all sessions"],
    ["an empty except", { app, id, except: "" }, "Invalid ref format"],
    ["except of null", { app, id, except: null }, "Invalid ref format"],
    ["except that is neither token nor ref", { app, id, except: "x".repeat(28) }, "Invalid ref format"],
  ],
  killall: [...ofApp({}), ["a user", { app, id }, 'killall has no option "id". It takes app.']],
  soid: [
    ...ofApp({ id }),
    ...ofId({ app }),
    ["a limit of 0", { app, id, limit: 0 }, "limit must be an integer >= 1"],
    ["a misspelt limit", { app, id, limt: 5 }, 'soid has no option "limt". Did you mean "limit"?'],
  ],
  soapp: [
    ...ofApp({ dt: 60 }),
    ["no dt", { app }, "No dt supplied"],
    ["a dt of null", { app, dt: null }, "No dt supplied"],
    ...ofSeconds("dt", "dt", { app }),
    ...ofSeconds("deltaTime", "deltaTime", { app }),
    ["a user", { app, dt: 60, id }, 'soapp has no option "id". It takes app, dt, deltaTime, limit, offset.'],
    ["a misspelt limit", { app, dt: 60, limt: 5 }, 'soapp has no option "limt". Did you mean "limit"?'],
    ["a limit of 0", { app, dt: 60, limit: 0 }, "limit must be an integer >= 1"],
    ["a limit of 1.5", { app, dt: 60, limit: 1.5 }, "limit must be an integer >= 1"],
    ["a limit without end", { app, dt: 60, limit: Number.POSITIVE_INFINITY }, "limit must be an integer >= 1"],
    ["an offset of -1", { app, dt: 60, offset: -1 }, "offset must be an integer >= 0"],
    ["a limit of text", { app, dt: 60, limit: "all" }, "limit must be an integer >= 1"],
    ["an offset of text", { app, dt: 60, offset: "1st" }, "offset must be an integer >= 0"],
  ],
  activity: [
    ...ofApp({ dt: 60 }),
    ["both names of the span", { app, dt: 60, deltaTime: 60 }, "Give dt or deltaTime, not both"],
    ["no dt", { app }, "No dt supplied"],
    ...ofSeconds("dt", "dt", { app }),
    ...ofSeconds("deltaTime", "deltaTime", { app }),
    ["a limit", { app, dt: 60, limit: 5 }, 'activity has no option "limit". It takes app, dt, deltaTime.'],
  ],
  rotate: [
    ...ofApp({ token }),
    ...ofToken({ app }),
    ["a misspelt grace", { app, token, grce: 0 }, 'rotate has no option "grce". Did you mean "grace"?'],
    ["a grace of -1", { app, token, grace: -1 }, "grace must be an integer >= 0"],
    ["a grace of 1.5", { app, token, grace: 1.5 }, "grace must be an integer >= 0"],
    ["a grace of text", { app, token, grace: "10s" }, "grace must be an integer >= 0"],
    ["a grace that is too long", { app, token, grace: 1e13 }, "grace must be an integer >= 0"],
  ],
  importSessions: [
    ...ofApp({ from: "redis-sessions" }),
    ["no from", { app }, "No from supplied"],
    ["another from", { app, from: "connect-redis" }, 'importSessions: from must be "redis-sessions"'],
    ["an empty namespace", { app, from: "redis-sessions", namespace: "" }, "namespace must be a string"],
    ["dryRun that is a string", { app, from: "redis-sessions", dryRun: "no" }, "dryRun must be true or false"],
    [
      "onProgress that is no function",
      { app, from: "redis-sessions", onProgress: true },
      "onProgress must be a function",
    ],
    ["signal that is an object", { app, from: "redis-sessions", signal: {} }, "signal must be an AbortSignal"],
  ],
};

/** Calls a method as JavaScript may, with any value. */
async function refusal(method: MethodName, options: unknown): Promise<unknown> {
  const call = t.rs[method] as (options: unknown) => Promise<unknown>;
  return call(options).then(
    (result) => ({ result }),
    (error: unknown) => error,
  );
}

describe.each(Object.entries(refusals) as [MethodName, Refusal[]][])("%s", (method, cases) => {
  test.each(cases)("refuses %s", async (_what, options, message) => {
    const error = await refusal(method, options);
    const [, name, code] = NAMES.find(([pattern]) => pattern.test(message)) ?? [];
    expect(error).toBeInstanceOf(SessionError);
    expect(error).toMatchObject({ name, code, message });
  });

  test("sends Redis nothing when it refuses", async () => {
    const commands = await t.redis.watch(async () => {
      for (const [, options] of cases) await refusal(method, options);
    });
    expect(commands).toEqual([]);
    expect(await t.db.dbsize()).toBe(0);
  });

  test("passes the error to the callback", async () => {
    const [, options, message] = cases[2] as Refusal;
    const call = t.rs[method] as (options: unknown, callback: (...args: unknown[]) => void) => void;
    const args = await new Promise<unknown[]>((resolve) => call(options, (...received) => resolve(received)));
    expect(args).toEqual([expect.objectContaining({ message })]);
  });
});

test("methods accept a whole session with the app", async () => {
  const alice = { app, id, ip, ttl: 100, d: { cart: 3 }, device: "Firefox" };
  const { ref } = await t.rs.create({ ...alice, no_resave: true });
  const [session] = (await t.rs.soid(alice)).sessions;
  if (session === undefined) throw new Error("The session does not exist");
  expect((await t.rs.get({ app, ...session }))?.ref).toBe(ref);
  expect(await t.rs.kill({ app, ...session })).toEqual({ kill: 1 });
  expect(await t.rs.killsoid({ app, ...session })).toEqual({ kill: 0 });
});

test("sessions() refuses an unknown option", () => {
  const options = { app, dt: 60, limit: 5 };
  expect(() => t.rs.sessions(options)).toThrow('sessions has no option "limit". It takes app, dt, deltaTime.');
});

test("the hint says what would be correct", async () => {
  expect(await refusal("get", { app: "x", token })).toMatchObject({ hint: "3 to 20 of A-Z a-z 0-9 _ -" });
  expect(await refusal("set", { app, token, d: { a: [] } })).toMatchObject({
    hint: "construct RedisSessions with nested: true",
  });
  expect(await refusal("activity", { app, dt: 9 })).toMatchObject({ hint: expect.stringMatching(/^dt is in seconds/) });
});
