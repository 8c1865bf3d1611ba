import type { IncomingMessage, ServerResponse } from "node:http";
import { anEngine, type RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import type { DefaultData, Limits } from "../types.js";
import { aFunction, checkOptions, oneOf, type Rule, textLike } from "../util/rules.js";

import type { CookieOptions } from "./cookie.js";

/**
 * The app of a request: 3 to 20 of `A-Z a-z 0-9 _ -`. Undefined for a request that has no session. (As all functions
 * here it may ask for more than an IncomingMessage, such as an Express request; TypeScript allows that of a method.)
 */
export type AppOf = {
  /** Returns the app of the request, or a promise of it; undefined for a request that has no session. */
  of(req: IncomingMessage): string | undefined | Promise<string | undefined>;
}["of"];

export interface SessionsOptions<Data extends object = DefaultData, App extends string | AppOf = string | AppOf>
  extends Limits {
  /** The engine. */
  rs: RedisSessions<Data>;
  /** The app that the sessions belong to, or a function of the request, where one server serves many tenants. */
  app: App;
  /**
   * What signs the cookie: a long random string. With a list the first signs and all verify, so that a secret can be
   * replaced without signing anybody out. Required unless `cookie` is false, or there is `write`.
   */
  secret?: string | readonly string[] | undefined;
  /** The token in a cookie; false for none. Default: a cookie named "rs", or none where there is `write`. */
  cookie?: CookieOptions | false | undefined;
  /**
   * The token in a header: true for `Authorization: Bearer …` (RFC 6750), or the header's name. It goes before the
   * cookie. Default: none.
   */
  header?: true | string | undefined;
  /** Where else the token comes from; asked first. Default: nowhere. */
  read?(req: IncomingMessage): string | undefined;
  /** How else the token goes to the browser, instead of the cookie; undefined when it is to be forgotten. */
  write?(res: ServerResponse, token: string | undefined): void;
  /** What the user signs in with, up to 64 characters. Default: from the User-Agent, "Firefox on Windows". */
  device?(req: IncomingMessage): string | undefined;
  /**
   * What `get` does while Redis is away: "error" rejects with a SessionError whose `status` is 503, "anonymous" gives
   * null. Writing rejects in either case. Default "error".
   */
  onOutage?: "error" | "anonymous" | undefined;
}

const aHeader = textLike("true or the name of a header", /^[\w-]+$/);

const anything: Rule = { be: "given", test: () => true };

/** Checks what is not checked where it is used. */
export function checkSessionsOptions(options: SessionsOptions<never>): void {
  checkOptions("sessions", options, {
    rs: anEngine,
    app: anything,
    secret: anything,
    cookie: { be: "an object or false", test: (cookie) => cookie === false || typeof cookie === "object" },
    header: { ...aHeader, test: (name) => name === true || aHeader.test(name) },
    read: aFunction,
    write: aFunction,
    device: aFunction,
    onOutage: oneOf("error", "anonymous"),
    ttl: anything,
    absolute: anything,
    maxPerUser: anything,
    overflow: anything,
  });
  const { rs, cookie, header, read, write } = options;
  if (rs === undefined) throw invalidValue("sessions needs rs, an engine: new RedisSessions(…)");
  if (cookie === false && header === undefined && read === undefined) {
    throw invalidValue("sessions needs a way for the token to come: a cookie, a header, or read");
  }
  if (write !== undefined && read === undefined) throw invalidValue("sessions: write goes with read");
  if (write !== undefined && cookie !== undefined && cookie !== false) {
    throw invalidValue("sessions: the token goes with write, or in a cookie, but not both");
  }
}
