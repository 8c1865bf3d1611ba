import type { IncomingMessage } from "node:http";
import { SessionError } from "../errors.js";
import { hostOf } from "./request.js";

/**
 * Refuses a sign-in that another site's page sends (login CSRF): it would sign the visitor in as somebody else. SameSite
 * does not help, because it keeps cookies from being sent, not from being set. A GET or HEAD goes on, as it does where an
 * identity provider redirects; so does a request without either header, which no browser has sent.
 *
 * @throws SessionError `crossSite`
 */
export function refuseCrossSite(req: IncomingMessage): void {
  if (req.method === "GET" || req.method === "HEAD" || !isCrossSite(req)) return;
  throw new SessionError("crossSite", "The sign-in comes from a page of another site, so nobody is signed in", {
    hint:
      "If it is meant to (SAML, OIDC with form_post), check its state and pass { crossSite: true } to create. " +
      "If it is not from another site, a proxy changes the header Host: have it send X-Forwarded-Host, and set trust proxy",
  });
}

/** Sec-Fetch-Site says it, of browsers since 2023 and to HTTPS and localhost. Origin says it of all others. */
function isCrossSite(req: IncomingMessage): boolean {
  const site = req.headers["sec-fetch-site"];
  // A value that is not known is to be ignored (Fetch Metadata, 2.3).
  if (site === "cross-site" || site === "same-site" || site === "same-origin" || site === "none") {
    return site === "cross-site";
  }
  const { origin } = req.headers;
  // Without ports: cookies have none, and some proxies drop it from Host.
  return origin !== undefined && hostnameOf(origin) !== hostnameOf(`http://${hostOf(req)}`);
}

/** The name of a URL's host; undefined where it has none ("null", "file://") or is not a URL, as no request's own is. */
function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname || undefined : undefined;
}
