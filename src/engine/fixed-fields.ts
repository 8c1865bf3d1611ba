import { invalidValue } from "../errors.js";
import { type StoredSession, withoutData } from "../sessions/session-text.js";

/** What is agreed on when a session is created. Methods that take a session's token or ref do not change it. */
const FIXED = ["id", "ip", "device", "ttl", "no_resave"] as const;

export type FixedFields = { [Name in (typeof FIXED)[number]]?: unknown };

/** Those that the options of a call name; undefined where they name none, as nearly always. */
export function fixedFieldsOf(options: object): FixedFields | undefined {
  let found: FixedFields | undefined;
  for (const name of FIXED) {
    const value = (options as FixedFields)[name];
    if (value !== undefined) found = { ...found, [name]: value };
  }
  return found;
}

/**
 * A call with `...session` among its options names what the session has. Any other value was meant to change the
 * session, or to guard it, and would be ignored.
 * @throws SessionError `invalidValue` for a value that is not the session's
 */
export function assertFixed(method: string, given: FixedFields, stored: StoredSession): void {
  const own: FixedFields = { no_resave: false, ...withoutData(stored, Date.now()) };
  for (const name of FIXED) {
    const value = given[name];
    if (value === undefined || value === own[name]) continue;
    // With no_resave the ttl that a session shows runs down: an earlier look has shown more.
    if (name === "ttl" && stored.no_resave && Number(value) > Number(own.ttl) && Number(value) <= stored.ttl) continue;
    throw invalidValue(
      `${method} does not change ${name}, and the value that is given is not the session's`,
      `leave ${name} out`,
    );
  }
}
