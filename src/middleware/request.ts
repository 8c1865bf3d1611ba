import type { IncomingMessage } from "node:http";
import { isIP, SocketAddress } from "node:net";
import type { TLSSocket } from "node:tls";
import Bowser from "bowser";
import { isToken } from "../engine/checks.js";

/** What Express adds to a request, where it is Express. */
interface ExpressRequest {
  secure?: boolean;
  ip?: string;
  /** The host that the browser asked, by X-Forwarded-Host where the proxy is trusted. */
  hostname?: string;
}

/** Whether the browser came by HTTPS. Express knows about proxies, by its setting `trust proxy`. */
export function isSecure(req: IncomingMessage): boolean {
  return (req as ExpressRequest).secure ?? (req.socket as TLSSocket).encrypted === true;
}

/** The host that the browser asked, maybe with a port; undefined when the request names none. */
export function hostOf(req: IncomingMessage): string | undefined {
  const { hostname } = req as ExpressRequest;
  // HTTP/2 has the second.
  return hostname ?? req.headers.host ?? req.headers[":authority"]?.toString();
}

/** An IPv4 address with a port, or an IPv6 address in brackets, as some proxies write them in X-Forwarded-For. */
const WITH_PORT = /^(?:(\d+\.\d+\.\d+\.\d+):\d+|\[([^\]]+)\](?::\d+)?)$/;

/**
 * The browser's address in its shortest form, without a port. An IPv4 address on an IPv6 socket is returned as IPv4.
 * A proxy may send any text: one that is not an address becomes "unknown", so that it keeps nobody out.
 */
export function addressOf(req: IncomingMessage): string {
  // A socket that is closed by now has no address any more.
  const text = (req as ExpressRequest).ip || req.socket.remoteAddress || "";
  const [, v4, v6] = WITH_PORT.exec(text) ?? [];
  const address = v4 ?? v6 ?? text;
  switch (isIP(address)) {
    case 4:
      return address;
    case 6:
      // Also drops the zone (`%eth0`), which means nothing beyond this machine.
      return new SocketAddress({ address, family: "ipv6" }).address.replace(/^::ffff:(?=\d+\.)/, "");
    default:
      return "unknown";
  }
}

const BEARER = /^Bearer +([A-Za-z0-9]{64}) *$/i;

/** The token in `Authorization: Bearer` (RFC 6750) when `header` is true, else in the header of that name. */
export function readHeader(req: IncomingMessage, header: true | string): string | undefined {
  if (header === true) return BEARER.exec(req.headers.authorization ?? "")?.[1];
  const value = req.headers[header.toLowerCase()];
  return isToken(value) ? value : undefined;
}

/** How much of a User-Agent is read, in characters. Real ones are shorter, and to parse 16 KB takes a millisecond. */
const MAX_AGENT = 512;

/** What the user signs in with, in words ("Firefox on Windows"), from the User-Agent; undefined when it says nothing. */
export function deviceOf(req: IncomingMessage): string | undefined {
  const agent = req.headers["user-agent"]?.slice(0, MAX_AGENT);
  if (agent === undefined || agent === "") return undefined;
  const { browser, os } = Bowser.parse(agent);
  // A program names itself first: "curl/8.1".
  const name = browser.name || /^[^\s/(;]+/.exec(agent)?.[0];
  if (name === undefined) return os.name;
  return os.name === undefined ? name : `${name} on ${os.name}`;
}
