import { ServerResponse } from "node:http";

/**
 * Holds the response to a session's request back until a save of the session has ended. express-session writes the head
 * and all but the last byte of the body while the save is under way, so the browser could follow a redirect before the
 * session is stored.
 *
 * A response whose head has left is not held back: it is a stream. Connect does not set `req.res`, so its responses are
 * not held back either.
 */
export function holdResponse(session: object, saving: Promise<unknown>): void {
  // A caller in JavaScript may pass no session. The save then rejects.
  const res = (session as { req?: { res?: unknown } } | undefined)?.req?.res;
  if (!(res instanceof ServerResponse) || res.writableEnded || isHeadSent(res)) return;
  // A response without a socket waits for an earlier one on its connection, or belongs to a WebSocket.
  const { socket } = res;
  if (socket === null) return;
  socket.cork();
  // The end of a response uncorks its socket completely, and then the next response may use it.
  const release = () => {
    if (!res.writableEnded) socket.uncork();
  };
  // The callback of the save is called first. It usually ends the response, which then leaves in one piece.
  const releaseAfterCallback = () => process.nextTick(release);
  saving.then(releaseAfterCallback, releaseAfterCallback);
}

/** `headersSent` is already true when the head is complete but has not been written. Only Node's own flag tells it. */
function isHeadSent(res: ServerResponse): boolean {
  return (res as { _headerSent?: boolean })._headerSent === true;
}
