import type { IncomingMessage, ServerResponse } from "node:http";
import { parseCookie, stringifySetCookie } from "cookie";
import { sign, unsign } from "cookie-signature";
import { invalidValue, SessionError } from "../engine/errors.js";
import { aBoolean, anInteger, checkOptions, oneOf, text } from "../engine/options.js";
import { isToken } from "../engine/validate.js";
import { isSecure } from "./request.js";

/** How the token travels in a cookie. */
export interface CookieOptions {
  /** The cookie's name. Default "rs". */
  name?: string;
  /** Default "/". */
  path?: string;
  /** Default: none, so that the cookie goes to this host only. */
  domain?: string;
  /** Default "lax": the cookie stays away from POST requests of other sites, and so does CSRF. */
  sameSite?: "strict" | "lax" | "none";
  /** Whether the cookie travels by HTTPS only. Default "auto": when the request did (see Express's `trust proxy`). */
  secure?: boolean | "auto";
  /** Whether it is kept from the page's JavaScript. Default true. */
  httpOnly?: boolean;
  /** Seconds that the browser keeps the cookie. Default: until the browser is closed. */
  maxAge?: number;
  /** Keeps the cookie apart for each top-level site (CHIPS). Default false. */
  partitioned?: boolean;
  /** Which cookies a full jar gives up first (Chromium). Default: none. */
  priority?: "low" | "medium" | "high";
}

/** A token of the right form, a dot, and an HMAC-SHA256 as base64 without padding. Anything else is no cookie of ours. */
const SIGNED = /^[A-Za-z0-9]{64}\.[A-Za-z0-9+/]{43}$/;

/** Reads and writes the signed cookie. */
export class SessionCookie {
  readonly #options: CookieOptions;
  readonly #name: string;
  readonly #secrets: readonly string[];

  constructor(options: CookieOptions, secret: string | readonly string[] | undefined) {
    checkOptions("cookie", options, {
      name: { be: "a cookie name: letters, digits, - and _", test: (name) => /^[\w-]+$/.test(String(name)) },
      path: text,
      domain: text,
      sameSite: oneOf("strict", "lax", "none"),
      secure: oneOf(true, false, "auto"),
      httpOnly: aBoolean,
      maxAge: anInteger(1),
      partitioned: aBoolean,
      priority: oneOf("low", "medium", "high"),
    });
    this.#options = { path: "/", sameSite: "lax", secure: "auto", httpOnly: true, ...options };
    this.#name = options.name ?? "rs";
    this.#secrets = [secret ?? []].flat();
    if (this.#secrets.length === 0 || this.#secrets.some((one) => typeof one !== "string" || one === "")) {
      throw invalidValue(
        "sessions needs a secret to sign its cookie: a long random string, or a list whose first signs and all verify",
      );
    }
  }

  /** The token of the first cookie of our name that verifies. */
  read(req: IncomingMessage): string | undefined {
    const header = req.headers.cookie;
    if (header === undefined || !header.includes(this.#name)) return undefined;
    // One by one: a name that comes twice (another path, a parent domain) would hide the second.
    for (const pair of header.split(";")) {
      const value = parseCookie(pair)[this.#name];
      const token = value === undefined ? undefined : this.#verify(value);
      if (token !== undefined) return token;
    }
    return undefined;
  }

  write(req: IncomingMessage, res: ServerResponse, token: string): void {
    this.#set(req, res, sign(token, this.#secrets[0] as string), this.#options.maxAge);
  }

  clear(req: IncomingMessage, res: ServerResponse): void {
    this.#set(req, res, "", 0);
  }

  #verify(value: string): string | undefined {
    if (!SIGNED.test(value)) return undefined;
    for (const secret of this.#secrets) {
      const token = unsign(value, secret);
      if (isToken(token)) return token;
    }
    return undefined;
  }

  /** @throws SessionError `headersSent` when it is too late for a cookie */
  assertSettable(res: ServerResponse): void {
    if (!res.headersSent) return;
    throw new SessionError(
      "headersSent",
      "The session's cookie cannot be set any more: the response has begun. Call create and kill before you send.",
    );
  }

  #set(req: IncomingMessage, res: ServerResponse, value: string, maxAge: number | undefined): void {
    this.assertSettable(res);
    const { secure, ...options } = this.#options;
    const cookie = stringifySetCookie({
      ...options,
      name: this.#name,
      value,
      secure: secure === "auto" ? isSecure(req) : (secure ?? false),
      ...(maxAge !== undefined && { maxAge }),
    });
    const others = [res.getHeader("Set-Cookie") ?? []].flat().map(String);
    res.setHeader("Set-Cookie", [...others.filter((other) => !other.startsWith(`${this.#name}=`)), cookie]);
  }
}
