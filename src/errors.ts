/** The values of `error.name`. The first three are the names that redis-sessions uses. */
export type SessionErrorName =
  | "missingParameter"
  | "invalidFormat"
  | "invalidValue"
  | "timeout"
  | "unavailable"
  | "redisError"
  | "tooManySessions"
  | "headersSent"
  | "crossSite"
  | "impersonated";

/** The values of `error.code`. Each belongs to one name. */
export type SessionErrorCode =
  | "ERR_MISSING_PARAMETER"
  | "ERR_INVALID_FORMAT"
  | "ERR_INVALID_VALUE"
  | "ERR_TIMEOUT"
  | "ERR_UNAVAILABLE"
  | "ERR_REDIS"
  | "ERR_TOO_MANY_SESSIONS"
  | "ERR_HEADERS_SENT"
  | "ERR_CROSS_SITE"
  | "ERR_IMPERSONATED";

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
  impersonated: "ERR_IMPERSONATED",
};

const STATUS: { readonly [Name in SessionErrorName]?: 403 | 409 | 503 } = {
  timeout: 503,
  unavailable: 503,
  tooManySessions: 409,
  crossSite: 403,
  impersonated: 403,
};

/**
 * Every error that this package raises. It never contains a token, a key or session data.
 *
 * - `missingParameter`, `invalidFormat`, `invalidValue`: bad input. Nothing was written.
 * - `timeout`: Redis did not answer within the engine's `timeout`, or the client could not connect in that time. A call
 *   that was not sent by then is never sent, and the `hint` says so. A call that was sent may still take effect.
 * - `unavailable`: the client has given up, `quit` was called, or Redis cannot serve now, for example while it loads its
 *   data. The `cause` says why. If the connection was lost after the call was sent, the call may have taken effect.
 * - `redisError`: Redis answered with an error, which is the `cause`.
 * - `tooManySessions`: the user has `maxPerUser` sessions, and `overflow` is "reject".
 * - `headersSent`: the middleware cannot set the cookie, because the response has begun.
 * - `crossSite`: the middleware refuses a sign-in that a page of another site sent.
 * - `impersonated`: an impersonated session can neither be confirmed nor get another ttl, nor be replaced by another
 *   impersonated one.
 *
 * docs/troubleshooting.md has a heading for each `code`.
 *
 * @example
 * try {
 *   await rs.get({ app: "webapp", token });
 * } catch (error) {
 *   if (error instanceof SessionError && error.code === "ERR_TIMEOUT") console.error(error.hint);
 *   throw error;
 * }
 */
export class SessionError extends Error {
  /** What went wrong, with the names of redis-sessions. */
  override readonly name: SessionErrorName;
  /** The same as `name`, in the style of Node's error codes. */
  readonly code: SessionErrorCode;
  /** How to solve it. Absent if the message says it. `stack` contains it too, so whatever prints the error shows it. */
  declare readonly hint?: string;
  /**
   * The HTTP status for Express and similar frameworks: 503 for `timeout` and `unavailable`, 409 for `tooManySessions`,
   * 403 for `crossSite` and `impersonated`. All other errors have none, so Express answers 500. Only the application
   * knows whether bad input is the user's fault or a bug.
   */
  declare readonly status?: 403 | 409 | 503;

  constructor(name: SessionErrorName, message: string, details: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = name;
    this.code = CODES[name];
    if (details.hint !== undefined) addHint(this, details.hint);
    const status = STATUS[name];
    if (status !== undefined) this.status = status;
  }

  /**
   * Returns what JSON.stringify writes, for answers and logs. Includes the message, which JSON.stringify leaves out of other
   * errors, and not the `cause`.
   */
  toJSON(): Pick<SessionError, "name" | "message" | "code" | "hint" | "status"> {
    const { name, message, code, hint, status } = this;
    return { name, message, code, ...(hint !== undefined && { hint }), ...(status !== undefined && { status }) };
  }
}

/**
 * Gives an error its hint, and puts it into the stack, which Express, console.log and Node print. The property is not
 * enumerable, because console.log would print it a second time.
 */
