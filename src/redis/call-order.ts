import type { Run } from "./run.js";

/**
 * Keeps the calls on one session in order where a script may leave some undone, which are then sent again: all calls of a
 * run but the first. While such a call is on its way, later calls on its session are held.
 */
export class CallOrder {
  /** Session key → the run that later calls on the session must wait for. */
  readonly #open = new Map<string, Run>();
  /** The sessions that each run keeps open. */
  readonly #sessions = new Map<Run, Set<string>>();
  /** Session key → the runs that wait, in the order of their calls. Each concerns this session only. */
  readonly #held = new Map<string, Run[]>();
  readonly #release: (runs: Run[]) => void;

  /** @param release is called with the runs whose turn has come, one a session */
  constructor(release: (runs: Run[]) => void) {
    this.#release = release;
  }

  /** The run that a call on the session must wait for, or must be part of; undefined for none. */
  blockerOf(session: string): Run | undefined {
    return this.#open.get(session);
  }

  /** The runs that wait for the session's blocker. */
  heldOn(session: string): readonly Run[] {
    return this.#held.get(session) ?? [];
  }

  /** Holds a run until all calls on its session that were made before have their answers. */
  hold(run: Run, session: string): void {
    this.#held.set(session, [...this.heldOn(session), run]);
  }

  /** Lets later calls on the session wait for this run. */
  open(run: Run, session: string): void {
    this.#open.set(session, run);
    const sessions = this.#sessions.get(run);
    if (sessions !== undefined) sessions.add(session);
    else {
      this.#sessions.set(run, new Set([session]));
      run.onOver = () => this.#close(run);
    }
  }

  /** The last calls of `run` were left undone and were just sent again in `rest`. */
  goesOn(run: Run, rest: Run): void {
    for (const session of rest.sessions) this.open(rest, session);
    this.#close(run);
  }

  #close(run: Run): void {
    const now = performance.now();
    const next: Run[] = [];
    for (const session of this.#sessions.get(run) ?? []) {
      if (this.#open.get(session) !== run) continue;
      this.#open.delete(session);
      // The callers of runs that are late were told so.
      const held = this.heldOn(session).filter(({ deadline }) => deadline > now);
      const [first, ...others] = held;
      if (others.length > 0) this.#held.set(session, others);
      else this.#held.delete(session);
      if (first !== undefined) next.push(first);
    }
    this.#sessions.delete(run);
    if (next.length > 0) this.#release(next);
  }
}
