import type { Session } from "../engine/types.js";

/** How often a cookie with `maxAge` is sent anew, in ms. */
const RENEW_EVERY = 60_000;

/**
 * Whether this use of a session is the first in its minute of the session's life (or in its half of a shorter
 * `maxAge`), so that the cookie is to be sent anew.
 * @param maxAge seconds
 */
export function isRenewalDue(maxAge: number, { created, idle }: Session<unknown>): boolean {
  // Uses within a second leave no trace in the session, so they would all be the first.
  if (idle === 0) return false;
  const period = Math.min(RENEW_EVERY, (maxAge * 1000) / 2);
  const age = Date.now() - created;
  // `idle` is rounded down. To send the cookie twice does no harm, to pass over a minute does.
  const ageAtLastUse = age - (idle + 1) * 1000;
  return Math.floor(age / period) > Math.floor(ageAtLastUse / period);
}
