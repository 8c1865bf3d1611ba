import { types } from "node:util";
import { invalidFormat, invalidValue, missingParameter, quote, tooLarge, tooManyKeys } from "../errors.js";
import { STORE_REF_PREFIX } from "../sessions/keys.js";
import type { Part } from "../sessions/paging.js";
import type { DataEntry } from "../sessions/session-text.js";
import type { Limits, Which } from "../types.js";

/**
 * The rules for what callers pass in. Each takes the value and gives it back checked, or throws the SessionError
 * that redis-sessions users know. Nothing is sent to Redis before all of a call's rules have passed.
 */

const APP = /^[\w-]{3,20}$/;
const TOKEN = /^[A-Za-z0-9]{64}$/;
const { isMap, isSet, isWeakMap, isWeakSet, isPromise, isRegExp, isNativeError, isAnyArrayBuffer } = types;
const OPAQUE = [
  isMap,
  isSet,
  isWeakMap,
  isWeakSet,
  isPromise,
  isRegExp,
  isNativeError,
  isAnyArrayBuffer,
  ArrayBuffer.isView,
];
/** A ref of the engine, or the id of a RedisStore session, which a ref of the store holds: 32 characters, a UUID 36. */
const REF = /^(?:[\w-]{27}|[\w-]{32}|[\w-]{36})$/;
/** The most characters of a RedisStore session's ref. An id is whatever the application generates. */
const MAX_STORE_REF = 512;

export function checkApp(app: unknown): string {
  if (isMissing(app)) throw missingParameter("app");
  if (typeof app !== "string" || !APP.test(app)) throw invalidFormat("app", "3 to 20 of A-Z a-z 0-9 _ -");
  return app;
}

export function checkId(id: unknown): string {
  return checkText("id", id, 128);
}

export function checkIp(ip: unknown): string {
  return checkText("ip", ip, 39);
}

export function checkDevice(device: unknown): string | undefined {
  return device === undefined ? undefined : checkText("device", device, 64);
}

function checkText(item: string, text: unknown, max: number): string {
  if (isMissing(text)) throw missingParameter(item);
  // Half a surrogate pair becomes U+FFFD on its way to Redis: two ids would be one.
  if (typeof text !== "string" || text.length > max || !text.isWellFormed()) {
    throw invalidFormat(item, `a well-formed string of 1 to ${max} characters`);
  }
  return text;
}

export function checkToken(token: unknown): string {
  if (isMissing(token)) throw missingParameter("token");
  if (!isToken(token)) throw invalidFormat("token", "64 of A-Z a-z 0-9");
  return token;
}

export function checkRef(ref: unknown): string {
  if (!isRef(ref))
    throw invalidFormat("ref", `27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id`);
  return ref;
}

/**
 * A ref whose session the engine may write. What a RedisStore session says of its user and its cookie is known to the
 * store alone: a change of it would leave the index behind.
 */
export function checkWritable(ref: string): string {
  if (isStoreRef(ref)) {
    throw invalidValue(
      "set does not change a session of RedisStore",
      "change it through express-session, or end it: kill, killsoid",
    );
  }
  return ref;
}

/**
 * The session that a mass logout is to spare; undefined for none.
 * @throws SessionError `invalidValue` for one that is there, but undefined: it was to spare somebody
 */
export function checkExcept<Except>(
  options: { except?: Except },
  refOf: (except: Except) => string,
): string | undefined {
  if (!("except" in options)) return undefined;
  if (options.except === undefined) throw invalidValue("except is undefined: leave it out to end all sessions");
  return refOf(options.except);
}

/** Whether it has the form of a ref. */
export function isRef(ref: unknown): ref is string {
  return typeof ref === "string" && (REF.test(ref) || isStoreRef(ref));
}

/** Whether it has the form of a RedisStore session's ref. */
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

/** Whether it has the form of a token. Says nothing about whether there is such a session. */
export function isToken(token: unknown): token is string {
  return typeof token === "string" && TOKEN.test(token);
}

/** The most seconds that are still exact in ms. Redis refuses a longer life in the midst of a script. */
export const MAX_SECONDS = Math.floor(Number.MAX_SAFE_INTEGER / 1000);

/**
 * Seconds that a session may live or a span may reach back: an integer of at least 10.
 * @param name what callers call it, where that is another name than redis-sessions' message has
 */
function checkSeconds(item: string, value: unknown, name = item): number {
  if (!Number.isInteger(value) || (value as number) < 10 || (value as number) > MAX_SECONDS) {
    throw invalidValue(`${item} must be a positive integer >= 10`, `${name} is in seconds, at most ${MAX_SECONDS}`);
  }
  return value as number;
}

/** Since when what is active counts, in ms: `dt` seconds ago, or `deltaTime`, as redis-sessions called it. */
export function checkSince(options: { dt?: unknown; deltaTime?: unknown }): number {
  if (options.dt !== undefined && options.deltaTime !== undefined) throw invalidValue("Give dt or deltaTime, not both");
  return Date.now() - checkSeconds("deltaTime", options.dt ?? options.deltaTime, "dt") * 1000;
}

/** Which part of a list is wanted. */
export function checkPart({ limit, offset }: { limit?: unknown; offset?: unknown }): Part {
  return {
    offset: checkInteger("offset", offset ?? 0, 0),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : checkInteger("limit", limit, 1),
  };
}

