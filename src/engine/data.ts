import { types } from "node:util";
import { invalidFormat, invalidValue, missingParameter, quote, tooLarge, tooManyKeys } from "../errors.js";
import type { DataEntry } from "../sessions/session-text.js";
import { kindOf, nameOf } from "../util/kind-of.js";

/** The checks of a session's data, `d`: which values it may have, and how large it may become. */

const { isMap, isSet, isWeakMap, isWeakSet, isPromise, isRegExp, isNativeError, isAnyArrayBuffer } = types;
/** Kinds of objects that JSON.stringify writes as `{}`, or as an object of numbered bytes. */
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
/** Refused as a key: code that copies the data by assignment would set the copy's prototype. */
const PROTO = "__proto__";

/** Checks that `d` is an object with at least one key. `toEntries` checks its values. */
export function checkData(d: unknown): object {
  if (d === undefined || d === null) throw missingParameter("d", "pass the values to store: d: { key: value }");
  if (typeof d !== "object" || Array.isArray(d)) {
    throw invalidValue("d must be an object", `it is ${kindOf(d)}: pass { key: value }`);
  }
  if (Object.keys(d).length === 0) throw invalidValue("d must contain at least one key.");
  return d;
}

/** Checks the name of one key of the data. */
export function checkKey(key: unknown): string {
  if (key === undefined || key === null || key === "") throw missingParameter("key");
  if (typeof key !== "string") throw invalidFormat("key", "a string: the name of a key of d");
  if (key === PROTO) throw forbiddenKey(pathOf("d", key));
  return key;
}

/**
 * Checks the values of `d` and returns them as JSON; null for a key to remove.
 * @param nested whether a value may be any JSON; otherwise it must be a primitive
 */
export function toEntries(d: object, nested: boolean): DataEntry[] {
  return Object.entries(d).map(([key, value]) => {
    // Nearly all values are primitives. The path is for the messages of other values.
    if (key !== PROTO && isPrimitive(value)) return [key, value === null ? null : toJson("", value)];
    const path = pathOf("d", key);
    if (key === PROTO && value !== null) throw forbiddenKey(path);
    if (!(isPrimitive(value) || (nested && typeof value === "object"))) throw forbiddenType(path, value, nested);
    const json = toJson(path, value);
    return [key, json === "null" ? null : json];
  });
}

/** Encodes data for Redis. @throws SessionError `invalidValue` if it has too many bytes, or sets too many keys */
export function encodeWithin(
  { maxBytes, maxKeys }: { maxBytes: number; maxKeys: number },
  entries: DataEntry[],
  encode: (entries: DataEntry[]) => string,
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

/**
 * Writes a value as JSON. Throws if JSON.stringify cannot write the value or would silently lose a part of it; only the
 * sign of a nested -0 is lost.
 */
function toJson(path: string, value: unknown): string {
  // JSON.stringify would write 0.
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

function isOpaque(value: object): boolean {
  return OPAQUE.some((is) => is(value));
}

/**
 * Returns the path of a value, for a message. A key may come from a visitor: unless it is plain, it is quoted as JSON and
 * a long one is cut, so that a line feed in it cannot forge a line of a log.
 */
export function pathOf(parent: string, key: string): string {
  const isPlain = /^\w{1,40}$/.test(key);
  if (isPlain) return parent.endsWith("…") ? `${parent}${key}` : `${parent}.${key}`;
  return `${parent}[${quote(key)}]`;
}

function forbiddenKey(path: string): Error {
  return invalidValue(
    `${path} is not allowed: code that copies the data could take it for a prototype`,
    "rename the key",
  );
}

/** @param remedy the hint for undefined */
function forbiddenType(
  path: string,
  value: unknown,
  nested: boolean,
  remedy = "leave the key out; null removes it",
): Error {
  const allowed = nested ? "Only JSON values" : "Only strings, numbers, boolean and null";
  return invalidValue(`${path} has a forbidden type. ${allowed} are allowed.`, remedyOf(value, remedy));
}

/** Says how to store a value of a forbidden type. */
function remedyOf(value: unknown, ofUndefined: string): string {
  if (value === undefined) return ofUndefined;
  if (typeof value === "object" && !isOpaque(value as object)) return "construct RedisSessions with nested: true";
  const remedies: { readonly [type: string]: string } = {
    bigint: "store it as text or a number",
    number: "store a finite number or null",
    object: "convert it to an object or array",
  };
  return `it is ${nameOf(value)}: ${remedies[typeof value] ?? "leave it out"}`;
}
