/** How often the progress is written, in ms: to a terminal, and to anything else. */
const TERMINAL_INTERVAL = 200;
const LOG_INTERVAL = 10_000;

/** Writes to stderr how far a command has come: one line that changes on a terminal, else a line now and then. */
export class Progress {
  readonly #isTerminal = process.stderr.isTTY === true;
  #next = performance.now() + (this.#isTerminal ? 0 : LOG_INTERVAL);
  #hasLine = false;
  #text: string | undefined;

  show(text: string): void {
    this.#text = text;
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + (this.#isTerminal ? TERMINAL_INTERVAL : LOG_INTERVAL);
    process.stderr.write(this.#isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
    this.#hasLine = this.#isTerminal;
  }

  /** Writes how far a command came that has failed, and what to do. */
  fail(remedy: string): void {
    if (this.#text === undefined) return;
    this.end();
    process.stderr.write(`at least ${this.#text}: ${remedy}\n`);
  }

  end(): void {
    if (this.#hasLine) process.stderr.write("\r\x1b[K");
    this.#hasLine = false;
  }
}

/** Returns a signal that Ctrl-C aborts. A second Ctrl-C ends the process at once. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stop.abort());
  return stop.signal;
}
