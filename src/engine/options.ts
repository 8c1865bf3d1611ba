import { invalidValue } from "../errors.js";
import { aClient } from "../redis/recognise.js";
import { aHost, REDIS_NAMES } from "../redis/redis-options.js";
import { type StoredSession, withoutData } from "../sessions/session-text.js";
import { SHARD_COUNTS } from "../sessions/shard.js";
import type {
  ActivityOptions,
  ConfirmOptions,
  CreateOptions,
  EventsOptions,
  GetOptions,
  ImportSessionsOptions,
  IncrementOptions,
  KillallOptions,
  KillOptions,
  KillsoidOptions,
  RedisSessionsOptions,
  RotateOptions,
  Session,
  SessionsOfAppOptions,
  SetAllOptions,
  SetOptions,
  SoappOptions,
  SoidOptions,
  TouchOptions,
} from "../types.js";
import {
  aBoolean,
  anInteger,
  anObject,
  checkNames,
  checkOptions,
  type OptionsOwner,
  type Rule,
  textLike,
} from "../util/rules.js";
import {
  checkAbsolute,
  checkActor,
  checkApp,
  checkBoolean,
  checkDevice,
  checkExcept,
  checkForeignNamespace,
  checkFrom,
  checkId,
  checkImportOptions,
  checkInteger,
  checkIp,
  checkLimit,
  checkMaxAge,
  checkMaxPerUser,
  checkNoResave,
  checkOffset,
  checkOverflow,
  checkPosition,
  checkSince,
  checkToken,
  checkTokenOrRef,
  checkTtl,
  checkWhich,
  checkWritable,
  MAX_SECONDS,
  optional,
} from "./checks.js";
import { checkData, checkKey } from "./data.js";

/** The options of each method that takes options. */
interface MethodOptions {
  create: CreateOptions;
  get: GetOptions;
  set: SetOptions;
  confirm: ConfirmOptions;
  setAll: SetAllOptions;
  increment: IncrementOptions;
  touch: TouchOptions;
  kill: KillOptions;
  killsoid: KillsoidOptions;
  killall: KillallOptions;
  soid: SoidOptions;
  soapp: SoappOptions;
  sessions: SessionsOfAppOptions;
  activity: ActivityOptions;
  rotate: RotateOptions;
  events: EventsOptions;
  importSessions: ImportSessionsOptions;
}

export type MethodName = keyof MethodOptions;

/** The names of options. `keyof` a union would have only the names that all its members share. */
type NameOf<Options> = Options extends unknown ? keyof Options : never;

/** The options of any method, as the caller passed them in. */
type Unchecked = { readonly [Name in NameOf<MethodOptions[MethodName]>]?: unknown };

/** Returns the checked value of an option, or its default. Throws a SessionError for a bad value. */
type Check = (options: Unchecked) => unknown;

const app = (options: Unchecked) => checkApp(options.app);
const id = (options: Unchecked) => checkId(options.id);
const limit = (options: Unchecked) => checkLimit(options.limit);
const offset = (options: Unchecked) => checkOffset(options.offset);

/**
 * Either of `token` and `ref` names the session. The checked `ref` is also the one of the token. `token` is undefined if the
 * caller named the session by its ref. (`checkWhich` checks both, so the cast is safe.)
 */
const which = { token: ({ token }: Unchecked) => token as string | undefined, ref: checkWhich };

/** Either of `dt` and `deltaTime` is the time span. The checked value is `dt`: its start, in ms since 1970. */
const span = { dt: checkSince, deltaTime: () => undefined };

/** Whether the call is a use of the session. */
const touch = ({ touch }: Unchecked) => checkBoolean("touch", touch ?? true);

const checkMax = optional((max) => checkInteger("max", max, Number.MIN_SAFE_INTEGER));
const checkAfter = optional((after) => checkPosition(after));
const checkNested = optional((nested) => checkBoolean("nested", nested));
const checkCreatedData = optional(checkData);
const checkReplaces = optional(checkToken);

/** Undefined means that the option of the constructor decides. */
const nested = (options: Unchecked) => checkNested(options.nested);