function addHint(error: SessionError, hint: string): void {
  // V8 formats a stack when it is first read, with the name and message of the object that it was captured for.
  const trace: { readonly name: string; readonly message: string; readonly stack?: string } = {
    name: error.name,
    message: `${error.message}\n  Hint: ${hint}`,
  };
  Error.captureStackTrace(trace, SessionError);
  // To redefine the property would format the old stack.
  delete error.stack;
  Object.defineProperties(error, {
    hint: { value: hint },
    stack: {
      get: () => trace.stack,
      set: (value) => Object.defineProperty(error, "stack", { value, writable: true }),
      configurable: true,
    },
  });
}

/** The error of a call after `quit`. */
export function quitWasCalled(): SessionError {
  return new SessionError("unavailable", "The engine is closed: quit() was called before this call");
}

/** Whether an error means that Redis cannot be reached or cannot serve. */
export function isOutage(error: unknown): error is SessionError {
  return error instanceof SessionError && error.status === 503;
}

/** Whether an error means that the call was refused and nothing was written. */
export function isRefusal(error: unknown): boolean {
  return error instanceof SessionError && REFUSALS.includes(error.name);
}

/** Whether an error means that Redis is out of memory. Nothing was written then. */
export function isOutOfMemory(error: unknown): boolean {
  return error instanceof SessionError && (error.cause as Error | undefined)?.message.startsWith("OOM ") === true;
}

const REFUSALS: readonly SessionErrorName[] = [
  "missingParameter",
  "invalidFormat",
  "invalidValue",
  "tooManySessions",
  "impersonated",
];

export function missingParameter(item: string, hint?: string): SessionError {
  return new SessionError("missingParameter", `No ${item} supplied`, { hint });
}

export function invalidFormat(item: string, hint: string): SessionError {
  return new SessionError("invalidFormat", `Invalid ${item} format`, { hint });
}

export function invalidValue(message: string, hint?: string): SessionError {
  return new SessionError("invalidValue", message, { hint });
}

/** Quotes untrusted text for a message: as JSON without control characters, cut to 40 characters. */
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

/** @param action what was refused: completes "An impersonated session cannot …" */
export function impersonated(action: string): SessionError {
  return new SessionError("impersonated", `An impersonated session cannot ${action}`);
}

/** @param path names the key, for a message */
export function notAnInteger(path: string): SessionError {
  return invalidValue(`increment: ${path} is not an integer`, "set it to an integer first, or remove it with null");
}

/** @param path names the key, for a message */
export function inexact(path: string): SessionError {
  return invalidValue(
    `increment: ${path} would exceed 2^53 - 1, the largest exact integer`,
    "set it to a smaller integer, or pass max",
  );
}

export function tooManySessions(max: number): SessionError {
  return new SessionError("tooManySessions", `The user has as many sessions as maxPerUser allows: ${max}`);
}

/**
 * Errors of a client and of Redis that mean that the connection is down, or that the server cannot serve or write now. The
 * codes: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors and Redis's server.c.
 */
