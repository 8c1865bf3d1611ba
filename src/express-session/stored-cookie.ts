/**
 * The cookie of a session as it is stored. The names are short, because every session has a cookie; express-session's
 * default cookie is not stored at all.
 */

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
 * Stored for the cookie's `expires` if that follows from its age. A stored date would be wrong as soon as another request
 * prolongs the session, and would make each request a write. A date without an age is stored as it is.
 */
const DERIVED = 1;

/** express-session's default cookie. Most sessions have it, so it is left out. */
const DEFAULT: Readonly<Record<string, unknown>> = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
const DEFAULT_SIZE = Object.keys(DEFAULT).length;
/** Stored for a session without a cookie. */
const NONE = 0;

/** The latest time that a Date can hold, in ms (ECMA-262, 21.4.1.1). */
const LAST_DATE = 8.64e15;

export interface CookieData {
  expires?: unknown;
  originalMaxAge?: number | null;
}

/**
 * The JSON that is stored for a cookie of express-session or @fastify/session, or a plain object. Undefined for the
 * default cookie, which is left out.
 */
export function cookieToJson(cookie: unknown): string | undefined {
  if (cookie === undefined) return JSON.stringify(NONE);
  if (typeof cookie !== "object" || cookie === null) return JSON.stringify(cookie);
  const data: CookieData = (cookie as { toJSON?: () => object }).toJSON?.() ?? cookie;
  if (isDefault(data)) return undefined;
  const stored = rename(data, shortName);
  if (data.expires && Number.isFinite(data.originalMaxAge)) stored[shortName("expires")] = DERIVED;
  return JSON.stringify(stored);
}

/** Compares the fields, because nearly every request compares its cookie, and JSON would cost more. */
function isDefault(data: object): boolean {
  let matches = 0;
  for (const [name, value] of Object.entries(data)) {
    if (value === undefined) continue;
    if (value !== DEFAULT[name]) return false;
    matches++;
  }
  return matches === DEFAULT_SIZE;
}

/**
 * The cookie of a stored session; undefined if it has none.
 * @param endOf returns when the session ends, in ms, which the cookie's `expires` follows
 */
export function cookieFromJson(stored: unknown, endOf: (originalMaxAge: number) => number): unknown {
  if (stored === undefined) return defaultCookie();
  if (stored === NONE) return undefined;
  if (typeof stored !== "object" || stored === null) return stored;
  const cookie: CookieData = rename(stored, longName);
  if (cookie.expires === DERIVED) {
    cookie.expires = new Date(Math.min(endOf(cookie.originalMaxAge ?? 0), LAST_DATE));
  } else if (typeof cookie.expires === "string") {
    const date = new Date(cookie.expires);
    if (!Number.isNaN(date.getTime())) cookie.expires = date;
  }
  return cookie;
}

/** The data of express-session's default cookie. */
export function defaultCookie(): object {
  return { ...DEFAULT };
}

/**
 * Whether two cookies differ only by a tick of the clock. express-session reads the clock twice when it prolongs a cookie,
 * and computes the cookie's age from both. So the age loses a millisecond now and then.
 */
export function isTick(before: string, now: string): boolean {
  const [a, b] = [JSON.parse(before), JSON.parse(now)];
  return Math.abs(a?.m - b?.m) <= 2 && JSON.stringify({ ...a, m: 0 }) === JSON.stringify({ ...b, m: 0 });
}

/** Another name that equals a short one, or begins with "_", gets a "_" in front. */
function shortName(name: string): string {
  return SHORT[name] ?? (name in LONG || name.startsWith("_") ? `_${name}` : name);
}

function longName(name: string): string {
  return LONG[name] ?? (name.startsWith("_") ? name.slice(1) : name);
}

function rename(data: object, to: (name: string) => string): Record<string, unknown> {
  const renamed: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(data)) if (value !== undefined) renamed[to(name)] = value;
  return renamed;
}
