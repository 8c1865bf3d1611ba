/** The cookie of a session as it is stored: with short names, since each session has one that is not express-session's default. */

const SHORT: Readonly<Record<string, string>> = {
  originalMaxAge: "m",
  expires: "e",
  httpOnly: "h",
  path: "p",
  secure: "s",
  sameSite: "x",
  domain: "d",
  partitioned: "c",
  priority: "y",
};

const LONG: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(SHORT).map(([long, short]) => [short, long]),
);

/**
 * Stands for the cookie's `expires`, where that follows from its age. A date that is stored would be wrong as soon as
 * another request prolongs the session, and would make each request a write. A date without an age is stored as it is.
 */
const DERIVED = 1;

/**
 * The cookie of express-session as it is by default, which most sessions have: it is left out. A session that has no
 * cookie is the exception, and says so.
 */
const DEFAULT = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
const NONE = 0;

/** The last moment that a Date can stand for, in ms (ECMA-262, 21.4.1.1). */
const LAST_DATE = 8.64e15;

export interface CookieData {
  expires?: unknown;
  originalMaxAge?: number | null;
}

/**
 * JSON of a cookie (express-session's, @fastify/session's, or a plain one) as it is stored; undefined for the one that is
 * left out.
 */
export function cookieToJson(cookie: unknown): string | undefined {
  if (cookie === undefined) return JSON.stringify(NONE);
  if (typeof cookie !== "object" || cookie === null) return JSON.stringify(cookie);
  const data: CookieData = (cookie as { toJSON?: () => object }).toJSON?.() ?? cookie;
  const isDerived = data.expires && Number.isFinite(data.originalMaxAge);
  const json = JSON.stringify(rename(isDerived ? { ...data, expires: DERIVED } : data, shortName));
  return json === DEFAULT_JSON ? undefined : json;
}

/** The cookie again, with `expires` from the moment that the session ends, in ms; undefined for none. */
export function cookieFromJson(stored: unknown, endOf: (originalMaxAge: number) => number): unknown {
  if (stored === undefined) return { ...DEFAULT };
  if (stored === NONE) return undefined;
  if (typeof stored !== "object" || stored === null) return stored;
  const cookie: CookieData = rename(stored, longName);
  if (cookie.expires === DERIVED) {
    cookie.expires = new Date(Math.min(endOf(cookie.originalMaxAge ?? 0), LAST_DATE)).toISOString();
  }
  return cookie;
}

/**
 * Whether two cookies differ by nothing but a tick of the clock. express-session reads it twice when it prolongs a
 * cookie, and takes the difference for the cookie's age, which so loses a millisecond now and then.
 */
export function isTick(before: string, now: string): boolean {
  const [a, b] = [JSON.parse(before), JSON.parse(now)];
  return Math.abs(a?.m - b?.m) <= 2 && JSON.stringify({ ...a, m: 0 }) === JSON.stringify({ ...b, m: 0 });
}

/** A name that is as short by itself, or begins with the mark, is marked. */
function shortName(name: string): string {
  return SHORT[name] ?? (name in LONG || name.startsWith("_") ? `_${name}` : name);
}

function longName(name: string): string {
  return LONG[name] ?? (name.startsWith("_") ? name.slice(1) : name);
}

function rename(data: object, to: (name: string) => string): object {
  const renamed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(data)) renamed[to(name)] = value;
  return renamed;
}

const DEFAULT_JSON = JSON.stringify(rename(DEFAULT, shortName));
