import type { Session, SessionData, Store } from "express-session";
import { invalidValue, SessionError } from "../errors.js";
import { defaultCookie } from "./stored-cookie.js";

/** A request that passed express-session. */
export type Request = Parameters<Store["createSession"]>[0];

/** The properties that express-session adds to a request. */
export type WithSession = Pick<Request, "session" | "sessionID" | "sessionStore">;

/** Has express-session make a new id, and an empty session with the cookie options of the site. The request keeps its own. */
export function generate(req: WithSession): { sid: string; session: Session & Partial<SessionData> } {
  const { session, sessionID } = req;
  try {
    req.sessionStore.generate(req as Request);
    return { sid: req.sessionID, session: req.session };
  } finally {
    req.session = session;
    req.sessionID = sessionID;
  }
}

/** Returns the cookie of a new session of the site, as data; the default cookie if there is no real request, as in `load`. */
export function newCookie(req: Request): SessionData["cookie"] {
  const isReal = (req as Partial<Request>).headers !== undefined;
  return JSON.parse(JSON.stringify(isReal ? generate(req).session.cookie : defaultCookie()));
}

/**
 * @throws SessionError `invalidValue` if the request has no session of express-session; `headersSent` if its cookie can no longer
 * be set
 */
export function assertRotatable(req: WithSession): void {
  const { session, sessionID, sessionStore } = Object(req) as Partial<WithSession>;
  // A request of @fastify/session has no sessionID.
  if (!session || typeof sessionID !== "string" || typeof sessionStore?.generate !== "function") {
    throw invalidValue(
      "RedisStore: rotate takes a request that has a session of express-session",
      "pass req after session(); with @fastify/session call request.session.regenerate",
    );
  }
  // Connect does not set `req.res`.
  const { res } = req as { res?: { headersSent?: boolean } };
  if (res?.headersSent) {
    throw new SessionError(
      "headersSent",
      "The session's cookie can no longer be set: the response has begun. " +
        "Call and await store.rotate before you send the response.",
    );
  }
}
