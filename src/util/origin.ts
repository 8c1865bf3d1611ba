import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";

/** Properties that Express adds to a request, and our plugin for Fastify. */
interface ExpressRequest {
  secure?: boolean;
  /** The host in the browser's URL: X-Forwarded-Host if the proxy is trusted, otherwise Host. */
  hostname?: string;
}

/** Whether the browser used HTTPS. Express takes its setting `trust proxy` into account. */
export function isSecure(req: IncomingMessage): boolean {
  return (req as ExpressRequest).secure ?? (req.socket as TLSSocket).encrypted === true;
}

/** Returns the host in the browser's URL, possibly with a port. Returns undefined if the request names none. */
function hostOf(req: IncomingMessage): string | undefined {
  const { hostname } = req as ExpressRequest;
  // HTTP/2 sends `:authority` and no Host.
  return hostname ?? req.headers.host ?? req.headers[":authority"]?.toString();
}

/**
 * Whether a page of another site has sent the request. Reads Sec-Fetch-Site, which browsers since 2023 send to HTTPS and to
 * localhost. Without it, compares Origin with the host.
 */
export function isCrossSite(req: IncomingMessage): boolean {
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
