import type { IncomingMessage, ServerResponse } from "node:http";
import { stringifySetCookie } from "cookie";
import { sign, unsign } from "cookie-signature";
import { isToken, MAX_COOKIE_AGE } from "../engine/checks.js";
import { invalidValue } from "../errors.js";
import { BoundedMap, copyOf } from "../util/bounded-map.js";
import { omitUndefined } from "../util/objects.js";
import { isSecure } from "../util/origin.js";
import { aBoolean, anInteger, checkOptions, oneOf, textLike } from "../util/rules.js";
import { warnOfMilliseconds } from "../util/seconds.js";
import { warnOnce } from "../util/warn-once.js";
import { assertWritable, type Transport } from "./transport.js";

/** Options of the session cookie. */
export interface CookieOptions {
  /**
   * The name of the cookie. With a prefix, the other options must keep its rules: `__Secure-` and `__Http-` need `secure:
   * true`; `__Host-` and `__Host-Http-` also need `path: "/"` and no `domain`. Default "rs".
   */
  name?: string | undefined;
  /** The path that the cookie is sent to. Default "/". */
  path?: string | undefined;
  /** The domain whose hosts receive the cookie. Default: none, so that only this host receives it. */
  domain?: string | undefined;
  /** Whether requests from other sites send the cookie. Default "lax": not those by POST, which prevents CSRF. */
  sameSite?: "strict" | "lax" | "none" | undefined;
  /**
   * Whether the cookie is sent by HTTPS only. Default "auto": true if the request came by HTTPS (see Express's
   * `trust proxy`), or if browsers require it (`sameSite: "none"`, `partitioned`). A Secure cookie is not set if the
   * request came without HTTPS; the process emits a warning the first time.
   */
  secure?: boolean | "auto" | undefined;
  /** Whether the page's JavaScript cannot read the cookie. Default true. */
  httpOnly?: boolean | undefined;
  /**
   * Seconds that the browser keeps the cookie, from its last renewal; at most 400 days. The cookie is renewed with the
   * first use in each minute. A sign-in can choose another one: `req.rs.create(id, { maxAge })`. Default: until the
   * browser is closed.
   */
  maxAge?: number | undefined;
  /** Whether each top-level site gets its own copy of the cookie (CHIPS). Default false. */
  partitioned?: boolean | undefined;
  /** Chromium deletes cookies of low priority first if there are too many. Default: none. */
  priority?: "low" | "medium" | "high" | undefined;
}

/** A signed token: the token, a dot, and an HMAC-SHA256 in base64 without padding. */
const SIGNED = /^[A-Za-z0-9]{64}\.[A-Za-z0-9+/]{43}$/;

/**
 * How many cookies with our name are tried in one request. A valid cookie may follow others, for another path or for a
 * parent domain. The limit exists because each costs a signature check and a read.
 */
const MAX_TRIED = 4;

/** A cookie with our name and a valid signature. */
export interface Verified {
  readonly token: string;
  /** Whether it is signed with a secret other than the first, so that it must be signed again. */
  readonly isOutdated: boolean;
}

/** Reads, verifies and writes the signed session cookie. */
export class SessionCookie implements Transport {
  readonly name: string;
  readonly #options: ReturnType<typeof omitUndefined<Omit<CookieOptions, "maxAge">>>;
  readonly #maxAge: number | null;
  readonly #secrets: readonly string[];
  /** Matches a cookie with our name and any value. */
  readonly #anyValue: RegExp;
  /** Matches a cookie whose value may be a signed token, plain or percent-encoded. Runs in linear time on any text. */
  readonly #candidates: RegExp;
  /** Verified cookies by their value. Without this cache, verifying would take a large part of a request's time. */
  readonly #verified = new BoundedMap<Verified>();

