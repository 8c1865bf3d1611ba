import { invalidFormat, invalidValue, missingParameter } from "../errors.js";
import { STORE_REF_PREFIX } from "../sessions/keys.js";
import type { Part } from "../sessions/paging.js";
import { refOf } from "../sessions/token.js";
import type { ImportOptions, Limits, Which } from "../types.js";
import { kindOf, nameOf } from "../util/kind-of.js";
import { isPlainObject, omitUndefined } from "../util/objects.js";

/**
 * The checks of single values. Each takes a value from the caller and returns it with its type, or throws the
 * SessionError that redis-sessions users know. `options.ts` says which option has which check.
 */

const APP = /^[\w-]{3,20}$/;
const APP_FORMAT = "3 to 20 of A-Z a-z 0-9 _ -";
const TOKEN_LENGTH = 64;
/** Tested after the length: `{64}` in the expression would take twice as long. */
const TOKEN = /^[A-Za-z0-9]+$/;
/** What create returns as `ref`, unless the session is of RedisStore. */
const ENGINE_REF = /^[\w-]{27}$/;
/** A ref of the engine (27 characters), or a RedisStore session id that holds its ref (32, or 36 for a UUID). */
const REF = /^(?:[\w-]{27}|[\w-]{32}|[\w-]{36})$/;
/** Maximum length of a RedisStore session's ref, in characters. The application generates the id in it. */
const MAX_STORE_REF = 512;

/** Longest TTL or time span, in seconds. Redis refuses a longer one in the middle of a script, because its ms are not exact. */
export const MAX_SECONDS = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

/** Makes a check of an option that may be left out. As in redis-sessions, null counts as left out. */
export function optional<Checked>(check: (value: unknown) => Checked): (value: unknown) => Checked | undefined {
  return (value) => (value === undefined || value === null ? undefined : check(value));
}

/** Converts text of digits, as in a query string or an environment variable, to its number. Returns other values as they are. */
function ifDigits(value: unknown): unknown {
  return typeof value === "string" && /^-?\d{1,16}$/.test(value) ? Number(value) : value;
}

export function checkApp(app: unknown): string {
  if (isMissing(app)) throw missingParameter("app", `app is the name of your application: ${APP_FORMAT}`);
  if (!isApp(app)) throw invalidFormat("app", APP_FORMAT + unlessString(app));
  return app;
}

/** Whether a value has the form of an app. */
export function isApp(app: unknown): app is string {
  return typeof app === "string" && APP.test(app);
}

/** Checks a user's id. A safe integer, such as a key of an SQL table, is taken as its decimal text. */
export function checkId(id: unknown): string {
  return checkUser("id", id);
}

export const checkActor = optional((actor) => checkUser("actor", actor));

function checkUser(item: string, id: unknown): string {
  if (Number.isSafeInteger(id)) return String(id);
  if (typeof id === "string" || isMissing(id)) return checkText(item, id, 128);
  throw invalidFormat(item, `a string of 1 to 128 characters or a safe integer, not ${kindOfId(id)}`);
}

function kindOfId(id: unknown): string {
  if (typeof id === "number") return Number.isNaN(id) ? "NaN" : `${id}: pass it as text`;
  if (isPlainObject(id)) return "an object: pass its id, such as user.id";
  if (Array.isArray(id) || typeof id === "function") return kindOf(id);
  return `${kindOf(id)}: pass String(id)`;
}

export function checkIp(ip: unknown): string {
  return checkText("ip", ip, 39);
}

export const checkDevice = optional((device) => checkText("device", device, 64));

/** A position in the streams of an app: for each shard the id of an entry, or 0. */
const POSITION = /^(?:0|[1-9]\d{0,19}-\d{1,20})(?:,(?:0|[1-9]\d{0,19}-\d{1,20}))*$/;

/** Checks a position in the streams of an app. */
export function checkPosition(position: unknown): string {
  if (typeof position !== "string" || !POSITION.test(position)) {
    throw invalidFormat("after", `the entry of an event, or "0"${unlessString(position)}`);
  }
  return position;
}

/** Begins the hint for a missing text. */
const MEANINGS: { readonly [item: string]: string } = {
  id: "id is the user's id: ",
  ip: "ip is the user's address, such as req.ip: ",
};

/** Completes a hint with the kind of a value, if that is the mistake. */
function unlessString(value: unknown): string {
  return typeof value === "string" ? "" : `, not ${kindOf(value)}`;
}

function checkText(item: string, text: unknown, max: number): string {
  if (isMissing(text)) throw missingParameter(item, `${MEANINGS[item] ?? ""}it is ${nameOf(text)}`);
  // Redis would store U+FFFD for half a surrogate pair, and two different ids would become one.
  if (typeof text !== "string" || text.length > max || !text.isWellFormed()) {
    throw invalidFormat(item, `a well-formed string of 1 to ${max} characters${unlessString(text)}`);
  }
  return text;
}

