import { warnOnce } from "./warn-once.js";

const DAY = 86_400;

/** The code of the warnings about times in the wrong unit. */
const CODE = "SECONDS_EXPECTED";

/**
 * Emits a warning if a number of seconds is probably a number of milliseconds: if it is larger than `max`, or a multiple
 * of 5 minutes in milliseconds and at least 10 days, but not a number of whole days.
 *
 * @param about the warning is emitted once for this object
 * @param name the option, for the message
 * @param max in seconds. The default, 400 days, is the longest time that browsers keep a cookie
 */
export function warnOfMilliseconds(about: object, name: string, seconds: number | undefined, max = 400 * DAY): void {
  if (seconds === undefined || !Number.isFinite(seconds)) return;
  const isLikelyMs = seconds >= 900_000 && seconds % 300_000 === 0 && seconds % DAY !== 0;
  if (seconds <= max && !isLikelyMs) return;
  const remedy = `It is in seconds: if you mean ${seconds} milliseconds, write ${Math.ceil(seconds / 1000)}`;
  warnOnce(about, CODE, `${name} is ${seconds} seconds, which is ${inWords(seconds)}. ${remedy}`);
}

/** Emits a warning if a number of milliseconds is probably a number of seconds, because a call to Redis may take longer. */
export function warnOfSeconds(about: object, name: string, ms: number): void {
  if (ms >= 50) return;
  const remedy = `if you mean ${ms} seconds, write ${1000 * ms}`;
  warnOnce(
    about,
    "MILLISECONDS_EXPECTED",
    `${name} is ${ms} milliseconds, which is less than calls may take: ${remedy}`,
  );
}

/**
 * Emits a warning if an idle timeout in seconds and a cookie's maxAge in milliseconds are the same number, so that one of
 * them has the wrong unit. The maxAge may have run for a moment already.
 */
export function warnOfEqual(about: object, name: string, seconds: number, maxAge: number | null | undefined): void {
  // In a damaged session it is not a number.
  if (!maxAge || !(Math.abs(seconds - maxAge) <= 0.01 * maxAge)) return;
  const ttl = `${name} is ${Math.round(seconds)} seconds, which is ${inWords(seconds)}`;
  const ms = `but the maxAge of the session's cookie is ${maxAge} milliseconds, which is ${inWords(maxAge / 1000)}`;
  warnOnce(about, CODE, `${ttl}, ${ms}. One of them has the wrong unit`);
}

/** Writes a number of seconds in the unit that suits it: "41.7 days". */
function inWords(seconds: number): string {
  const [unit, name] = seconds >= 2 * DAY ? [DAY, "days"] : seconds >= 7200 ? [3600, "hours"] : [1, "seconds"];
  return `${Math.round((10 * seconds) / unit) / 10} ${name}`;
}
