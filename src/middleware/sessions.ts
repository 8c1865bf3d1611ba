import type { IncomingMessage, ServerResponse } from "node:http";
import { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../engine/errors.js";
import { checkOptions, type Rule } from "../engine/options.js";
import type { DefaultData } from "../engine/types.js";
import { checkApp, checkSeconds } from "../engine/validate.js";
import { type Admin, adminOf } from "./admin.js";
import { type CookieOptions, SessionCookie } from "./cookie.js";
import { readHeader } from "./header.js";
import { RequestSession } from "./request-session.js";

export interface SessionsOptions<Data extends object = DefaultData> {
  /** The engine. */
  rs: RedisSessions<Data>;
  /** The app that the sessions belong to: 3 to 20 of `A-Z a-z 0-9 _ -`. */
  app: string;
  /**
   * What signs the cookie: a long random string. With a list the first signs and all verify, so that a secret can be
   * replaced without signing anybody out. Required unless `cookie` is false.
   */
  secret?: string | readonly string[];
  /** The token in a cookie; false for none. Default: a cookie named "rs". */
  cookie?: CookieOptions | false;
  /**
   * The token in a header: true for `Authorization: Bearer …`, or the header's name. It goes before the cookie.
   * Default: none.
   */
  header?: true | string;
  /** Seconds that a session may rest, unless `create` says otherwise; at least 10. Default: the engine's 7200. */
  ttl?: number;
}

/** Middleware for Express, Connect and node:http that attaches `req.rs`. */
export interface Sessions<Data extends object = DefaultData> {
  (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void;
  /** Lists, counts and ends the app's sessions. */
  readonly admin: Admin<Data>;
}

const anything: Rule = { be: "given", test: () => true };

/**
 * Makes the middleware.
 *
 * @throws SessionError `missingParameter`, `invalidFormat`, `invalidValue` for options that are missing, misspelt or bad
 */
export function sessions<Data extends object = DefaultData>(options: SessionsOptions<Data>): Sessions<Data> {
  checkOptions("sessions", options, {
    rs: { be: "an engine: new RedisSessions(…)", test: (rs) => rs instanceof RedisSessions },
    app: anything,
    secret: anything,
    cookie: { be: "an object or false", test: (cookie) => cookie === false || typeof cookie === "object" },
    header: { be: "true or the name of a header", test: (header) => header === true || typeof header === "string" },
    ttl: anything,
  });
  const { rs, secret, header } = options;
  if (rs === undefined) throw invalidValue("sessions needs rs, an engine: new RedisSessions(…)");
  const app = checkApp(options.app);
  const ttl = options.ttl === undefined ? undefined : checkSeconds("ttl", options.ttl);
  const cookie = options.cookie === false ? undefined : new SessionCookie(options.cookie ?? {}, secret);
  if (cookie === undefined && header === undefined) {
    throw invalidValue("sessions needs a way for the token to travel: cookie, header, or both");
  }

  function readToken(req: IncomingMessage): string | undefined {
    return (header === undefined ? undefined : readHeader(req, header)) ?? cookie?.read(req);
  }

  function ioredisSessions(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void {
    const session = new RequestSession<Data>({ rs, app, cookie, ttl, req, res }, readToken(req));
    Object.assign(req, { rs: session });
    next();
  }

  return Object.assign(ioredisSessions, { admin: adminOf(rs, app) });
}
