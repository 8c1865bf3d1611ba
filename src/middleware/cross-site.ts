import type { IncomingMessage } from "node:http";
import { SessionError } from "../errors.js";
import { hostOf } from "./request.js";

/**
 * Refuses a sign-in that a page of another site sends. Such a page could sign the visitor in to the attacker's account
 * (login CSRF). SameSite does not help: it prevents that a cookie is sent, not that it is set.
 *
 * GET and HEAD are allowed, because identity providers redirect with them. A request with neither Sec-Fetch-Site nor
 * Origin is allowed, because browsers send at least one of them.
 *
 * @throws SessionError `crossSite`
 */
export function refuseCrossSite(req: IncomingMessage): void {
  if (req.method === "GET" || req.method === "HEAD" || !isCrossSite(req)) return;
  throw new SessionError("crossSite", "The sign-in comes from a page of another site, so nobody is signed in", {
    hint:
      "If this is intended (SAML, OIDC with form_post), check the state and pass { crossSite: true } to create. " +
      "If the page is your own, a proxy changes the header Host: let it send X-Forwarded-Host, and set trust proxy",
  });
}

/**
 * Reads Sec-Fetch-Site, which browsers since 2023 send to HTTPS and to localhost. Without it, compares Origin with the
 * host.
 */
function isCrossSite(req: IncomingMessage): boolean {
  const site = req.headers["sec-fetch-site"];
  // An unknown value must be ignored (Fetch Metadata, 2.3).
  if (site === "cross-site" || site === "same-site" || site === "same-origin" || site === "none") {
    return site === "cross-site";
  }
  const { origin } = req.headers;
  // Compare without ports: cookies ignore them, and some proxies remove them from Host.
  return origin !== undefined && hostnameOf(origin) !== hostnameOf(`http://${hostOf(req)}`);
}

/** Returns the host name of a URL. Returns undefined if it is not a URL ("null") or has no host ("file://"). */
function hostnameOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname || undefined : undefined;
}
