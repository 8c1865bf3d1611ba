import type { SessionData } from "express-session";
import { checkId } from "../engine/checks.js";
import { invalidValue, isRefusal } from "../errors.js";
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

/**
 * @param d keys that are changed in a session, whose other keys are not known
 * @throws SessionError `invalidValue` if they contain the cookie, or may change the session's user: only a save updates the index
 */
export function assertKeepsUser(method: string, d: object, userId: UserId): void {
  const keys = userId === defaultUserId ? ["cookie", "passport", "userId"] : ["cookie"];
  const refused = keys.find((key) => key in d);
  if (refused !== undefined) {
    throw invalidValue(
      `RedisStore: ${method} does not change ${refused}`,
      "change it in req.session, or end the session",
    );
  }
  // Its result for `d` alone would not tell: a change may also remove the id.
  let readsChanged = false;
  const watched = new Proxy(d, {
    get(target, key) {
      readsChanged ||= Object.hasOwn(target, key);
      return Reflect.get(target, key);
    },
  });
  try {
    userId(watched as SessionData);
  } catch {
    // The function needs a key that is not changed.
  }
  if (readsChanged) {
    throw invalidValue(
      `RedisStore: ${method} does not change the key in which the option userId finds the user`,
      "change it in req.session, or end the session",
    );
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
