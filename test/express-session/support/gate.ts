/** Where requests wait until the test lets them on. */
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

  /** For the test: waits until so many requests stand at the gate. */
  async crowd(count: number): Promise<void> {
    while (this.#waiting.length < count) {
      await new Promise<void>((resolve) => {
        this.#noticed = resolve;
      });
    }
  }

  /** Lets on those who wait. The next ones wait again. */
  open(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}
