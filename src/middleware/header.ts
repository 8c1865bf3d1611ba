import type { IncomingMessage } from "node:http";
import { isToken } from "../engine/validate.js";

const BEARER = /^Bearer +([A-Za-z0-9]{64}) *$/i;

/** The token in `Authorization: Bearer` (RFC 6750) when `header` is true, else in the header of that name. */
export function readHeader(req: IncomingMessage, header: true | string): string | undefined {
  if (header === true) return BEARER.exec(req.headers.authorization ?? "")?.[1];
  const value = req.headers[header.toLowerCase()];
  return isToken(value) ? value : undefined;
}
