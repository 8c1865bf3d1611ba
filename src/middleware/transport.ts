import type { IncomingMessage, ServerResponse } from "node:http";
import { SessionError } from "../errors.js";

/** Writes tokens to responses: the cookie, or the option `write`. */
export interface Transport {
  /**
   * Sends a token to the browser. Without a token, makes the browser drop the one it has.
   * @param maxAge seconds that the browser keeps the token; null until it is closed. Default: the middleware's
   */
  write(req: IncomingMessage, res: ServerResponse, token: string | undefined, maxAge?: number | null | undefined): void;
}

/**
 * Whether a token can still be written. False for the `{}` that callers pass as the response when a WebSocket opens.
 */
export function isWritable(res: ServerResponse): boolean {
  return res.headersSent === false;
}

/** @throws SessionError `headersSent` if the response has begun, so that no token can be written */
export function assertWritable(res: ServerResponse): void {
  if (isWritable(res)) return;
  throw new SessionError(
    "headersSent",
    "The session's cookie can no longer be set: the response has begun. " +
      "Call and await create, rotate and kill before you send the response.",
  );
}
