import type { IncomingMessage, ServerResponse } from "node:http";
import { SessionError } from "../errors.js";

/** How a token goes with a response. */
export interface Transport {
  /** Hands the browser a token; without one, makes it forget the one it has. */
  write(req: IncomingMessage, res: ServerResponse, token: string | undefined): void;
}

/** Whether a token can still go with the response. With the `{}` that stands in for one where a WebSocket opens, none can. */
export function isWritable(res: ServerResponse): boolean {
  return res.headersSent === false;
}

/** @throws SessionError `headersSent` when the response has begun, and with it the chance to write a token */
export function assertWritable(res: ServerResponse): void {
  if (isWritable(res)) return;
  throw new SessionError(
    "headersSent",
    "The session's cookie cannot be set any more: the response has begun. " +
      "Call create, rotate and kill before you send, and await them.",
  );
}
