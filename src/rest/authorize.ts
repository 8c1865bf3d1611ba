import { hash, timingSafeEqual } from "node:crypto";
import type { Request } from "express";
import { checkApp } from "../engine/checks.js";
import { invalidValue, type SessionError } from "../errors.js";
import { isPlainObject } from "../util/objects.js";
import { aBoolean, checkOptions } from "../util/rules.js";
import { Problem } from "./problem.js";

/** The fewest characters that a key may have. */
export const MIN_KEY_LENGTH = 16;

/** What a caller may do. */
export interface Grant {
  /** The apps that the caller may use. Default: all. */
  apps?: readonly string[];
  /** Whether the caller may read only. Default false. */
  readOnly?: boolean;
}

/** A key, and what it is good for. */
export interface ApiKey extends Grant {
  /** At least 16 characters. One that the environment does not have (undefined) is refused when `rest` is called. */
  key: string | undefined;
}

/**
 * Who may use the interface: a list of API keys, a function of the request, or `false`, said out loud, for everybody
 * who can reach it.
 */
export type Authorize =
  | readonly (string | ApiKey | undefined)[]
  | ((req: Request) => boolean | Grant | Promise<boolean | Grant>)
  | false;

/** Decides whether a request may use an app. @throws Problem 401 or 403 */
export type Guard = (req: Request, app: string, writes: boolean) => Promise<void>;

/** @throws SessionError `invalidValue` when `authorize` is missing or bad */
export function guardOf(authorize: Authorize): Guard {
  const ask = grantOf(authorize);
  // What a function looks at need not be a key.
  const complaint =
    typeof authorize === "function"
      ? "This server does not let the caller in: ask those who run it what it wants"
      : "Send an API key: Authorization: Bearer <key>";
  return async (req, app, writes) => {
    const grant = await ask(req);
    if (grant === undefined) {
      throw new Problem(401, "ERR_UNAUTHORIZED", complaint, { "WWW-Authenticate": "Bearer" });
    }
    const { apps, readOnly = false } = grant;
    if (apps !== undefined && !apps.includes(app)) {
      throw new Problem(403, "ERR_FORBIDDEN", "This key is not good for this app");
    }
    if (readOnly && writes) throw new Problem(403, "ERR_FORBIDDEN", "This key may only read");
  };
}

function grantOf(authorize: Authorize): (req: Request) => Grant | undefined | Promise<Grant | undefined> {
  if (authorize === false) return () => ({});
  if (typeof authorize === "function") return async (req) => toGrant(await authorize(req));
  if (!Array.isArray(authorize) || authorize.length === 0) {
    throw invalidValue("rest needs authorize: a list of API keys, a function of the request, or false for everybody");
  }
  const keys = authorize.map((one: string | ApiKey | undefined, i) => {
    // A key from an environment that does not have it is undefined.
    const { key, ...grant }: ApiKey = typeof one === "object" && one !== null ? one : { key: one };
    if (typeof key !== "string" || key.length < MIN_KEY_LENGTH) {
      const hint = key === undefined ? "it is undefined: is its environment variable set?" : undefined;
      throw invalidValue(`authorize: key ${i + 1} must be a text of at least ${MIN_KEY_LENGTH} characters`, hint);
    }
    checkGrant(grant);
    for (const app of grant.apps ?? []) checkAppOf(app, i + 1);
    return { digest: digestOf(key), grant };
  });
  const digests = keys.map(({ digest }) => digest.toString("hex"));
  const again = digests.findIndex((digest, i) => digests.indexOf(digest) < i);
  if (again !== -1)
    throw invalidValue(`authorize: key ${again + 1} is there twice: give it once, with all that it may do`);
  return (req) => {
    // All are compared, each in constant time: how long it takes tells nothing about the keys.
    let found: Grant | undefined;
    for (const given of keysOf(req).map(digestOf)) {
      for (const { digest, grant } of keys) if (timingSafeEqual(digest, given)) found = grant;
    }
    return found;
  };
}

/** @throws SessionError `invalidValue` that says which key's app is none */
function checkAppOf(app: unknown, key: number): void {
  try {
    checkApp(app);
  } catch (error) {
    const { message, hint } = error as SessionError;
    throw invalidValue(`authorize: apps of key ${key}: ${JSON.stringify(app)}: ${message}`, hint);
  }
}

/**
 * `apps: "shop"` would let pass every part of that text, and `readOnly: undefined` (a variable that is not set) would be
 * no limit.
 */
function checkGrant(grant: Grant): void {
  checkOptions("authorize", grant, { apps: { be: "a list of apps", test: Array.isArray }, readOnly: aBoolean });
  for (const [name, value] of Object.entries(grant)) {
    if (value === undefined)
      throw invalidValue(`authorize: ${name} is undefined: leave it out if there is no such limit`);
  }
}

/** What a function has answered; undefined for a no. That it is wrong is not the caller's mistake, so it is no bad input. */
function toGrant(answer: unknown): Grant | undefined {
  if (answer === true) return {};
  // Also null and undefined, which a function in JavaScript may give.
  if (!answer) return undefined;
  if (!isPlainObject(answer)) throw new TypeError("authorize has to answer true, false or { apps?, readOnly? }");
  try {
    checkGrant(answer);
  } catch (error) {
    throw new TypeError((error as Error).message);
  }
  return answer;
}

/** The key in `X-API-Key` and that in `Authorization: Bearer` (RFC 6750), which may be meant for somebody else. */
function keysOf(req: Request): string[] {
  return [req.get("x-api-key"), /^Bearer +(\S+) *$/i.exec(req.get("authorization") ?? "")?.[1]].map((key) => key ?? "");
}

/** Keys of any length become digests of one length, as timingSafeEqual needs them. */
function digestOf(key: string): Buffer {
  return hash("sha256", key, "buffer");
}
