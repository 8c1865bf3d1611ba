import type { IncomingMessage, ServerResponse } from "node:http";
import { anEngine, type RedisSessions } from "../engine/engine.js";
import { OPTIONS_OF_ENGINE } from "../engine/options.js";
import { invalidValue } from "../errors.js";
import type { DefaultData, Limits, Session } from "../types.js";
import { aFunction, checkOptions, type OptionsOwner, oneOf, type Rule, textLike } from "../util/rules.js";
import type { CookieOptions } from "./cookie.js";

/**
 * A function that returns the app of a request: 3 to 20 characters of `A-Z a-z 0-9 _ -`. If it returns undefined, the
 * request has no session. Its parameter may have a narrower type, such as Express's Request.
 */
export type AppOf = {
  /** Returns the app of the request, or a promise of it. Returns undefined if the request has no session. */
  of(req: IncomingMessage): string | undefined | Promise<string | undefined>;
}["of"];

/** Where a session is used. */
export interface Use {
  /** The user's address. */
  ip: string;
  /** What the user uses, such as "Firefox on Windows". Absent if it is unknown. */
  device?: string;
}

/** A change of where a session is used. */
export interface ChangedUse<Data = DefaultData> {
  /** The app that the session belongs to. */
  app: string;
  /** The session, as it was before this use. */
  session: Session<Data>;
  /** The last use before this one. */
  from: Use;
  /** This use. */
  to: Use;
}

/** Options of `sessions()`. */
export interface SessionsOptions<Data extends object = DefaultData, App extends string | AppOf = string | AppOf>
  extends Limits {
  /** The engine that stores the sessions. */
  rs: RedisSessions<Data>;
  /**
   * The app that the sessions belong to, or a function that returns the app of a request (one server, many tenants).
   */
  app: App;
  /**
   * The secret that signs the cookie: a long random string. Of a list the first signs and all verify, so that you can
   * replace a secret without signing users out. Required unless `cookie` is false or `write` is set.
   */
  secret?: string | readonly string[] | undefined;
  /**
   * Options of the cookie that carries the token, or false for no cookie. Default: a cookie named "rs"; none with
   * `write`.
   */
  cookie?: CookieOptions | false | undefined;
  /**
   * The header that carries the token: true for `Authorization: Bearer …` (RFC 6750), or a header's name. A token in
   * the header takes precedence over the cookie. Default: none.
   */
  header?: true | string | undefined;
  /** Returns the token of a request, if it comes in another way. Called before the header and the cookie are read. */
  read?(req: IncomingMessage): string | undefined;
  /**
   * Sends the token to the browser in another way than the cookie. `token` is undefined if the browser must drop it.
   * Needs `read`.
   */
  write?(res: ServerResponse, token: string | undefined): void;
  /**
   * Returns the name of the user's device, at most 64 characters. Default: from the User-Agent, "Firefox on Windows".
   */
  device?(req: IncomingMessage): string | undefined;
  /**
   * Called when a session is used from another address or device than the last time, at most once a minute for each session.
   * `req.rs.get()` waits for it, and rejects if it throws. If it ends the session with `req.rs.kill()`, `get` returns null.
   * Default: nothing happens.
   */
  onChange?(change: ChangedUse<Data>, req: IncomingMessage): void | Promise<unknown>;
  /**
   * What `get` does while Redis cannot be reached: "error" rejects with a SessionError whose `status` is 503,
   * "anonymous" returns null. Writes reject in either case. Default "error".
   */
  onOutage?: "error" | "anonymous" | undefined;
}

const aHeader = textLike("true or the name of a header", /^[\w-]+$/);

/** For options that other functions check. */
const anything: Rule = { be: "anything", test: () => true };

const COOKIE_OPTIONS: readonly (keyof CookieOptions)[] = [
  "name",
  "path",
  "domain",
  "sameSite",
  "secure",
  "httpOnly",
  "maxAge",
  "partitioned",
  "priority",
];

const SESSIONS: OptionsOwner = {
  name: "sessions",
  call: 'app.use(sessions({ rs, app: "webapp", secret }))',
  elsewhere: {
    ...OPTIONS_OF_ENGINE,
    ...Object.fromEntries(COOKIE_OPTIONS.map((name) => [name, `It belongs in cookie: { ${name} }`])),
    store: "The engine is the store: rs: new RedisSessions({ client })",
  },
};

/** Checks the options of `sessions()`, except the limits, the app and those of the cookie. */
export function checkSessionsOptions(options: SessionsOptions<never>): void {
  checkOptions(SESSIONS, options, {
    rs: anEngine,
    app: anything,
    secret: anything,
    cookie: { be: "an object or false", test: (cookie) => cookie === false || typeof cookie === "object" },
    header: { ...aHeader, test: (name) => name === true || aHeader.test(name) },
    read: aFunction,
    write: aFunction,
    device: aFunction,
    onChange: aFunction,
    onOutage: oneOf("error", "anonymous"),
    ttl: anything,
    absolute: anything,
    maxPerUser: anything,
    overflow: anything,
  });
  const { rs, cookie, header, read, write } = options;
  if (rs === undefined) throw invalidValue("sessions needs rs, an engine: new RedisSessions(…)");
  if (cookie === false && header === undefined && read === undefined) {
    throw invalidValue("sessions needs a source for the token: cookie, header or read");
  }
  if (write !== undefined && read === undefined) throw invalidValue("sessions: write needs read");
  if (write !== undefined && cookie !== undefined && cookie !== false) {
    throw invalidValue("sessions takes write or cookie, but not both");
  }
}
