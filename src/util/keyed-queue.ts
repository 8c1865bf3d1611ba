/** Work that is done one after the other, where it concerns the same. */
export class KeyedQueue {
  /** Of each key the end of what was asked for last. It does not fail. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether something waits, or is being done, under this key. */
  has(key: string): boolean {
    return this.#last.has(key);
  }

  /** Does the work when all that was asked for before under this key is over. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const over = turn.catch(() => {});
    this.#last.set(key, over);
    await over;
    if (this.#last.get(key) === over) this.#last.delete(key);
    return turn;
  }
}
