import { quitWasCalled } from "../errors.js";

/** The calls of an engine that are under way. After `close` no more are admitted. */
export class OpenCalls {
  #underWay = 0;
  #isClosed = false;
  #drained: (() => void) | undefined;

  /** @throws SessionError `unavailable` after `close` */
  admit(): void {
    if (this.#isClosed) throw quitWasCalled();
  }

  /** Counts a call until it is settled. */
  track<Result>(call: Promise<Result>): Promise<Result> {
    this.#underWay++;
    call.then(this.#leave, this.#leave);
    return call;
  }

  /** Admits no more calls. Resolves when those that are under way have ended. */
  close(): Promise<void> {
    this.#isClosed = true;
    return new Promise((resolve) => {
      if (this.#underWay === 0) resolve();
      else this.#drained = resolve;
    });
  }

  readonly #leave = (): void => {
    this.#underWay--;
    if (this.#underWay === 0) this.#drained?.();
  };
}