/**
 * For each method its options and their checks, in the order in which they run. TypeScript reports an option without a
 * check, and a check without an option.
 */
const CHECKS = {
  create: {
    app,
    id,
    ip: ({ ip }) => checkIp(ip),
    actor: ({ actor }) => checkActor(actor),
    maxAge: ({ maxAge }) => checkMaxAge(maxAge),
    // A session that ends before its cookie would not be remembered.
    ttl: ({ ttl, maxAge, actor }) =>
      checkTtl(ttl) ?? (checkActor(actor) === undefined ? Math.max(7200, checkMaxAge(maxAge) ?? 0) : 3600),
    d: ({ d }) => checkCreatedData(d),
    nested,
    no_resave: checkNoResave,
    device: ({ device }) => checkDevice(device),
    absolute: ({ absolute }) => checkAbsolute(absolute),
    maxPerUser: ({ maxPerUser }) => checkMaxPerUser(maxPerUser),
    overflow: checkOverflow,
    replaces: ({ replaces }) => checkReplaces(replaces),
  },
  get: { app, ...which, touch, fresh: ({ fresh }) => checkBoolean("fresh", fresh ?? false) },
  set: { app, ...which, ref: checkWritable("set"), d: ({ d }) => checkData(d), nested, touch },
  increment: {
    app,
    ...which,
    ref: checkWritable("increment"),
    key: ({ key }) => checkKey(key),
    by: ({ by }) => checkInteger("by", by ?? 1, Number.MIN_SAFE_INTEGER),
    max: ({ max }) => checkMax(max),
    touch,
  },
  setAll: { app, id, d: ({ d }) => checkData(d), nested },
  touch: { app, ...which, ref: checkWritable("touch"), ttl: ({ ttl }) => checkTtl(ttl) },
  confirm: { app, ...which, ref: checkWritable("confirm") },
  kill: { app, ...which },
  killsoid: { app, id, except: (options) => checkExcept(options, checkTokenOrRef) },
  killall: { app },
  soid: { app, id, limit, offset },
  soapp: { app, ...span, limit, offset },
  sessions: { app, ...span },
  activity: { app, ...span },
  rotate: {
    app,
    token: ({ token }) => checkToken(token),
    grace: ({ grace }) => checkInteger("grace", grace ?? 10, 0, MAX_SECONDS),
    confirm: ({ confirm }) => checkBoolean("confirm", confirm ?? false),
  },
  events: { app, after: ({ after }) => checkAfter(after) },
  importSessions: {
    app,
    from: ({ from }) => checkFrom(from),
    namespace: ({ namespace }) => checkForeignNamespace(namespace),
    dryRun: (options) => checkImportOptions(options).dryRun,
    onProgress: (options) => checkImportOptions(options).onProgress,
    signal: (options) => checkImportOptions(options).signal,
  },
} satisfies { readonly [Method in MethodName]: { readonly [Name in NameOf<MethodOptions[Method]>]: Check } };

/** The checked options of a method. */
export type Checked<Method extends MethodName> = {
  readonly [Name in keyof (typeof CHECKS)[Method]]: (typeof CHECKS)[Method][Name] extends (
    ...args: never
  ) => infer Value
    ? Value
    : never;
} & {
  /** Undefined in nearly all calls. */
  readonly fixed?: FixedFields;
};

/** The methods, and an example of each call, for messages. */
const OWNERS: { readonly [Method in MethodName]: OptionsOwner } = {
  create: { name: "create", call: "create({ app, id, ip })" },
  get: { name: "get", call: "get({ app, token })" },
  set: { name: "set", call: "set({ app, token, d })" },
  confirm: { name: "confirm", call: "confirm({ app, token })" },
  setAll: { name: "setAll", call: "setAll({ app, id, d })" },
  increment: { name: "increment", call: "increment({ app, token, key })" },
  touch: { name: "touch", call: "touch({ app, token, ttl })" },
  kill: { name: "kill", call: "kill({ app, token })" },
  killsoid: { name: "killsoid", call: "killsoid({ app, id })" },
  killall: { name: "killall", call: "killall({ app })" },
  soid: { name: "soid", call: "soid({ app, id })" },
  soapp: { name: "soapp", call: "soapp({ app, dt })" },
  sessions: { name: "sessions", call: "sessions({ app, dt })" },
  activity: { name: "activity", call: "activity({ app, dt })" },
  rotate: { name: "rotate", call: "rotate({ app, token })" },
  events: { name: "events", call: "events({ app })" },
  importSessions: { name: "importSessions", call: 'importSessions({ app, from: "redis-sessions" })' },
};

