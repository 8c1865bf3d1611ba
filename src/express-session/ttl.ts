import type { SessionData } from "express-session";
import { invalidValue } from "../errors.js";

/** How long a session may rest. */
export interface IdleTimeout {
  /** since when, ms */
  now: number;
  /** seconds */
  ttl: number;
}

/** The option `ttl`. */
export type Ttl = number | ((session: SessionData) => number);

/** A hundred years, in seconds: what lives longer (`ttl: Infinity`) is more than Redis and dates can count. */
export const MAX_TTL = 100 * 365 * 86_400;

/**
 * How long a session may rest from `now` (ms) on, as connect-redis has it, but to the millisecond.
 * @throws SessionError `invalidValue` when that is no number
 */
export function idleTimeoutOf(session: SessionData, byDefault: Ttl, now = Date.now()): IdleTimeout {
  const ttl = typeof byDefault === "function" ? byDefault(session) : (secondsTo(session.cookie, now) ?? byDefault);
  // connect-redis would end the session.
  if (typeof ttl !== "number" || Number.isNaN(ttl)) {
    throw invalidValue("RedisStore: the session's ttl is no number", "see the option ttl");
  }
  return { now, ttl: Math.min(ttl, MAX_TTL) };
}

/** Seconds until a cookie ends; undefined when it has no end. A date that is none is for express-session to report. */
function secondsTo(cookie: SessionData["cookie"] | null | undefined, now: number): number | undefined {
  const end = cookie?.expires ? new Date(cookie.expires).getTime() : Number.NaN;
  return Number.isNaN(end) ? undefined : (end - now) / 1000;
}

/** Whether a cookie that ends at a date, rather than so long after its last use, has ended by `now` (ms). */
export function isPast(cookie: SessionData["cookie"] | undefined, now: number): boolean {
  if (!cookie?.expires || typeof cookie.originalMaxAge === "number") return false;
  return new Date(cookie.expires).getTime() <= now;
}
