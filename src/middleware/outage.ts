import { SessionError } from "../engine/errors.js";

/** Whether an error says that Redis is away. */
export function isOutage(error: unknown): error is SessionError {
  return error instanceof SessionError && (error.name === "unavailable" || error.name === "timeout");
}

/** For those to whom a session that cannot be asked for is none. */
export function noneInOutage(error: unknown): null {
  if (isOutage(error)) return null;
  throw error;
}

/** Express and its kind answer with the status that an error carries. */
export function withStatus(error: unknown): unknown {
  return isOutage(error) ? Object.assign(error, { status: 503 }) : error;
}
