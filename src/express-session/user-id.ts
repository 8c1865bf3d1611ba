import type { SessionData } from "express-session";
import { checkId } from "../engine/checks.js";
import { isRefusal } from "../errors.js";
import { ANONYMOUS, quoteId } from "../sessions/keys.js";

/** The option `userId`. */
export type UserId = (session: SessionData) => string | number | undefined | null;

/** The default of the option `userId`. An invalid id is ignored, because the app has not said that the value is an id. */
export function defaultUserId(session: SessionData): string | undefined {
  const { passport, userId } = session as { passport?: { user?: unknown }; userId?: unknown };
  return asId(passport?.user) ?? asId(userId);
}

/**
 * The user of a session as the index stores it: JSON, or ANONYMOUS.
 * @throws SessionError `invalidFormat` or `missingParameter` if `userId` returns an invalid id
 */
export function userOf(session: object, userId: UserId): string {
  const id = userId(session as SessionData);
  return id === undefined || id === null ? ANONYMOUS : quoteId(checkId(id));
}

/** The same for a session that is only read: with an invalid id it is anonymous. */
export function userIfValid(session: object, userId: UserId): string {
  try {
    return userOf(session, userId);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return ANONYMOUS;
  }
}

function asId(value: unknown): string | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  try {
    return checkId(value);
  } catch {
    return undefined;
  }
}
