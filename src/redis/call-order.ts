import type { Run } from "./run.js";

/**
 * Keeps the calls on each session in order. A script may leave calls of its run undone, except the first one, and they
 * are sent again. While such a call is in flight, later calls on its session are held, because they would overtake it.
 */
export class CallOrder {
  /** Session key → the run for which later calls on the session must wait. */
  readonly #blockers = new Map<string, Run>();
  /** Session key → the held runs, in the order of their calls. Each concerns this session only. */
  readonly #held = new Map<string, Run[]>();
  readonly #release: (runs: Run[]) => void;

  /** @param release is called with the runs that can be sent now, one for each session */
  constructor(release: (runs: Run[]) => void) {
    this.#release = release;
  }

  /** The run that a call on the session must wait for, or join. Returns undefined if there is none. */
  blockerOf(session: string): Run | undefined {
    return this.#blockers.get(session);
  }

  /** The runs that wait for the blocker of the session. */
  heldOn(session: string): readonly Run[] {
    return this.#held.get(session) ?? [];
  }

  /** Holds a run until all earlier calls on its session have ended. */
  hold(run: Run, session: string): void {
    this.#held.set(session, [...this.heldOn(session), run]);
  }

  /** Makes later calls on the session wait for this run. */
  block(run: Run, session: string): void {
    this.#blockers.set(session, run);
    run.onEnd ??= () => this.#unblock(run);
  }

  /** Lets `undone` block in the place of `run`, whose last calls were just sent again in it. */
  continueWith(run: Run, undone: Run): void {
    for (const session of undone.sessions) this.block(undone, session);
    this.#unblock(run);
  }

  /** Ends the blocks of a run, and releases the next held run of each of its sessions. */
  #unblock(run: Run): void {
    const now = performance.now();
    const next: Run[] = [];
    for (const session of run.sessions) {
      if (this.#blockers.get(session) !== run) continue;
      this.#blockers.delete(session);
      if (this.#held.size === 0) continue;
      // Skip runs that are late: their calls have failed with `timeout`.
      const held = this.heldOn(session).filter(({ deadline }) => deadline > now);
      const [first, ...others] = held;
      if (others.length > 0) this.#held.set(session, others);
      else this.#held.delete(session);
      if (first !== undefined) next.push(first);
    }
    if (next.length > 0) this.#release(next);
  }
}
