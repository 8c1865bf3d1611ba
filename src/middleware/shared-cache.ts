import type { ServerResponse } from "node:http";

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