/** The names of each method's options. */
export const OPTION_NAMES = mapChecks((checks) => Object.keys(checks));

/** The same table as arrays, which are faster to iterate. */
const CHECK_LISTS = mapChecks((checks) => Object.entries<Check>(checks));

function mapChecks<Result>(map: (checks: { readonly [name: string]: Check }) => Result): {
  readonly [Method in MethodName]: Result;
} {
  return Object.fromEntries(Object.entries(CHECKS).map(([method, checks]) => [method, map(checks)])) as never;
}

/** The fields of a session. Methods that take its ref or id also accept the whole session: `kill({ app, ...session })`. */
const SESSION_FIELDS = Object.keys({
  ref: true,
  id: true,
  ip: true,
  r: true,
  w: true,
  ttl: true,
  idle: true,
  created: true,
  authTime: true,
  lastIp: true,
  lastDevice: true,
  actor: true,
  expires: true,
  device: true,
  maxAge: true,
  no_resave: true,
  d: true,
} satisfies { readonly [Name in keyof Session]-?: true });

/** Options that a method accepts beside its own, and ignores unless they are fixed fields. */
const IGNORED: { readonly [Method in MethodName]?: readonly string[] } = {
  get: SESSION_FIELDS,
  set: SESSION_FIELDS,
  confirm: SESSION_FIELDS,
  increment: SESSION_FIELDS,
  touch: SESSION_FIELDS,
  kill: SESSION_FIELDS,
  killsoid: SESSION_FIELDS,
  soid: SESSION_FIELDS,
};

/**
 * Checks the options of a call. Redis is asked only after all checks have passed.
 * @throws SessionError for a bad value, and `invalidValue` for an unknown name: a misspelt `except` or `limit` would
 * otherwise be ignored
 */
export function checkMethodOptions<Method extends MethodName>(method: Method, options: Unchecked): Checked<Method> {
  const hasIgnored = checkNames(OWNERS[method], options, OPTION_NAMES[method], IGNORED[method]);
  const checked: { [name: string]: unknown } = {};
  for (const [name, check] of CHECK_LISTS[method]) {
    const value = check(options);
    // To store a property takes longer than most checks.
    if (value !== undefined) checked[name] = value;
  }
  if (hasIgnored) checked.fixed = fixedFieldsOf(method, options);
  return checked as Checked<Method>;
}

/** Fields that are fixed when a session is created. Methods that take its token or ref do not change them. */
const FIXED = ["id", "ip", "device", "maxAge", "actor", "ttl", "no_resave"] as const;

type FixedFields = { [Name in (typeof FIXED)[number]]?: unknown };

/** Returns the fixed fields among a call's options, or undefined if there are none. */
function fixedFieldsOf(method: MethodName, options: object): FixedFields | undefined {
  let found: FixedFields | undefined;
  for (const name of FIXED) {
    const value = (options as FixedFields)[name];
    // The method's own options are no fixed fields: `touch` changes the ttl.
    if (value !== undefined && !(name in CHECKS[method])) found = { ...found, [name]: value };
  }
  return found;
}

/**
 * Checks that the fixed fields of a call are the session's own, as in `set({ app, ...session, d })`. Any other value
 * would be ignored, although the caller wanted to change the session, or to be sure that it has this value.
 * @throws SessionError `invalidValue` for a value that is not the session's
 */
