import type { SessionData } from "express-session";
import { invalidValue } from "../errors.js";
import { warnOfEqual, warnOfMilliseconds } from "../util/seconds.js";

/** An idle timeout, and when it starts. */
export interface IdleTimeout {
  /** ms of our clock */
  now: number;
  /** seconds */
  ttl: number;
}

/** The option `ttl`. */
export type Ttl = number | ((session: SessionData) => number);

/** A hundred years, in seconds. Redis and dates cannot count a longer TTL, such as `ttl: Infinity`. */
export const MAX_TTL = 100 * 365 * 86_400;

/**
 * The idle timeout of a session from `now` (ms) on. It follows the rules of connect-redis, but is exact to the millisecond.
 * @throws SessionError `invalidValue` if it is not a number
 */
export function idleTimeoutOf(session: SessionData, settings: { readonly ttl: Ttl }, now = Date.now()): IdleTimeout {
  const ttlOption = settings.ttl;
  const ttl = typeof ttlOption === "function" ? ttlOption(session) : (secondsTo(session.cookie, now) ?? ttlOption);
  // connect-redis would end the session.
  if (typeof ttl !== "number" || Number.isNaN(ttl)) {
    throw invalidValue("RedisStore: the session's ttl is not a number", "see the option ttl");
  }
  const chosen = typeof ttlOption === "function" ? ttl : ttlOption;
  warnOfEqual(settings, "RedisStore: ttl", chosen, session.cookie?.originalMaxAge);
  warnOfMilliseconds(settings, "RedisStore: ttl", chosen);
  return { now, ttl: Math.min(ttl, MAX_TTL) };
}

/** When a session ends that nobody uses, in ms of our clock. */
export function expiresAt({ now, ttl }: IdleTimeout): number {
  return now + ttl * 1000;
}

/** Seconds until a cookie expires; undefined if it does not. express-session reports an invalid date. */
function secondsTo(cookie: SessionData["cookie"] | null | undefined, now: number): number | undefined {
  const end = cookie?.expires ? new Date(cookie.expires).getTime() : Number.NaN;
  return Number.isNaN(end) ? undefined : (end - now) / 1000;
}

/** Whether a cookie has expired by `now` (ms) that ends at a fixed date, and not some time after its last use. */
export function isPast(cookie: SessionData["cookie"] | undefined, now: number): boolean {
  if (!cookie?.expires || typeof cookie.originalMaxAge === "number") return false;
  return new Date(cookie.expires).getTime() <= now;
}
