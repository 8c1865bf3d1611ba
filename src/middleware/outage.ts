import { isOutage } from "../engine/errors.js";

/** For those to whom a session that cannot be asked for is none. */
export function noneInOutage(error: unknown): null {
  if (isOutage(error)) return null;
  throw error;
}

/** Express and its kind answer with the status that an error carries. */
export function withStatus(error: unknown): unknown {
  return isOutage(error) ? Object.assign(error, { status: 503 }) : error;
}
