import type { Run } from "./run.js";

/**
 * Keeps the calls on one session in order where a script may leave some undone, which are then sent again: all calls of a
 * run but the first. While such a call is on its way, later ones on its session are held.
 */
export class CallOrder {
  /** Session key → the run in which a call on the session may be left undone. */
  readonly #open = new Map<string, Run>();
  readonly #held = new Map<Run, Run[]>();
  readonly #release: (runs: Run[]) => void;

  /** @param release sends runs whose calls were held, in this order */
  constructor(release: (runs: Run[]) => void) {
    this.#release = release;
  }

  /** The run that those must wait for that have such keys, from the `from`-th on keys of sessions. */
  blockerOf(keys: readonly string[], from: number): Run | undefined {
    if (this.#open.size === 0) return undefined;
    for (let i = from; i < keys.length; i++) {
      const run = this.#open.get(keys[i] as string);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  /** Notes that a run has taken in a call on a session, which it may leave undone. */
  opened(run: Run, session: string): void {
    this.#open.set(session, run);
    run.onOver ??= () => this.#close(run);
  }

  /** The runs that wait for another, the last of which may take in more calls. */
  heldBy(blocker: Run): Run[] {
    const held = this.#held.get(blocker) ?? [];
    this.#held.set(blocker, held);
    return held;
  }

  /** Calls of `run` were left undone and go on in `rest`: what waits for the one waits for the other. */
  goesOn(run: Run, rest: Run): void {
    const held = this.#held.get(run);
    this.#held.delete(run);
    this.#forget(run);
    // Its first is always done, but what is held by now must not be overtaken.
    for (const session of rest.sessions) this.opened(rest, session);
    rest.onOver ??= () => this.#close(rest);
    if (held !== undefined) this.#held.set(rest, held);
  }

  #close(run: Run): void {
    const held = this.#held.get(run);
    this.#held.delete(run);
    this.#forget(run);
    if (held !== undefined) this.#release(held);
  }

  #forget(run: Run): void {
    for (const session of run.sessions) if (this.#open.get(session) === run) this.#open.delete(session);
  }
}
