import { quitWasCalled } from "../errors.js";

/** Counts an engine's calls that are under way, so that `quit` can wait for them. */
export class OpenCalls {
  #underWay = 0;
  #isClosed = false;
  #drained: (() => void) | undefined;

  /** @throws SessionError `unavailable` after `close` */
  admit(): void {
    if (this.#isClosed) throw quitWasCalled();
  }

  /** Counts a call until its promise is settled. */
  track<Result>(call: Promise<Result>): Promise<Result> {
    this.#underWay++;
    call.then(this.#leave, this.#leave);
    return call;
  }

  /** Refuses further calls. Resolves when the calls under way have ended. */
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