/** How long and how many sessions may be: those of the options that are given. */
export function checkLimits({ ttl, absolute, maxPerUser, overflow }: Limits): Limits {
  if (overflow !== undefined && overflow !== "oldest" && overflow !== "reject") {
    throw invalidValue('overflow must be "oldest" or "reject"');
  }
  return {
    ...(ttl !== undefined && { ttl: checkSeconds("ttl", ttl) }),
    ...(absolute !== undefined && { absolute: checkSeconds("absolute", absolute) }),
    ...(maxPerUser !== undefined && { maxPerUser: checkInteger("maxPerUser", maxPerUser, 1) }),
    ...(overflow !== undefined && { overflow }),
  };
}

export function checkInteger(item: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    const hint = max === Number.MAX_SAFE_INTEGER ? undefined : `at most ${max}`;
    throw invalidValue(`${item} must be an integer >= ${min}`, hint);
  }
  return value as number;
}

export function checkBoolean(item: string, value: unknown): boolean {
  if (typeof value !== "boolean") throw invalidValue(`${item} must be true or false`);
  return value;
}

/** The data of one call, its values as JSON. `nested` allows any, else values are primitives. */
export function checkData(d: unknown, nested: boolean): DataEntry[] {
  if (d === undefined || d === null) throw missingParameter("d");
  if (typeof d !== "object" || Array.isArray(d)) throw invalidValue("d must be an object");
  const entries = Object.entries(d);
  if (entries.length === 0) throw invalidValue("d must contain at least one key.");

  return entries.map(([key, value]) => {
    const path = pathOf("d", key);
    if (key === PROTO && value !== null) throw forbiddenKey(path);
    if (!(isPrimitive(value) || (nested && typeof value === "object"))) throw forbiddenType(path, value, nested);
    const json = toJson(path, value);
    return [key, json === "null" ? null : json];
  });
}

/** A reader that copies data by assignment would take its value for the copy's prototype. */
const PROTO = "__proto__";

function forbiddenKey(path: string): Error {
  return invalidValue(
    `${path} is not allowed: code that copies the data could take it for a prototype`,
    "rename the key",
  );
}

/**
 * Where a value is, for a message. A key may be anybody's text, so all but a plain one is quoted as JSON, and a long one
 * is cut: a line feed in a key must not look like another line of a log.
 */
function pathOf(parent: string, key: string): string {
  const isPlain = /^\w{1,40}$/.test(key);
  if (isPlain) return parent.endsWith("…") ? `${parent}${key}` : `${parent}.${key}`;
  return `${parent}[${quote(key)}]`;
}

/** Data as it goes to Redis, unless that has too many bytes, or sets too many keys. */
export function checkSize(
  entries: DataEntry[],
  encode: (entries: DataEntry[]) => string,
  { maxBytes, maxKeys }: { maxBytes: number; maxKeys: number },
): string {
  if (entries.length > maxKeys && entries.filter(([, json]) => json !== null).length > maxKeys) {
    throw tooManyKeys("d has", maxKeys);
  }
  const lines = encode(entries);
  if (Buffer.byteLength(lines) > maxBytes) throw tooLarge("d is", maxBytes);
  return lines;
}

function isPrimitive(value: unknown): boolean {
  return value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value);
}

/** Throws where JSON.stringify would quietly lose something (but for the sign of a 0 deep inside), or cannot. */
function toJson(path: string, value: unknown): string {
  // JSON.stringify would make a 0 of it.
  if (Object.is(value, -0)) return "-0";
  if (typeof value !== "object") return JSON.stringify(value);
  try {
    return JSON.stringify(value, (key, inner) => {
      if (key === PROTO) throw forbiddenKey(pathOf(`${path}…`, key));
      if (isPrimitive(inner) || (typeof inner === "object" && !isOpaque(inner))) return inner;
      if (key === "") throw forbiddenType(path, inner, true);
      throw forbiddenType(pathOf(`${path}…`, key), inner, true, "leave it out, or put null in its place");
    });
  } catch (error) {
    if (error instanceof TypeError && error.message.startsWith("Converting circular"))
      throw invalidValue(`${path} cannot be written as JSON: it refers to itself`);
    if (error instanceof RangeError) throw invalidValue(`${path} cannot be written as JSON: it is nested too deeply`);
    throw error;
  }
}

/** What JSON.stringify would write as `{}`, or as an object of numbered bytes. */
function isOpaque(value: object): boolean {
  return OPAQUE.some((is) => is(value));
}

/** @param remedy what to do about undefined */
function forbiddenType(
  path: string,
  value: unknown,
  nested: boolean,
  remedy = "leave the key out; null removes it",
): Error {
  const allowed = nested ? "Only JSON values" : "Only strings, numbers, boolean and null";
  const hint =
    value === undefined
      ? remedy
      : typeof value === "object" && !nested
        ? "construct RedisSessions with nested: true"
        : undefined;
  return invalidValue(`${path} has a forbidden type. ${allowed} are allowed.`, hint);
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

/** The session that a text names, by its token or by its ref. @throws SessionError `invalidFormat` when it is neither */
export function whichOf(app: string, text: string): Which {
  if (isRef(text)) return { app, ref: text };
  if (text !== "" && !isToken(text)) {
    // The engine looks at the app first.
    checkApp(app);
    throw invalidFormat(
      "token",
      "64 of A-Z a-z 0-9; or a ref: 27 of A-Z a-z 0-9 _ -, or the ref of a RedisStore session: ~ and its id",
    );
  }
  return { app, token: text };
}
