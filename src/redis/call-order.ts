import type { Call, Run, SessionOrder } from "./run.js";

/** With fewer sessions than this, none is forgotten. */
const MIN_SESSIONS = 1000;

/**
 * Keeps the calls on each session in order. A script may leave calls of its run undone, except the first one, and they
 * are sent again. While such a run is in flight, later calls on its sessions are held, because they would overtake it.
 */
export class CallOrder {
  /**
   * By ref. A session is not forgotten as soon as it has no blocker: to add and remove one with each call would cost more than all
   * the rest here.
   */
  readonly #sessions = new Map<string, SessionOrder>();
  /** With this many sessions, the ones without a blocker are forgotten. */
  #maxSessions = MIN_SESSIONS;
  /** How many runs block sessions. */
  #blockerCount = 0;
  readonly #release: (runs: Run[]) => void;

  /** @param release is called with the runs that can be sent now, one for each session */
  constructor(release: (runs: Run[]) => void) {
    this.#release = release;
  }

  /** Whether no call must wait. */
  get isIdle(): boolean {
    return this.#blockerCount === 0;
  }

  /** The run that a call must wait for, or join. Returns undefined if there is none. */
  blockerOf(call: Call): Run | undefined {
    return this.isIdle ? undefined : this.#knownOrderOf(call)?.blocker;
  }

  /** The last run that waits for the blocker of a call's session. Returns undefined if there is none. */
  lastHeldFor(call: Call): Run | undefined {
    return this.#knownOrderOf(call)?.held?.at(-1);
  }

  /** Holds a run of one call, which has a blocker, until all earlier calls on its session have ended. */
  hold(run: Run): void {
    const order = this.#orderOf(run.calls[0]);
    if (order === undefined) return;
    if (order.held === undefined) order.held = [run];
    else order.held.push(run);
  }

  /**
   * Makes later calls on the sessions of a run wait for it.
   * @param from the index of its first call that they must wait for
   */
  block(run: Run, from: 0 | 1): void {
    // Nothing would end its blocks.
    if (run.hasFailed) return;
    if (run.blocking === undefined) {
      run.blocking = from;
      run.onEnd = () => this.#unblock(run);
      this.#blockerCount++;
    }
    for (; run.blocking < run.calls.length; run.blocking++) {
      const order = this.#orderOf(run.calls[run.blocking] as Call);
      if (order !== undefined) order.blocker = run;
    }
  }

  /** Lets `undone` block in the place of `run`, whose last calls were just sent again in it. */
  continueWith(run: Run, undone: Run): void {
    this.block(undone, 0);
    this.#unblock(run);
  }

  /** Ends the blocks of a run, and releases the next held run of each of its sessions. */
  #unblock(run: Run): void {
    // A reply may come after the deadline has ended the run.
    if (run.blocking === undefined) return;
    run.blocking = undefined;
    this.#blockerCount--;
    const now = performance.now();
    const next: Run[] = [];
    for (const { order } of run.calls) {
      if (order === undefined || order.blocker !== run) continue;
      order.blocker = undefined;
      if (order.held === undefined) continue;
      // Skip runs that are late: their calls have failed with `timeout`.
      const [first, ...others] = order.held.filter(({ deadline }) => deadline > now);
      order.held = others.length > 0 ? others : undefined;
      if (first !== undefined) next.push(first);
    }
    if (next.length > 0) this.#release(next);
  }

  #knownOrderOf(call: Call): SessionOrder | undefined {
    if (call.order !== undefined && !call.order.isForgotten) return call.order;
    const { ref } = call.input;
    call.order = ref === undefined ? undefined : this.#sessions.get(ref);
    return call.order;
  }

  /** Returns undefined for a call that does not concern a single session. */
  #orderOf(call: Call): SessionOrder | undefined {
    const known = this.#knownOrderOf(call);
    const { ref } = call.input;
    if (known !== undefined || ref === undefined) return known;
    if (this.#sessions.size >= this.#maxSessions) this.#forget();
    call.order = { blocker: undefined, held: undefined, isForgotten: false };
    this.#sessions.set(ref, call.order);
    return call.order;
  }

  #forget(): void {
    for (const [ref, order] of this.#sessions) {
      if (order.blocker !== undefined) continue;
      order.isForgotten = true;
      this.#sessions.delete(ref);
    }
    this.#maxSessions = Math.max(MIN_SESSIONS, 2 * this.#sessions.size);
  }
}
