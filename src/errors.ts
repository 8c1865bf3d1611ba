/** What went wrong, as `error.name`. The first three are those of redis-sessions. */
export type SessionErrorName =
  | "missingParameter"
  | "invalidFormat"
  | "invalidValue"
  | "timeout"
  | "unavailable"
  | "redisError"
  | "tooManySessions"
  | "headersSent"
  | "crossSite";

/** The same as `error.code`, for those who switch on codes. */
export type SessionErrorCode =
  | "ERR_MISSING_PARAMETER"
  | "ERR_INVALID_FORMAT"
  | "ERR_INVALID_VALUE"
  | "ERR_TIMEOUT"
  | "ERR_UNAVAILABLE"
  | "ERR_REDIS"
  | "ERR_TOO_MANY_SESSIONS"
  | "ERR_HEADERS_SENT"
  | "ERR_CROSS_SITE";

const CODES: Record<SessionErrorName, SessionErrorCode> = {
  missingParameter: "ERR_MISSING_PARAMETER",
  invalidFormat: "ERR_INVALID_FORMAT",
  invalidValue: "ERR_INVALID_VALUE",
  timeout: "ERR_TIMEOUT",
  unavailable: "ERR_UNAVAILABLE",
  redisError: "ERR_REDIS",
  tooManySessions: "ERR_TOO_MANY_SESSIONS",
  headersSent: "ERR_HEADERS_SENT",
  crossSite: "ERR_CROSS_SITE",
};

const STATUS: { readonly [Name in SessionErrorName]?: 403 | 409 | 503 } = {
  timeout: 503,
  unavailable: 503,
  tooManySessions: 409,
  crossSite: 403,
};

/**
 * Every error that this package raises. It never carries a token, a key or session data.
 *
 * - `missingParameter`, `invalidFormat`, `invalidValue`: bad input. Redis was not asked, nothing was written.
 * - `timeout`: no answer within the engine's `timeout`, also while the client tries to connect (see `hint`). A call that
 *   was not sent by then is never sent (the `hint` says so); whether any other took effect is unknown.
 * - `unavailable`: the client has given up, `quit` was called, or Redis cannot serve now (LOADING, CLUSTERDOWN, READONLY, BUSY …), see `cause`.
 *   Where the connection was lost on the way, whether the call took effect is unknown, too.
 * - `redisError`: Redis answered with an error, see `cause`.
 * - `tooManySessions`: the user has `maxPerUser` sessions, and `overflow` is "reject".
 * - `headersSent`: the middleware cannot change the cookie any more, because the response has begun.
 * - `crossSite`: the middleware refuses a sign-in that a page of another site sends.
 */
export class SessionError extends Error {
  /** What went wrong, in redis-sessions' words. */
  override readonly name: SessionErrorName;
  /** The same as `name`, as Node's errors have it. */
  readonly code: SessionErrorCode;
  /** What would have been right, where the message alone does not say it. */
  declare readonly hint?: string;
  /**
   * What Express and its kind are to answer: 503 for `timeout` and `unavailable`, which mean an outage, 409 for
   * `tooManySessions`, 403 for `crossSite`. Bad input has none, whose mistake it is you know.
   */
  declare readonly status?: 403 | 409 | 503;

  constructor(name: SessionErrorName, message: string, details: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = name;
    this.code = CODES[name];
    if (details.hint !== undefined) this.hint = details.hint;
    const status = STATUS[name];
    if (status !== undefined) this.status = status;
  }
}

/** The error of a call that is made after `quit`. */
export function quitWasCalled(): SessionError {
  return new SessionError("unavailable", "The engine is closed: quit() was called before this call");
}

/** Whether an error says that Redis is away. */
export function isOutage(error: unknown): error is SessionError {
  return error instanceof SessionError && error.status === 503;
}

/** Whether an error says that a call was refused, and so that nothing was done. */
export function isRefusal(error: unknown): boolean {
  return error instanceof SessionError && REFUSALS.includes(error.name);
}

/** Whether an error says that Redis is out of memory. Nothing was written then. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof SessionError && (error.cause as Error | undefined)?.message.startsWith("OOM ") === true;
}

const REFUSALS: readonly SessionErrorName[] = ["missingParameter", "invalidFormat", "invalidValue", "tooManySessions"];

export function missingParameter(item: string, hint?: string): SessionError {
  return new SessionError("missingParameter", `No ${item} supplied`, { hint });
}

export function invalidFormat(item: string, hint: string): SessionError {
  return new SessionError("invalidFormat", `Invalid ${item} format`, { hint });
}

export function invalidValue(message: string, hint?: string): SessionError {
  return new SessionError("invalidValue", message, { hint });
}

/** A text that somebody else chose, for a message: as JSON without control characters, and not longer than a line. */
export function quote(text: string): string {
  const cut = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return JSON.stringify(cut).replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** @param what completes "… larger than N bytes" */
export function tooLarge(what: string, maxBytes: number): SessionError {
  return invalidValue(`${what} larger than ${maxBytes} bytes`, "raise maxBytes, or store less");
}

/** @param what completes "… more than N keys" */
export function tooManyKeys(what: string, maxKeys: number): SessionError {
  return invalidValue(
    `${what} more than ${maxKeys} keys`,
    "raise maxKeys, or store less: several values under one key",
  );
}

export function tooManySessions(most: number): SessionError {
  return new SessionError("tooManySessions", `The user has as many sessions as maxPerUser allows: ${most}`);
}

/**
 * Errors of ioredis and Redis that mean "not now": the connection is away, or the server cannot serve, or write, yet.
 * The codes: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors and Redis's server.c.
 */
const UNAVAILABLE =
  /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|READONLY|NOREPLICAS|MISCONF|TRYAGAIN|Connection is closed|Stream isn't writeable|Reached the max retries|Failed to refresh slots|Command aborted|None of startup nodes|Cluster is|Too many Cluster redirections|All sentinels are unreachable|connect |read |write |getaddrinfo )/;

/** What Redis 6 to 8 and Valkey say of rights that are missing, and of a command that is renamed or switched off. */
const FORBIDDEN = /NOPERM|ACL failure|executing the script can't|unknown command/i;

/** Whether an error says that the user of Redis lacks a right. */
export function isForbidden(error: unknown): error is SessionError {
  return error instanceof SessionError && error.name === "redisError" && FORBIDDEN.test(error.message);
}

/**
 * Translates what ioredis raises. The original is kept as `cause` without its `command`, which holds the
 * arguments and with them the session's data.
 * @param trouble why the connection is not there, where that is known
 */
export function fromRedis(error: unknown, trouble?: Error): SessionError {
  if (error instanceof SessionError) return error;
  const { name, message: full } = error instanceof Error ? error : new Error(String(error));
  const message = full
    // Redis 6 puts these before the error of a command that a script ran.
    .replace(/^(ERR Error running script .*?: |@user_script: \d+: )-/s, "")
    // Where a command is forbidden or renamed, Redis quotes its arguments: our keys.
    .replace(/, with args beginning with: .*/s, "");
  const cause = Object.assign(new Error(message), { name });
  if (message === "Command timed out") return new SessionError("timeout", "Redis did not answer in time", { cause });
  if (UNAVAILABLE.test(message))
    return new SessionError("unavailable", "Redis is not available", { cause: trouble ?? cause });
  const hint = FORBIDDEN.test(message)
    ? 'docs/production.md, "Rights (ACL)", lists the commands and keys that are needed'
    : undefined;
  return new SessionError("redisError", `Redis answered with an error: ${message}`, { hint, cause });
}