export function assertFixed(method: string, fields: FixedFields, stored: StoredSession): void {
  const actual: FixedFields = { no_resave: false, ...withoutData(stored, Date.now()) };
  for (const name of FIXED) {
    const value = fields[name];
    if (value === undefined || value === actual[name]) continue;
    // A call may name the user by a number, and the ttl by text of digits.
    if (name === "id" && typeof value === "number" && String(value) === actual.id) continue;
    if (name === "ttl" && typeof value === "string" && Number(value) === actual.ttl) continue;
    // The ttl of a no_resave session runs down, so one that was read earlier shows a larger value.
    if (name === "ttl" && stored.no_resave && Number(value) > Number(actual.ttl) && Number(value) <= stored.ttl)
      continue;
    throw invalidValue(
      `${method} does not change ${name}, and the value passed in is not the session's`,
      `leave ${name} out`,
    );
  }
}

/** The longest delay of a Node timer, in ms. A timer with a longer delay fires at once. */
const MAX_TIMER = 2 ** 31 - 1;

export const aShardCount: Rule = {
  be: SHARD_COUNTS.join(", ").replace(/, (\d+)$/, " or $1"),
  test: (value) => SHARD_COUNTS.includes(value as number),
};

/** The options of the constructor. */
const ENGINE_RULES: { readonly [Name in keyof Required<RedisSessionsOptions>]: Rule } = {
  client: aClient,
  port: anInteger(0, 65535),
  host: aHost,
  options: anObject,
  namespace: textLike("a string without { and }", /^[^{}]+$/),
  wipe: { be: "0 or an integer >= 10", test: (value) => value === 0 || anInteger(10).test(value) },
  timeout: anInteger(1),
  nested: aBoolean,
  maxBytes: anInteger(1),
  maxKeys: anInteger(1),
  shards: aShardCount,
  cachetime: anInteger(0),
  cachemax: anInteger(1),
  events: {
    be: "a boolean or { stream }, where stream is an integer >= 1",
    test: (value) => aBoolean.test(value) || (anObject.test(value) && hasOnlyStream(value as object)),
  },
};

function hasOnlyStream(value: object): boolean {
  return Object.keys(value).join() === "stream" && anInteger(1).test((value as { stream?: unknown }).stream);
}

const ENGINE: OptionsOwner = {
  name: "RedisSessions",
  call: "new RedisSessions({ client }) or new RedisSessions({ options: { url } })",
  elsewhere: {
    ...Object.fromEntries(
      [...REDIS_NAMES].map(([name, here]) => [
        name,
        `It belongs in options: new RedisSessions({ options: { ${here} } })`,
      ]),
    ),
    prefix: 'Did you mean "namespace"?',
    ...Object.fromEntries(
      ["app", "id", "ip", "ttl", "absolute", "maxPerUser", "overflow"].map((name) => [
        name,
        `It belongs to the calls: create({ ${name} })`,
      ]),
    ),
  },
};

/** Says of each option of the engine where the users of an adapter pass it. */
export const OPTIONS_OF_ENGINE: { readonly [name: string]: string } = Object.fromEntries(
  Object.keys(ENGINE_RULES).map((name) => [name, `It belongs to the engine: rs: new RedisSessions({ ${name} })`]),
);

/** Checks the options of the constructor. @throws SessionError `invalidValue` for a misspelt or bad option */
export function checkEngineOptions(options: RedisSessionsOptions): void {
  checkOptions(ENGINE, options, ENGINE_RULES);
  const { wipe = 0, timeout = 0 } = options;
  if (wipe * 1000 > MAX_TIMER || timeout > MAX_TIMER) {
    throw invalidValue("RedisSessions: wipe (seconds) and timeout (milliseconds) must be less than 24.8 days");
  }
  if (options.cachetime && options.events === false) {
    throw invalidValue(
      "RedisSessions: cachetime needs events, because other processes must hear of changes. Leave events out",
    );
  }
  if ("client" in options && options.client === undefined) {
    throw invalidValue("RedisSessions: client is undefined. Leave it out to open a connection to port and host");
  }
  if (options.client !== undefined && (options.port ?? options.host ?? options.options) !== undefined) {
    throw invalidValue("RedisSessions takes a client, or port, host and options to open one, but not both");
  }
}
