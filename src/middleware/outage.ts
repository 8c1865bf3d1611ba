import { SessionError } from "../engine/errors.js";

/** Whether an error says that Redis is away. */
export function isOutage(error: unknown): error is SessionError {
  return error instanceof SessionError && (error.name === "unavailable" || error.name === "timeout");
}

/** Express and its kind answer with the status that an error carries. */
export function withStatus(error: unknown): unknown {
  return isOutage(error) ? Object.assign(error, { status: 503 }) : error;
}
