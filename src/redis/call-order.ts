import type { Run } from "./run.js";

/**
 * Keeps the calls on each session in order. A script may leave calls of its run undone, except the first one, and they
 * are sent again. While such a run is in flight, later calls on its sessions are held, because they would overtake it.
 */
export class CallOrder {
  /** Blocking runs with calls that are not in `#blockers` yet. Most runs end before another call needs to know. */
  readonly #unindexed = new Set<Run>();
  /** Ref → the run for which later calls on the session must wait. */
  readonly #blockers = new Map<string, Run>();
  /** Ref → the held runs, in the order of their calls. Each concerns this session only. */
  readonly #held = new Map<string, Run[]>();
  readonly #release: (runs: Run[]) => void;

  /** @param release is called with the runs that can be sent now, one for each session */
  constructor(release: (runs: Run[]) => void) {
    this.#release = release;
  }

  /** The run that a call on the session must wait for, or join. Returns undefined if there is none. */
  blockerOf(ref: string | undefined): Run | undefined {
    if (this.#unindexed.size > 0) this.#index();
    return ref === undefined ? undefined : this.#blockers.get(ref);
  }

  #index(): void {
    for (const run of this.#unindexed) {
      for (; run.indexed < run.callCount; run.indexed++) {
        const ref = run.refOf(run.indexed);
        if (ref !== undefined) this.#blockers.set(ref, run);
      }
    }
    this.#unindexed.clear();
  }

  /** The last run that waits for the blocker of the session. Returns undefined if there is none. */
  lastHeldOn(ref: string | undefined): Run | undefined {
    return ref === undefined ? undefined : this.#held.get(ref)?.at(-1);
  }

  /** Holds a run until all earlier calls on its session have ended. */
  hold(run: Run, ref: string): void {
    const held = this.#held.get(ref);
    if (held === undefined) this.#held.set(ref, [run]);
    else held.push(run);
  }

  /**
   * Makes later calls on the sessions of a run wait for it.
   * @param from the index of its first call that they must wait for
   */
  block(run: Run, from: 0 | 1): void {
    if (run.onEnd === undefined) {
      run.indexed = from;
      run.onEnd = () => this.#unblock(run);
    }
    this.#unindexed.add(run);
  }

  /** Lets `undone` block in the place of `run`, whose last calls were just sent again in it. */
  continueWith(run: Run, undone: Run): void {
    this.block(undone, 0);
    this.#index();
    this.#unblock(run);
  }

  /** Ends the blocks of a run, and releases the next held run of each of its sessions. */
  #unblock(run: Run): void {
    if (this.#held.size > 0) this.#index();
    this.#unindexed.delete(run);
    const now = performance.now();
    const next: Run[] = [];
    for (let i = 0; i < run.indexed; i++) {
      const ref = run.refOf(i);
      if (ref === undefined || this.#blockers.get(ref) !== run) continue;
      this.#blockers.delete(ref);
      if (this.#held.size === 0) continue;
      // Skip runs that are late: their calls have failed with `timeout`.
      const [first, ...others] = (this.#held.get(ref) ?? []).filter(({ deadline }) => deadline > now);
      if (others.length > 0) this.#held.set(ref, others);
      else this.#held.delete(ref);
      if (first !== undefined) next.push(first);
    }
    if (next.length > 0) this.#release(next);
  }
}