export function checkToken(token: unknown): string {
  if (isMissing(token)) {
    throw missingParameter(
      "token",
      "pass the token that create returned, or a ref; soid and killsoid take a user's id",
    );
  }
  if (!isToken(token)) throw invalidFormat("token", `64 of A-Z a-z 0-9${noTokenBecause(token)}`);
  return token;
}

/** Completes the hint for a value that is not a token. */
function noTokenBecause(value: unknown): string {
  if (typeof value === "string") return ENGINE_REF.test(value) ? "; this seems to be a ref: pass it as ref" : "";
  const remedies: { readonly [kind: string]: string } = { "a promise": ": await it", "an object": ": pass its token" };
  const kind = kindOf(value);
  return `, not ${kind}${remedies[kind] ?? ""}`;
}

function checkRef(ref: unknown): string {
  if (!isRef(ref))
    throw invalidFormat(
      "ref",
      `27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id${isToken(ref) ? "; this seems to be a token: pass it as token" : ""}`,
    );
  return ref;
}

/** Returns the ref of the session that `token` or `ref` names. */
export function checkWhich({ token, ref }: { readonly token?: unknown; readonly ref?: unknown }): string {
  if (ref === undefined) return refOf(checkToken(token));
  if (token !== undefined) throw invalidValue("Give a token or a ref, not both");
  return checkRef(ref);
}

/**
 * Returns the same check for a method that refuses a session of RedisStore. Only the store can read the user and the
 * cookie in such a session's data, so a change by the engine would leave the index out of date, or contradict the cookie.
 */
export function checkWritable(method: string): typeof checkWhich {
  return (which) => {
    const ref = checkWhich(which);
    if (isStoreRef(ref)) {
      throw invalidValue(
        `${method} does not change a session of RedisStore`,
        "change it through express-session, or end it: kill, killsoid",
      );
    }
    return ref;
  };
}

/** Returns a token or a ref. */
export function checkTokenOrRef(text: unknown): string {
  return isToken(text) ? text : checkRef(text);
}

/**
 * Returns the checked name of the session that a mass logout keeps, or undefined if there is no `except`.
 * @throws SessionError `invalidValue` if `except` is present but undefined: the caller wanted to keep a session
 */
export function checkExcept<Except>(
  options: { readonly except?: Except },
  check: (except: Except) => string,
): string | undefined {
  if (!("except" in options)) return undefined;
  if (options.except === undefined) throw invalidValue("except is undefined: leave it out to end all sessions");
  return check(options.except);
}

/** Whether a value has the format of a ref. The session need not exist. */
export function isRef(ref: unknown): ref is string {
  return typeof ref === "string" && (REF.test(ref) || isStoreRef(ref));
}

function isStoreRef(ref: string): boolean {
  const { length } = ref;
  return (
    ref.startsWith(STORE_REF_PREFIX) &&
    length > 1 &&
    length <= MAX_STORE_REF &&
    !ref.includes("\n") &&
    ref.isWellFormed()
  );
}

/** Whether a value has the format of a token. The session need not exist. */
export function isToken(token: unknown): token is string {
  return typeof token === "string" && token.length === TOKEN_LENGTH && TOKEN.test(token);
}

/**
 * Names a session by a text that is its token or its ref.
 * @throws SessionError `invalidFormat` if the text is neither
 */
export function whichOf(app: string, text: string): Which {
  if (isRef(text)) return { app, ref: text };
  if (text !== "" && !isToken(text)) {
    // The engine checks the app first.
    checkApp(app);
    throw invalidFormat(
      "token",
      "64 of A-Z a-z 0-9; or a ref: 27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id",
    );
  }
  return { app, token: text };
}

/** Checks a TTL or a time span. */
function checkSeconds(item: string, value: unknown): number {
  const seconds = ifDigits(value) as number;
  if (!Number.isInteger(seconds) || seconds < 10 || seconds > MAX_SECONDS) {
    throw invalidValue(
      `${item} must be a positive integer >= 10`,
      `${item} is in seconds, at most ${MAX_SECONDS}, not ${nameOf(value)}`,
    );
  }
  return seconds;
}

/** Returns the start of the time span, in ms since 1970: `dt` seconds ago. redis-sessions 4 calls it `deltaTime`. */
export function checkSince({ dt, deltaTime }: { readonly dt?: unknown; readonly deltaTime?: unknown }): number {
  if (dt !== undefined && deltaTime !== undefined) throw invalidValue("Give dt or deltaTime, not both");
  const span = dt ?? deltaTime;
  if (span === undefined || span === null) throw missingParameter("dt", "dt is in seconds, such as 600");
  return Date.now() - checkSeconds(dt === undefined ? "deltaTime" : "dt", span) * 1000;
}

/** Returns which part of a list to read. */
export function checkPart({ limit, offset }: { readonly limit?: unknown; readonly offset?: unknown }): Part {
  return { offset: checkOffset(offset), limit: checkLimit(limit) };
}

