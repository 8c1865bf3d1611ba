import type { IncomingMessage, ServerResponse } from "node:http";
import { stringifySetCookie } from "cookie";
import { sign, unsign } from "cookie-signature";
import { isToken } from "../engine/checks.js";
import { invalidValue } from "../errors.js";
import { BoundedMap, copyOf } from "../util/bounded-map.js";
import { omitUndefined } from "../util/objects.js";
import { aBoolean, anInteger, checkOptions, oneOf, textLike } from "../util/rules.js";
import { isSecure } from "./request.js";
import { assertWritable, type Transport } from "./transport.js";

/** How the token travels in a cookie. */
export interface CookieOptions {
  /** The cookie's name. The prefixes `__Host-` and `__Secure-` are held to their rules (RFC 6265bis). Default "rs". */
  name?: string | undefined;
  /** Default "/". */
  path?: string | undefined;
  /** Default: none, so that the cookie goes to this host only. */
  domain?: string | undefined;
  /** Default "lax": the cookie stays away from POST requests of other sites, and so does CSRF. */
  sameSite?: "strict" | "lax" | "none" | undefined;
  /**
   * Whether the cookie travels by HTTPS only. Default "auto": when the request did (see Express's `trust proxy`), and
   * where browsers insist on it (`sameSite: "none"`, `partitioned`). Such a cookie is not set on a request that came
   * without HTTPS; the first time, a warning says so.
   */
  secure?: boolean | "auto" | undefined;
  /** Whether it is kept from the page's JavaScript. Default true. */
  httpOnly?: boolean | undefined;
  /** Seconds that the browser keeps the cookie after its last use, at most 400 days. Default: until it is closed. */
  maxAge?: number | undefined;
  /** Keeps the cookie apart for each top-level site (CHIPS). Default false. */
  partitioned?: boolean | undefined;
  /** Which cookies a full jar gives up first (Chromium). Default: none. */
  priority?: "low" | "medium" | "high" | undefined;
}

/** A token of the right form, a dot, and an HMAC-SHA256 as base64 without padding. All else is no cookie of ours. */
const SIGNED = /^[A-Za-z0-9]{64}\.[A-Za-z0-9+/]{43}$/;

/**
 * How many cookies of our name are tried in one request: a good one may stand behind those of another path or of a
 * parent domain, and each costs a signature and a read.
 */
const MAX_TRIED = 4;

/** A cookie of our name whose signature is good. */
export interface Verified {
  readonly token: string;
  /** Whether a secret has signed it that is about to be dropped: another than the first of the list. */
  readonly isOutdated: boolean;
}

/** The signed cookie. */
export class SessionCookie implements Transport {
  readonly name: string;
  readonly maxAge: number | undefined;
  readonly #options: ReturnType<typeof omitUndefined<CookieOptions>>;
  readonly #secrets: readonly string[];
  /** Finds a cookie of our name, whatever its value. */
  readonly #ours: RegExp;
  /** Finds those whose value may be a signed token, as it is or percent-encoded. Takes linear time on any text. */
  readonly #candidates: RegExp;
  /** Cookies that are known by heart: to verify one costs as much as a good part of its request. */
  readonly #verified = new BoundedMap<Verified>();
  #warned = false;

  /** @throws SessionError `invalidValue` for bad options, or without a secret */
  constructor(options: CookieOptions, secret: unknown) {
    checkCookieOptions(options);
    this.name = options.name ?? "rs";
    this.maxAge = options.maxAge;
    const { path = "/", sameSite = "lax", httpOnly = true } = options;
    this.#options = omitUndefined({ ...options, path, sameSite, httpOnly });
    this.#secrets = checkSecrets(secret);
    const ours = `(?:^|;)[ \\t]*${this.name}[ \\t]*=`;
    this.#ours = new RegExp(ours);
    this.#candidates = new RegExp(`${ours}[ \\t]*([\\w+/.%]{108,324})[ \\t]*(?=;|$)`, "g");
  }

