import { setImmediate as current } from "node:timers";

/**
 * Timers as they were when the package was loaded. Fake timers of a test (Vitest, Jest, sinon) replace the global ones, and
 * calls that wait for the end of the event loop's round would never be sent.
 */

/** Calls a task when the I/O events of this round of the event loop are handled. */
export const setImmediate: (task: () => void) => void = isFake(current) ? microtask : current;

/** Calls a function when the running code has returned. */
export const nextTick = process.nextTick;

let round: Promise<void> | undefined;

/** Resolves when the I/O events of this round of the event loop are handled. All callers of a round share one promise. */
export function endOfRound(): Promise<void> {
  round ??= new Promise((resolve) => {
    setImmediate(() => {
      round = undefined;
      resolve();
    });
  });
  return round;
}

/** Whether fake timers were installed before the package was loaded. Vitest, Jest and sinon mark theirs by `clock`. */
function isFake(timer: typeof current): boolean {
  return Object.hasOwn(timer, "clock") || timer.name !== "setImmediate";
}

/** What a fake timer cannot hold up. Only calls that are made in the same moment are sent together then. */
function microtask(task: () => void): void {
  void Promise.resolve().then(task);
}
