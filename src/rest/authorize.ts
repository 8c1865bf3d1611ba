import { hash, timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import { checkApp } from "../engine/checks.js";
import { invalidValue, type SessionError } from "../errors.js";
import { isPlainObject } from "../util/objects.js";
import { aBoolean, checkOptions } from "../util/rules.js";
import { Problem } from "./problem.js";

/** The minimum length of a key, in characters. */
export const MIN_KEY_LENGTH = 16;

/** What a caller may do. */
export interface Grant {
  /** The apps that the caller may use. Default: all. */
  apps?: readonly string[];
  /** Whether the caller may read only. Default false. */
  readOnly?: boolean;
}

/** An API key, and the limits of what its caller may do. */
export interface ApiKey extends Grant {
  /** At least 16 characters. If it is undefined (an environment variable is not set), `rest` throws `invalidValue`. */
  key: string | undefined;
}

/**
 * Who may use the interface: a list of API keys, a function of the request, or `false` for everybody who can reach the
 * server. There is no default.
 */
export type Authorize =
  | readonly (string | ApiKey | undefined)[]
  | ((req: Request) => boolean | Grant | Promise<boolean | Grant>)
  | false;

/** Decides whether a request may use an app. @throws Problem 401 or 403 */
export type Guard = (req: Request, app: string, writes: boolean) => Promise<void>;

/** @throws SessionError `invalidValue` if `authorize` is missing or invalid */
export function guardOf(authorize: Authorize): Guard {
  const ask = grantOf(authorize);
  // A function need not look at keys.
  const complaint =
    typeof authorize === "function"
      ? "The server did not authorize this request. Ask its operator which credentials it needs"
      : "Send an API key: Authorization: Bearer <key>";
  return async (req, app, writes) => {
    const grant = await ask(req);
    if (grant === undefined) {
      throw new Problem(401, "ERR_UNAUTHORIZED", complaint, { "WWW-Authenticate": "Bearer" });
    }
    const { apps, readOnly = false } = grant;
    if (apps !== undefined && !apps.includes(app)) {
      throw new Problem(403, "ERR_FORBIDDEN", "The caller may not use this app");
    }
    if (readOnly && writes) throw new Problem(403, "ERR_FORBIDDEN", "The caller may only read");
  };
}

function grantOf(authorize: Authorize): (req: Request) => Grant | undefined | Promise<Grant | undefined> {
  if (authorize === false) return () => ({});
  if (typeof authorize === "function") return async (req) => toGrant(await authorize(req));
  if (!Array.isArray(authorize) || authorize.length === 0) {
    throw invalidValue("rest needs authorize: a list of API keys, a function of the request, or false for everybody");
  }
  const keys = authorize.map((one: string | ApiKey | undefined, i) => {
    const { key, ...grant }: ApiKey = typeof one === "object" && one !== null ? one : { key: one };
    if (typeof key !== "string" || key.length < MIN_KEY_LENGTH) {
      const hint = key === undefined ? "it is undefined: is its environment variable set?" : undefined;
      throw invalidValue(`authorize: key ${i + 1} must be a string of at least ${MIN_KEY_LENGTH} characters`, hint);
    }
    checkGrant(grant);
    for (const app of grant.apps ?? []) checkAppOf(app, i + 1);
    return { digest: digestOf(key), grant };
  });
  const digests = keys.map(({ digest }) => digest.toString("hex"));
  const duplicate = digests.findIndex((digest, i) => digests.indexOf(digest) < i);
  if (duplicate !== -1)
    throw invalidValue(`authorize: key ${duplicate + 1} is a duplicate: list it once, with all its apps`);
  return (req) => {
    // Compare with every key, each in constant time, so that the duration reveals nothing about the keys.
    let found: Grant | undefined;
    for (const sent of keysOf(req).map(digestOf)) {
      for (const { digest, grant } of keys) if (timingSafeEqual(digest, sent)) found = grant;
    }
    return found;
  };
}

/** @throws SessionError `invalidValue` that names the key and its invalid app */
function checkAppOf(app: unknown, key: number): void {
  try {
    checkApp(app);
  } catch (error) {
    const { message, hint } = error as SessionError;
    throw invalidValue(`authorize: apps of key ${key}: ${JSON.stringify(app)}: ${message}`, hint);
  }
}

/**
 * Refuses a grant that would allow more than it seems to: `apps: "shop"` would allow every substring of "shop", and
 * `readOnly: undefined` (a variable that is not set) would not limit the key.
 */
function checkGrant(grant: Grant): void {
  checkOptions("authorize", grant, { apps: { be: "a list of apps", test: Array.isArray }, readOnly: aBoolean });
  for (const [name, value] of Object.entries(grant)) {
    if (value === undefined) throw invalidValue(`authorize: ${name} is undefined: leave it out to set no such limit`);
  }
}

/**
 * The grant that the function `authorize` returned, or undefined if it refused the caller. An invalid result is a bug of
 * the server, so it throws a TypeError, which becomes 500, and not a validation error, which would become 400.
 */
function toGrant(answer: unknown): Grant | undefined {
  if (answer === true) return {};
  // A function in JavaScript may also return null or undefined.
  if (!answer) return undefined;
  if (!isPlainObject(answer)) throw new TypeError("authorize must return true, false or { apps?, readOnly? }");
  try {
    checkGrant(answer);
  } catch (error) {
    throw new TypeError((error as Error).message);
  }
  return answer;
}

/**
 * The keys in `X-API-Key` and `Authorization: Bearer` (RFC 6750). Both are tried, because `Authorization` may be meant for
 * a proxy.
 */
function keysOf(req: Request): string[] {
  return [req.get("x-api-key"), /^Bearer +(\S+) *$/i.exec(req.get("authorization") ?? "")?.[1]].map((key) => key ?? "");
}

/** Hashes a key of any length to a fixed length, which timingSafeEqual requires. */
function digestOf(key: string): Buffer {
  return hash("sha256", key, "buffer");
}