const UNAVAILABLE =
  /^(LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|READONLY|NOREPLICAS|MISCONF|TRYAGAIN|Connection is closed|Stream isn't writeable|Reached the max retries|Failed to refresh slots|Command aborted|None of startup nodes|Cluster is|Too many Cluster redirections|All sentinels are unreachable|The client is |Disconnects client|Socket |The queue is full|Connection timeout|Command timeout during|Cannot find node|None of the sentinels|no valid master|All the root nodes|connect |read |write |getaddrinfo )/;

/** Errors of Redis 6 to 8 and Valkey for a missing right, and for a command that is renamed or disabled. */
const FORBIDDEN = /NOPERM|ACL failure|executing the script can't|unknown command/i;

/** The remedy for a change that Redis has made and refused to announce. */
const UNANNOUNCED =
  "the call took effect, so do not repeat it. The option events needs further rights, such as &rs:*, +publish and, for a stream, " +
  "+xadd: see docs/production.md#rights-acl";

/**
 * What an error of ioredis, Node or Redis means, and the remedy. The first pattern that matches counts. Most are errors of
 * a connection that cannot be opened.
 */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED/, "no server listens there: check that Redis runs, and check host and port"],
  [/ENOTFOUND|EAI_AGAIN/, "the host name cannot be resolved: check host and the DNS"],
  [
    /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/,
    "the host cannot be reached, or its port is one without TLS: check host, port, firewall and tls",
  ],
  [/ENOENT/, "there is no such Unix socket: check the path, and that Redis has a unixsocket"],
  [/EACCES/, "this process may not use the Unix socket: check Redis's unixsocketperm"],
  [/WRONGPASS|invalid password/, "the user name or the password is wrong: check username and password"],
  [/NOAUTH/, "Redis requires a password: pass password (and username) to the client, or put it in the URL"],
  [FORBIDDEN, "docs/production.md#rights-acl lists the commands and keys that the Redis user needs"],
  [/certificate required|handshake failure/, "the server requires a client certificate: pass cert and key in tls"],
  [
    /self.signed|certificate/i,
    "TLS does not trust the certificate: pass its ca in tls, and use the host name that it has",
  ],
  [
    /TLS|SSL/,
    "the port seems to be one without TLS: leave out the option tls, and use redis:// instead of rediss://, or check the port",
  ],
  [
    /ECONNRESET|EPIPE|closed before it was ready/,
    "the server closed the connection. If that always happens, check the port: it may need TLS (rediss:// or the option tls), or a client certificate (cert and key in tls)",
  ],
  [/RESP type|Protocol error/, "the server does not speak Redis's protocol, or speaks TLS: check host, port and tls"],
  [/DB index is out of range/, "the database does not exist: check db, or the number at the end of the URL"],
  [
    /cluster support disabled/,
    "the server is not part of a Cluster: pass new Redis(…), or use the command without --cluster",
  ],
  [/^(MOVED|ASK) /, "the server is a node of a Cluster: pass new Cluster([…]), or use the command with --cluster"],
  [
    /^(Connection is closed|The client is closed)/,
    "the client was closed, or has stopped trying: create a new client, and close it last",
  ],
  [/^[^ ]+: Connection is closed/, "no node of the Cluster can be reached: check the startup nodes, and tls"],
];

/** What an error of ioredis, Node or Redis means, and the remedy. Undefined if that is not known. */
export function hintOf({ message }: Error): string | undefined {
  return HINTS.find(([pattern]) => pattern.test(message))?.[1];
}

/** Whether an error means that the Redis user lacks a right. */
export function isForbidden(error: unknown): error is SessionError {
  return error instanceof SessionError && error.name === "redisError" && FORBIDDEN.test(error.message);
}

/**
 * Converts an error of a client to a SessionError. The `cause` is a copy without `command`, because the command's
 * arguments contain session data.
 * @param connectionError why the client is not connected, if that is known
 */
export function fromRedis(error: unknown, connectionError?: Error): SessionError {
  if (error instanceof SessionError) return error;
  const { name, message: full } = error instanceof Error ? error : new Error(String(error));
  const message = full
    // Redis 6 adds these prefixes to the error of a command in a script.
    .replace(/^(ERR Error running script .*?: |@user_script: \d+: )-/s, "")
    // For a forbidden or renamed command, Redis quotes its arguments, which are our keys.
    .replace(/, with args beginning with: .*/s, "");
  // See lua/include/announce.lua.
  const [, refused] = /\bUNANNOUNCED (.*)/s.exec(message) ?? [];
  if (refused !== undefined) {
    return new SessionError("redisError", `The change was made, but Redis refused to announce it: ${refused}`, {
      hint: UNANNOUNCED,
      cause: Object.assign(new Error(refused), { name }),
    });
  }
  const cause = Object.assign(new Error(message), { name });
  if (message === "Command timed out") return new SessionError("timeout", "Redis did not answer in time", { cause });
  if (UNAVAILABLE.test(message)) {
    const reason = connectionError ?? cause;
    return new SessionError("unavailable", "Redis is not available", { hint: hintOf(reason), cause: reason });
  }
  return new SessionError("redisError", `Redis answered with an error: ${message}`, { hint: hintOf(cause), cause });
}
