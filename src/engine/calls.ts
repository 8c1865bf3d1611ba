import { SessionError } from "./errors.js";

/** What a call is told that is made after `quit`. */
export function quitWasCalled(): SessionError {
  return new SessionError("unavailable", "The engine is closed: quit() was called before this call");
}

/** The calls of an engine that are under way. After `close` no more are admitted. */
export class Calls {
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
