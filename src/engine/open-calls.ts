import { quitWasCalled } from "../errors.js";

/** Counts an engine's calls that are under way, so that `quit` can wait for them. */
export class OpenCalls {
  #underWay = 0;
  #isClosed = false;
  #drained: (() => void) | undefined;
  /** What must be done before a call on an app, if anything. Returns undefined if there is nothing to wait for. */
  prepare: ((app: string) => Promise<void> | undefined) | undefined;

  /** @throws SessionError `unavailable` after `close` */
  admit(): void {
    if (this.#isClosed) throw quitWasCalled();
  }

  /**
   * Returns a function that counts a call until its promise is settled, and returns its converted result. (A promise of its own
   * for the count, or functions for each call, would make calls noticeably slower.)
   */
  tracker<Raw, Result = Raw>(convert?: (raw: Raw) => Result): (call: Promise<Raw>) => Promise<Result> {
    const onResult = (raw: Raw): Result => {
      this.#leave();
      // Without `convert`, the result is of the type Raw.
      return convert === undefined ? (raw as unknown as Result) : convert(raw);
    };
    const onError = (error: unknown): never => {
      this.#leave();
      throw error;
    };
    return (call) => {
      this.#underWay++;
      return call.then(onResult, onError);
    };
  }

  /** Refuses further calls. Resolves when the calls under way have ended. */
  close(): Promise<void> {
    this.#isClosed = true;
    return new Promise((resolve) => {
      if (this.#underWay === 0) resolve();
      else this.#drained = resolve;
    });
  }

  #leave(): void {
    this.#underWay--;
    if (this.#underWay === 0) this.#drained?.();
  }
}
