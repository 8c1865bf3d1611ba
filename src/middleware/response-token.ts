import type { IncomingMessage, ServerResponse } from "node:http";
import onHeaders from "on-headers";
import { refOf } from "../sessions/token.js";
import type { Session } from "../types.js";
import type { SessionCookie } from "./cookie.js";
import { assertWritable, isWritable, type Transport } from "./transport.js";

/** How a middleware's tokens go to browsers. */
export interface Channels {
  /** What writes the token; none where the app hands it out by itself. */
  readonly transport: Transport | undefined;
  readonly cookie: SessionCookie | undefined;
}

/** What one response tells the browser about its token. */
export class ResponseToken {
  readonly #channels: Channels;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  /** The cookie, where it is what the request's token came in. */
  #cookie: SessionCookie | undefined;
  /** Whether a secret has signed it that is about to be dropped. */
  #isOutdated = false;
  /** What the cookie is set to when the headers are sent, unless a call sets it before: a token, or undefined to clear it. */
  #pending: { readonly token: string | undefined } | undefined;
  /** Whether the headers are waited for. */
  #isWaiting = false;

  /** @param cookie the one that the token came in, or would have come in */
  constructor(channels: Channels, req: IncomingMessage, res: ServerResponse, cookie: SessionCookie | undefined) {
    this.#channels = channels;
    this.#req = req;
    this.#res = res;
    this.#cookie = cookie;
  }

  /** Says which of the request's cookies counts. */
  sentIn(cookie: { readonly isOutdated: boolean } | undefined): void {
    this.#isOutdated = cookie?.isOutdated ?? false;
  }

  /** Whether the token came in the cookie, or none came. */
  get isByCookie(): boolean {
    return this.#cookie !== undefined;
  }

  /** @throws SessionError `headersSent` when it is too late for a token to be given or forgotten */
  assertWritable(): void {
    if (this.#channels.transport !== undefined) assertWritable(this.#res);
  }

  /** @throws SessionError `headersSent` */
  give(token: string): void {
    this.#pending = undefined;
    this.#channels.transport?.write(this.#req, this.#res, token);
    this.#cookie = this.#channels.cookie;
    this.#isOutdated = false;
  }

  /** Makes the browser forget the token, unless that came in another way than it goes, or it is too late. */
  forget(): void {
    this.#pending = undefined;
    const { transport, cookie } = this.#channels;
    const isTheirs = transport !== cookie || this.isByCookie;
    if (isTheirs && isWritable(this.#res)) transport?.write(this.#req, this.#res, undefined);
  }

  /** Clears a cookie that is of no use, where there still is time. */
  clear(): void {
    this.#writeLater(undefined);
  }

  /** The same for a cookie that did not verify, so that the request has no token. */
  clearBad(): void {
    if (this.#cookie?.isIn(this.#req)) this.clear();
  }

  /**
   * Sends a cookie that has an end anew, with the first use in each minute of the session's life; and one whose secret is
   * to be dropped.
   */
  renew(session: Session<unknown>, token: string): void {
    const cookie = this.#cookie;
    if (cookie === undefined) return;
    const isDue = cookie.maxAge !== undefined && isRenewalDue(cookie.maxAge, session);
    if (!isDue && !this.#isOutdated) return;
    // Where another request has rotated the session, the browser has, or is about to get, a newer token than ours.
    if (session.ref === refOf(token)) this.#writeLater(token);
  }

  /**
   * Sets or clears the cookie when the headers are sent, where nobody asked for it: not on a response that a shared cache
   * may keep, which the handler says only after it has loaded the session.
   */
  #writeLater(token: string | undefined): void {
    if (this.#cookie === undefined || !isWritable(this.#res)) return;
    this.#pending = { token };
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    onHeaders(this.#res, () => {
      if (this.#pending === undefined || mayBeShared(this.#res)) return;
      this.#cookie?.write(this.#req, this.#res, this.#pending.token);
    });
  }
}

/** How often a cookie with `maxAge` is sent anew, in ms. */
const RENEW_EVERY = 60_000;

/**
 * Whether this use of a session is the first in its minute of the session's life (or in its half of a shorter
 * `maxAge`), so that the cookie is to be sent anew.
 * @param maxAge seconds
 */
export function isRenewalDue(maxAge: number, { created, idle }: Session<unknown>): boolean {
  // Uses within a second leave no trace in the session, so they would all be the first.
  if (idle === 0) return false;
  const period = Math.min(RENEW_EVERY, (maxAge * 1000) / 2);
  const age = Date.now() - created;
  // `idle` is rounded down. To send the cookie twice does no harm, to pass over a minute does.
  const ageAtLastUse = age - (idle + 1) * 1000;
  return Math.floor(age / period) > Math.floor(ageAtLastUse / period);
}

/**
 * Whether a response says that a cache may keep it for others (RFC 9111, 3): `public`, `s-maxage`, a `max-age` without
 * `private`, or without any of these an `Expires` in the future. Set-Cookie does not keep a cache from that (7.3), so
 * whoever is served from it would get the cookie.
 *
 * A response that says nothing, or `no-cache`, might be kept as well, but no cache in use does that to a response that
 * sets a cookie; and a site that never says more could never renew one.
 */
export function mayBeShared(res: ServerResponse): boolean {
  const control = String(res.getHeader("Cache-Control") ?? "");
  // With the names of fields after it, private concerns these fields only.
  if (/\b(?:private(?! *=)|no-store)\b/i.test(control)) return false;
  if (/\b(?:public|s-maxage|max-age *= *"?0*[1-9])/i.test(control)) return true;
  return !/\b(?:max-age|no-cache)\b/i.test(control) && Date.parse(String(res.getHeader("Expires") ?? "")) > Date.now();
}