  /**
   * The cookies of our name that verify, in the order of the header, each token once. Another path or a parent domain may
   * have set one, too, and browsers send the one with the longest path first.
   */
  read(req: IncomingMessage): readonly Verified[] {
    const header = req.headers.cookie;
    if (header === undefined || !header.includes(this.name)) return NONE;
    const found: Verified[] = [];
    let tried = 0;
    for (const [, value = ""] of header.matchAll(this.#candidates)) {
      const verified = this.#verify(decode(value));
      const at = verified === undefined ? -1 : found.findIndex(({ token }) => token === verified.token);
      if (verified !== undefined) {
        if (at === -1) found.push(verified);
        else if (!verified.isOutdated) found[at] = verified;
      }
      if (++tried === MAX_TRIED) break;
    }
    return found;
  }

  /** Whether the request has a cookie of our name, be it good or bad. */
  isIn(req: IncomingMessage): boolean {
    return this.#ours.test(req.headers.cookie ?? "");
  }

  write(req: IncomingMessage, res: ServerResponse, token: string | undefined): void {
    assertWritable(res);
    const { secure: wanted = "auto", sameSite, partitioned } = this.#options;
    const secure = wanted === "auto" ? isSecure(req) || sameSite === "none" || partitioned === true : wanted;
    if (secure && !isSecure(req)) {
      this.#warn();
      return;
    }
    const cookie = stringifySetCookie({
      ...this.#options,
      name: this.name,
      secure,
      ...(token === undefined ? { value: "", maxAge: 0 } : { value: sign(token, this.#secrets[0] as string) }),
    });
    const others = [res.getHeader("Set-Cookie") ?? []].flat().map(String);
    res.setHeader("Set-Cookie", [...others.filter((other) => !other.startsWith(`${this.name}=`)), cookie]);
  }

  #verify(value: string): Verified | undefined {
    const known = this.#verified.get(value);
    if (known !== undefined) return known;
    if (!SIGNED.test(value)) return undefined;
    const own = copyOf(value);
    for (const [i, secret] of this.#secrets.entries()) {
      const token = unsign(own, secret);
      if (!isToken(token)) continue;
      const verified = { token, isOutdated: i > 0 };
      this.#verified.set(own, verified);
      return verified;
    }
    return undefined;
  }

  #warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(
      `The cookie "${this.name}" is Secure, but the request did not come by HTTPS, so it is not set. ` +
        "Behind a proxy that ends TLS, tell Express: app.set('trust proxy', 1); without Express, set req.secure.",
      { type: "IoredisSessionsWarning", code: "INSECURE_REQUEST" },
    );
  }
}

const NONE: readonly Verified[] = [];

function decode(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return "";
  }
}

/** Labels of letters, digits and inner hyphens (RFC 1034, 3.5), as the package cookie takes them. */
const DOMAIN = /^\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i;

function checkSecrets(secret: unknown): string[] {
  const secrets = [secret ?? []].flat();
  if (secrets.length === 0 || secrets.some((one) => typeof one !== "string" || one === "")) {
    throw invalidValue(
      "sessions needs a secret to sign its cookie: a long random string, or a list whose first signs and all verify",
    );
  }
  return secrets as string[];
}

/** 400 days, in seconds: browsers keep no cookie longer (RFC 6265bis). What is more was meant to be milliseconds. */
const MAX_AGE = 400 * 86_400;

function checkCookieOptions(options: CookieOptions): void {
  checkOptions("cookie", options, {
    name: textLike("a cookie name: letters, digits, - and _", /^[\w-]+$/),
    path: textLike('a path: "/…"', /^\/[ -:=-~]*$/),
    domain: textLike('a domain: "example.com"', DOMAIN),
    sameSite: oneOf("strict", "lax", "none"),
    secure: oneOf(true, false, "auto"),
    httpOnly: aBoolean,
    maxAge: { ...anInteger(1, MAX_AGE), be: `seconds, an integer from 1 to ${MAX_AGE}` },
    partitioned: aBoolean,
    priority: oneOf("low", "medium", "high"),
  });
  const { name = "rs", path = "/", domain, sameSite, secure, partitioned } = options;
  if (/^__(Host|Secure)-/i.test(name) && secure !== true) {
    throw invalidValue(`cookie: browsers take "${name}" with secure: true only`);
  }
  if (/^__Host-/i.test(name) && (path !== "/" || domain !== undefined)) {
    throw invalidValue(`cookie: browsers take "${name}" with path "/" and without domain only`);
  }
  if ((sameSite === "none" || partitioned === true) && secure === false) {
    throw invalidValue('cookie: browsers take sameSite "none" and partitioned with secure only');
  }
}
