import type { IncomingMessage } from "node:http";
import { SessionError } from "../errors.js";
import { isCrossSite } from "../util/origin.js";

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
