import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";

/** What Express adds to a request, where it is Express. */
interface ExpressRequest {
  secure?: boolean;
  ip?: string;
}

/** Whether the browser came by HTTPS. Express knows about proxies, by its setting `trust proxy`. */
export function isSecure(req: IncomingMessage): boolean {
  return (req as ExpressRequest).secure ?? (req.socket as TLSSocket).encrypted === true;
}

/**
 * The browser's address, an IPv4 one as such also on a socket that speaks IPv6. What a trusted proxy says may be
 * anything; what is too long for an address is cut off rather than keep the user out.
 */
export function addressOf(req: IncomingMessage): string {
  // A socket that is closed by now has no address any more.
  const address = (req as ExpressRequest).ip || req.socket.remoteAddress || "unknown";
  return address.replace(/^::ffff:(?=\d+\.)/, "").slice(0, 39);
}