  /** @throws SessionError `invalidValue` if an option is invalid, or the secret is missing */
  constructor(options: CookieOptions, secret: unknown) {
    checkCookieOptions(options);
    this.name = options.name ?? "rs";
    warnOfMilliseconds(this, "sessions: cookie.maxAge", options.maxAge);
    const { path = "/", sameSite = "lax", httpOnly = true, maxAge = null, ...others } = options;
    this.#options = omitUndefined({ ...others, path, sameSite, httpOnly });
    this.#maxAge = maxAge;
    this.#secrets = checkSecrets(secret);
    if ((this.#secrets[0] as string).length < MIN_SECRET) {
      warnOnce(
        this,
        "SHORT_SECRET",
        `The secret has fewer than ${MIN_SECRET} characters. With one cookie, it can be found by trying. Make a random one: ` +
          "node -p \"crypto.randomBytes(32).toString('hex')\". With secret: [new, old], nobody is signed out",
      );
    }
    const start = `(?:^|;)[ \\t]*${this.name.replace(/\W/g, "\\$&")}[ \\t]*=`;
    this.#anyValue = new RegExp(start);
    this.#candidates = new RegExp(`${start}[ \\t]*([\\w+/.%]{108,324})[ \\t]*(?=;|$)`, "g");
  }

  /**
   * Returns the valid cookies, in the order of the header, each token once. There may be several, for other paths or
   * for a parent domain; browsers send the one with the longest path first.
   */
  read(req: IncomingMessage): readonly Verified[] {
    const header = req.headers.cookie;
    if (header === undefined || !header.includes(this.name)) return NONE;
    const found: Verified[] = [];
    let tried = 0;
    const candidates = this.#candidates;
    candidates.lastIndex = 0;
    // Not matchAll, which copies the expression.
    for (let match = candidates.exec(header); match !== null; match = candidates.exec(header)) {
      const verified = this.#verify(decode(match[1] as string));
      const at = verified === undefined ? -1 : found.findIndex(({ token }) => token === verified.token);
      if (verified !== undefined) {
        if (at === -1) found.push(verified);
        else if (!verified.isOutdated) found[at] = verified;
      }
      if (++tried === MAX_TRIED) break;
    }
    return found;
  }

  /** Whether the request has a cookie with our name, valid or not. */
  isIn(req: IncomingMessage): boolean {
    return this.#anyValue.test(req.headers.cookie ?? "");
  }

  /**
   * Returns how long the browser keeps a cookie: seconds, or null until it is closed.
   * @param own what the session was created with; undefined for the middleware's default
   */
  maxAgeOf(own: number | null | undefined): number | null {
    return own === undefined ? this.#maxAge : own;
  }

  /** Sets the cookie. Without a token, clears it. */
  write(
    req: IncomingMessage,
    res: ServerResponse,
    token: string | undefined,
    maxAge?: number | null | undefined,
  ): void {
    assertWritable(res);
    const { secure: option = "auto", sameSite, partitioned } = this.#options;
    const secure = option === "auto" ? isSecure(req) || sameSite === "none" || partitioned === true : option;
    if (secure && !isSecure(req)) {
      warnOnce(
        this,
        "INSECURE_REQUEST",
        `The cookie "${this.name}" is Secure, but the request did not use HTTPS, so the cookie is not set. ` +
          'If a proxy terminates TLS: in Express, app.set("trust proxy", 1); in Fastify, Fastify({ trustProxy: "loopback" }) ' +
          "or the address of the proxy; in Connect and node:http, set req.secure before the middleware",
      );
      return;
    }
    const age = token === undefined ? 0 : this.maxAgeOf(maxAge);
    const cookie = stringifySetCookie({
      ...this.#options,
      name: this.name,
      secure,
      value: token === undefined ? "" : sign(token, this.#secrets[0] as string),
      ...(age === null ? {} : { maxAge: age }),
    });
    const others = [res.getHeader("Set-Cookie") ?? []].flat().map(String);
    res.setHeader("Set-Cookie", [...others.filter((other) => !other.startsWith(`${this.name}=`)), cookie]);
  }

  #verify(value: string): Verified | undefined {
    const cached = this.#verified.get(value);
    if (cached !== undefined) return cached;
    if (!SIGNED.test(value)) return undefined;
    // A substring would keep the whole header in memory for as long as it is cached.
    const copy = copyOf(value);
    for (const [i, secret] of this.#secrets.entries()) {
      const token = unsign(copy, secret);
      if (!isToken(token)) continue;
      const verified = { token, isOutdated: i > 0 };
      this.#verified.set(copy, verified);
      return verified;
    }
    return undefined;
  }
}

const NONE: readonly Verified[] = [];

/** Decodes a percent-encoded value. Returns an empty text if it is malformed. */
function decode(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return "";
  }
}

/** Labels of letters, digits and inner hyphens (RFC 1034, 3.5), as the package cookie accepts them. */
const DOMAIN = /^\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i;

/**
 * Characters. A key of HMAC-SHA256 should not be shorter than the hash, which has 32 bytes (RFC 2104, 3). @fastify/session
 * has the same limit.
 */
const MIN_SECRET = 32;

function checkSecrets(secret: unknown): string[] {
  const secrets = [secret ?? []].flat();
  if (secrets.length === 0 || secrets.some((one) => typeof one !== "string" || one === "")) {
    throw invalidValue(
      "sessions needs a secret to sign its cookie: a long random string, or a list (the first signs, all verify)",
    );
  }
  return secrets as string[];
}

function checkCookieOptions(options: CookieOptions): void {
  checkOptions("cookie", options, {
    name: textLike("a cookie name: letters, digits and !#$%&'*+-.^_`|~", /^[\w!#$%&'*+.^`|~-]+$/),
    path: textLike('a path: "/…"', /^\/[ -:=-~]*$/),
    domain: textLike('a domain: "example.com"', DOMAIN),
    sameSite: oneOf("strict", "lax", "none"),
    secure: oneOf(true, false, "auto"),
    httpOnly: aBoolean,
    maxAge: { ...anInteger(1, MAX_COOKIE_AGE), be: `seconds, an integer from 1 to ${MAX_COOKIE_AGE}` },
    partitioned: aBoolean,
    priority: oneOf("low", "medium", "high"),
  });
  const { name = "rs", path = "/", domain, sameSite, secure, httpOnly = true, partitioned } = options;
  if (/^__(Host|Secure|Http)-/i.test(name) && secure !== true) {
    throw invalidValue(`cookie: browsers accept "${name}" only with secure: true`);
  }
  if (/^__(Host-)?Http-/i.test(name) && !httpOnly) {
    throw invalidValue(`cookie: browsers accept "${name}" only with httpOnly: true`);
  }
  // Also __Host-Http-, which has the rules of both.
  if (/^__Host-/i.test(name) && (path !== "/" || domain !== undefined)) {
    throw invalidValue(`cookie: browsers accept "${name}" only with path "/" and without domain`);
  }
  if ((sameSite === "none" || partitioned === true) && secure === false) {
    throw invalidValue('cookie: browsers accept sameSite "none" and partitioned only with secure');
  }
}
