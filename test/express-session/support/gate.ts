/** Holds requests until the test opens it. */
export class Gate {
  #waiting: (() => void)[] = [];
  #noticed: (() => void) | undefined;

  /** For the request: waits until the gate is opened. */
  pass(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#noticed?.();
    });
  }

  /** For the test: waits until this many requests wait at the gate. */
  async waitFor(count: number): Promise<void> {
    while (this.#waiting.length < count) {
      await new Promise<void>((resolve) => {
        this.#noticed = resolve;
      });
    }
  }

  /** Lets the waiting requests continue. Later requests wait again. */
  open(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}
