import { IncomingMessage } from "node:http";
import { isIP, SocketAddress } from "node:net";
import Bowser from "bowser";
import { isToken } from "../engine/checks.js";
import { invalidValue, type SessionError } from "../errors.js";
import { BoundedMap } from "../util/bounded-map.js";
import { kindOf } from "../util/kind-of.js";
import { isSecure } from "../util/origin.js";

/** Whether it is Fastify's own request, which has Node's in `raw`. */
function isFastify(req: IncomingMessage): boolean {
  return (req as { raw?: Partial<IncomingMessage> }).raw?.headers !== undefined;
}

/**
 * Asks first whether it is a request of Node: that is several times as fast as to look for a property that a request does not have.
 * @throws SessionError `invalidValue` for a value that is not a request of Node, nor one in its form
 */
export function assertRequest(req: IncomingMessage): void {
  if (req instanceof IncomingMessage) return;
  if ((req as Partial<IncomingMessage> | undefined)?.headers === undefined) throw notARequest(req);
  if (isFastify(req)) {
    throw invalidValue(
      "This is Fastify's request, not Node's. Call app.register(auth.fastify), and guard a route with a preHandler " +
        "that answers if (await req.rs.get()) is null",
    );
  }
}

/** The error for a middleware that was called by the application instead of passed to `app.use`. */
function notARequest(given: unknown): SessionError {
  return invalidValue(
    `The middleware takes a request, not ${kindOf(given)}: app.use(auth); in Fastify, app.register(auth.fastify)`,
  );
}

/**
 * Returns whether a middleware was registered as a plugin of Fastify. Then it also passes the error to Fastify, because an error
 * that a plugin throws would be uncaught.
 * @param req what the middleware was called with
 */
export function refusePlugin(req: IncomingMessage, next: (error?: unknown) => void): boolean {
  if (req instanceof IncomingMessage) return false;
  if (typeof (req as { addHook?: unknown } | undefined)?.addHook !== "function" || typeof next !== "function")
    return false;
  next(notARequest(req));
  return true;
}

/** A property that Express adds to a request, and our plugin for Fastify. */
interface ExpressRequest {
  ip?: string;
}

/**
 * Whether a proxy says that the browser used HTTPS, but the app does not trust the proxy. Any visitor can send this
 * header.
 */
export function isProxyIgnored(req: IncomingMessage): boolean {
  return /^ *https *(,|$)/i.test(String(req.headers["x-forwarded-proto"] ?? "")) && !isSecure(req);
}

/** An IPv4 address with a port, or an IPv6 address in brackets, as some proxies write them in X-Forwarded-For. */
const WITH_PORT = /^(?:(\d+\.\d+\.\d+\.\d+):\d+|\[([^\]]+)\](?::\d+)?)$/;

/** The address of a request whose own is unknown. */
export const UNKNOWN = "unknown";

/**
 * Returns the browser's IP address in its shortest form, without a port. An IPv4 address on an IPv6 socket is returned
 * as IPv4. Returns "unknown" if a proxy sent something else than an address: such a proxy must not make sign-ins fail.
 */
export function addressOf(req: IncomingMessage): string {
  // A closed socket has no address.
  const text = (req as ExpressRequest).ip || req.socket.remoteAddress || "";
  if (isIP(text) === 4) return text;
  const [, v4, v6] = WITH_PORT.exec(text) ?? [];
  const address = v4 ?? v6 ?? text;
  // An IPv4 address on an IPv6 socket, as nearly always: this is faster than a SocketAddress.
  if (address.startsWith("::ffff:") && isIP(address.slice(7)) === 4) return address.slice(7);
  switch (isIP(address)) {
    case 4:
      return address;
    case 6:
      // Also removes the zone (`%eth0`), which is meaningless on other machines.
      return new SocketAddress({ address, family: "ipv6" }).address.replace(/^::ffff:(?=\d+\.)/, "");
    default:
      return UNKNOWN;
  }
}

const BEARER = /^Bearer +([A-Za-z0-9]{64}) *$/i;

/**
 * Returns the token in `Authorization: Bearer` (RFC 6750) if `header` is true, otherwise in the header of that name.
 */
export function readHeader(req: IncomingMessage, header: true | string): string | undefined {
  if (header === true) return BEARER.exec(req.headers.authorization ?? "")?.[1];
  const value = req.headers[header.toLowerCase()];
  return isToken(value) ? value : undefined;
}

/** How many characters of a User-Agent are read. Real ones are shorter; parsing one of 16 KB takes a millisecond. */
const MAX_AGENT = 512;

/** The names of devices by User-Agent, because every request that loads its session needs one. */
const names = new BoundedMap<string | undefined>();

/** Returns a name for the device from the User-Agent ("Firefox on Windows"), or undefined if there is none. */
export function deviceOf(req: IncomingMessage): string | undefined {
  const agent = req.headers["user-agent"]?.slice(0, MAX_AGENT);
  if (agent === undefined || agent === "") return undefined;
  const known = names.get(agent);
  if (known !== undefined) return known;
  const name = parseAgent(agent);
  names.set(agent, name);
  return name;
}

function parseAgent(agent: string): string | undefined {
  const { browser, os } = Bowser.parse(agent);
  // Programs put their name first: "curl/8.1".
  const name = browser.name || /^[^\s/(;]+/.exec(agent)?.[0];
  if (name === undefined) return os.name;
  return os.name === undefined ? name : `${name} on ${os.name}`;
}