export function checkOffset(offset: unknown): number {
  return checkInteger("offset", offset ?? 0, 0);
}

export function checkLimit(limit: unknown): number {
  return limit === undefined || limit === null ? Number.POSITIVE_INFINITY : checkInteger("limit", limit, 1);
}

/** Checks the limits of sessions. Returns only the ones that are set. */
export function checkLimits({ ttl, absolute, maxPerUser, overflow }: Limits): Limits {
  return omitUndefined<Limits>({
    overflow: checkOverflow({ overflow, maxPerUser }),
    ttl: checkTtl(ttl),
    absolute: checkAbsolute(absolute),
    maxPerUser: checkMaxPerUser(maxPerUser),
  });
}

/** Checks whether use prolongs a new session. It never prolongs one with an `actor`. */
export function checkNoResave({
  no_resave,
  actor,
}: {
  readonly no_resave?: unknown;
  readonly actor?: unknown;
}): boolean {
  const isImpersonated = checkActor(actor) !== undefined;
  const checked = checkBoolean("no_resave", no_resave ?? isImpersonated);
  if (isImpersonated && !checked) throw invalidValue("A session with actor is never prolonged: leave out no_resave");
  return checked;
}

export const checkTtl = optional((ttl) => checkSeconds("ttl", ttl));

export const checkAbsolute = optional((absolute) => checkSeconds("absolute", absolute));

/** 400 days in seconds. Browsers keep no cookie longer (RFC 6265bis), so a larger number was meant as milliseconds. */
export const MAX_COOKIE_AGE = 400 * 86_400;

/** Unlike other options, null is a value: the browser keeps the cookie until it is closed. */
export function checkMaxAge(maxAge: unknown): number | null | undefined {
  if (maxAge === undefined || maxAge === null) return maxAge;
  const seconds = ifDigits(maxAge) as number;
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_COOKIE_AGE) return seconds;
  throw invalidValue(`maxAge must be seconds, an integer from 1 to ${MAX_COOKIE_AGE}, or null`);
}

export const checkMaxPerUser = optional((max) => checkInteger("maxPerUser", max, 1));

const checkOverflowValue = optional((overflow): "oldest" | "idle" | "reject" => {
  if (overflow === "oldest" || overflow === "idle" || overflow === "reject") return overflow;
  throw invalidValue('overflow must be "oldest", "idle" or "reject"');
});

/** @throws SessionError `invalidValue` if there is no `maxPerUser`: nothing would be limited */
export function checkOverflow({
  overflow,
  maxPerUser,
}: {
  readonly overflow?: unknown;
  readonly maxPerUser?: unknown;
}) {
  const checked = checkOverflowValue(overflow);
  if (checked !== undefined && (maxPerUser ?? undefined) === undefined) {
    throw invalidValue(
      "overflow needs maxPerUser",
      "overflow says what happens beyond it: pass maxPerUser, or leave out overflow",
    );
  }
  return checked;
}

/** Checks which package wrote the sessions to import. */
export function checkFrom(from: unknown): "redis-sessions" {
  if (isMissing(from)) throw missingParameter("from", 'from is the package that wrote the sessions: "redis-sessions"');
  if (from === "redis-sessions") return from;
  throw invalidValue(
    'importSessions: from must be "redis-sessions"',
    "sessions of connect-redis are imported by RedisStore: store.importSessions()",
  );
}

/** Checks the namespace of another package, which may have any form. */
export const checkForeignNamespace = optional((namespace) => {
  if (typeof namespace === "string" && namespace !== "") return namespace;
  throw invalidValue("namespace must be a string", `it is ${nameOf(namespace)}`);
});

/** Checks the options that all imports have. */
export function checkImportOptions(options: {
  readonly dryRun?: unknown;
  readonly onProgress?: unknown;
  readonly signal?: unknown;
}): ImportOptions & { readonly dryRun: boolean } {
  const { dryRun = false, onProgress, signal } = options;
  if (onProgress !== undefined && typeof onProgress !== "function") {
    throw invalidValue("onProgress must be a function", `it is ${nameOf(onProgress)}`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidValue("signal must be an AbortSignal", `it is ${nameOf(signal)}: pass new AbortController().signal`);
  }
  return { dryRun: checkBoolean("dryRun", dryRun), onProgress: onProgress as ImportOptions["onProgress"], signal };
}

export function checkInteger(item: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const integer = ifDigits(value) as number;
  if (!Number.isSafeInteger(integer) || integer < min || integer > max) {
    const hint = max === Number.MAX_SAFE_INTEGER ? `it is ${nameOf(value)}` : `at most ${max}, not ${nameOf(value)}`;
    throw invalidValue(`${item} must be an integer >= ${min}`, hint);
  }
  return integer;
}

export function checkBoolean(item: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw invalidValue(`${item} must be true or false`, `it is ${nameOf(value)}`);
  return value;
}

/** Whether a required value is absent. An empty string counts as absent, as in redis-sessions. */
function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}
