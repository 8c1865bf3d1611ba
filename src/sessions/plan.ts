import type { AppRegistry } from "./app-registry.js";
import type { AppState } from "./app-state.js";

/** A step of a move was refused, because the move has ended. Sessions of the former shards may be in use again. */
export class PlanIsOver extends Error {
  override readonly name = "PlanIsOver";
}

/** The plan by which an app moves. Every step of the move asks it first, because a process may have stopped for hours in between. */
export class Plan {
  readonly #registry: AppRegistry;
  readonly #app: string;
  readonly #plan: number;
  /** Until then no other plan can have changed a shard, on the clock of performance.now(). */
  #validUntil = 0;
  #isOver = false;

  /** @param state the state of an app that moves */
  constructor(registry: AppRegistry, app: string, { plan }: AppState) {
    this.#registry = registry;
    this.#app = app;
    this.#plan = plan;
  }

  /**
   * Reads the list of apps, at most once in a lease: the next move waits for longer than a lease. A plan that is over remains so.
   * @throws PlanIsOver
   */
  async assertInForce(): Promise<void> {
    const now = performance.now();
    if (now < this.#validUntil && !this.#isOver) return;
    const state = this.#isOver ? undefined : await this.#registry.read(this.#app);
    if (state === undefined || !state.isMoving || state.plan !== this.#plan) {
      this.#isOver = true;
      throw new PlanIsOver("The move of this app has ended");
    }
    this.#validUntil = now + this.#registry.leaseTime;
  }
}
