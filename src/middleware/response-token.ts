import type { IncomingMessage, ServerResponse } from "node:http";
import onHeaders from "on-headers";
import { refOf } from "../sessions/token.js";
import type { Session } from "../types.js";
import type { SessionCookie } from "./cookie.js";
import { assertWritable, isWritable, type Transport } from "./transport.js";

/** How the tokens of one middleware reach browsers. */
export interface Channels {
  /** Writes the token: the cookie, or the option `write`. Undefined if the app hands the token out itself. */
  readonly transport: Transport | undefined;
  readonly cookie: SessionCookie | undefined;
}

/** Sets, renews and clears the token of one response. */
export class ResponseToken {
  readonly #channels: Channels;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  /** The cookie, if the request's token came in it or the request has no token. */
  #cookie: SessionCookie | undefined;
  /** Whether the request's cookie is signed with a secret other than the first. */
  #isOutdated = false;
  /**
   * The cookie to set when the headers are sent: a token, or undefined to clear it. A call that writes at once drops
   * it.
   */
  #pending: { readonly token: string | undefined; readonly maxAge?: number | null | undefined } | undefined;
  /** Whether the listener that writes `#pending` is registered. */
  #isListening = false;

  /** @param cookie undefined if the request's token came in another way */
  constructor(channels: Channels, req: IncomingMessage, res: ServerResponse, cookie: SessionCookie | undefined) {
    this.#channels = channels;
    this.#req = req;
    this.#res = res;
    this.#cookie = cookie;
  }

  /** Sets which of the request's cookies the session comes from. */
  setSource(cookie: { readonly isOutdated: boolean } | undefined): void {
    this.#isOutdated = cookie?.isOutdated ?? false;
  }

  /** Whether the request's token came in the cookie, or the request has no token. */
  get isByCookie(): boolean {
    return this.#cookie !== undefined;
  }

  /** @throws SessionError `headersSent` if the token can no longer be set or cleared */
  assertWritable(): void {
    if (this.#channels.transport !== undefined) assertWritable(this.#res);
  }

  /**
   * Sets a new token at once.
   * @param maxAge what the session was created with
   * @throws SessionError `headersSent` if the response has begun
   */
  setToken(token: string, maxAge: number | null | undefined): void {
    this.#pending = undefined;
    this.#channels.transport?.write(this.#req, this.#res, token, maxAge);
    this.#cookie = this.#channels.cookie;
    this.#isOutdated = false;
  }

  /**
   * Clears the token at once. Does nothing if the response has begun, or if the token came in a header: then the cookie
   * belongs to another session.
   */
  clear(): void {
    this.#pending = undefined;
    const { transport, cookie } = this.#channels;
    const isSameWay = transport !== cookie || this.isByCookie;
    if (isSameWay && isWritable(this.#res)) transport?.write(this.#req, this.#res, undefined);
  }

  /** Clears the cookie when the headers are sent. */
  clearLater(): void {
    this.#writeLater(undefined);
  }

  /** Clears a cookie that did not verify when the headers are sent. Call it if the request has no token. */
  clearInvalidLater(): void {
    if (this.#cookie?.isIn(this.#req)) this.clearLater();
  }

  /**
   * Sends the cookie again when the headers are sent, if it is signed with an old secret, or if it has a `maxAge` and
   * is due (see isRenewalDue).
   */
  renew(session: Session<unknown>, token: string): void {
    const cookie = this.#cookie;
    if (cookie === undefined) return;
    const maxAge = cookie.maxAgeOf(session.maxAge);
    const isDue = maxAge !== null && isRenewalDue(maxAge, session);
    if (!isDue && !this.#isOutdated) return;
    // If another request has rotated the session, the browser has a newer token, or is about to receive one. Keep that.
    if (session.ref === refOf(token)) this.#writeLater(token, maxAge);
  }

  /**
   * Sets or clears the cookie when the headers are sent. Skips a response that a shared cache may store, because the
   * app did not ask for this cookie. Most handlers set Cache-Control after they have loaded the session, so it is read
   * then.
   */
  #writeLater(token: string | undefined, maxAge?: number | null): void {
    if (this.#cookie === undefined || !isWritable(this.#res)) return;
    this.#pending = { token, maxAge };
    if (this.#isListening) return;
    this.#isListening = true;
    onHeaders(this.#res, () => {
      if (this.#pending === undefined || mayBeShared(this.#res)) return;
      this.#cookie?.write(this.#req, this.#res, this.#pending.token, this.#pending.maxAge);
    });
  }
}

/** How often a cookie with `maxAge` is sent again, in ms. */
const RENEWAL_INTERVAL = 60_000;

/**
 * Whether a cookie with `maxAge` must be sent again: with the first use in each minute of the session's age, so that
 * not every response sets a cookie. If `maxAge` is under two minutes, half of it replaces the minute.
 * @param maxAge seconds
 */
export function isRenewalDue(maxAge: number, { created, idle }: Session<unknown>): boolean {
  // Redis stores the last use in seconds. Of many uses in one second, each would count as the first.
  if (idle === 0) return false;
  const interval = Math.min(RENEWAL_INTERVAL, (maxAge * 1000) / 2);
  const age = Date.now() - created;
  // `idle` is rounded down, so add a second. Sending the cookie twice is harmless, skipping a minute is not.
  const ageAtLastUse = age - (idle + 1) * 1000;
  return Math.floor(age / interval) > Math.floor(ageAtLastUse / interval);
}

/**
 * Whether the response's headers let a shared cache store it (RFC 9111, 3): `public`, `s-maxage`, a `max-age` above 0
 * without `private` or `no-store`, or without any of these an `Expires` in the future. Set-Cookie does not prevent that
 * (7.3), and the cache would send the cookie to other visitors.
 *
 * Without Cache-Control, or with `no-cache`, a cache may also store the response. Caches in use do not, if the response
 * sets a cookie; and a site without these headers could otherwise never renew one.
 */
export function mayBeShared(res: ServerResponse): boolean {
  const control = String(res.getHeader("Cache-Control") ?? "");
  // With the names of fields after it, private concerns these fields only.
  if (/\b(?:private(?! *=)|no-store)\b/i.test(control)) return false;
  if (/\b(?:public|s-maxage|max-age *= *"?0*[1-9])/i.test(control)) return true;
  return !/\b(?:max-age|no-cache)\b/i.test(control) && Date.parse(String(res.getHeader("Expires") ?? "")) > Date.now();
}
