/** Runs tasks with the same key one after another, and tasks with different keys at the same time. */
export class KeyedQueue {
  /** Key → the end of its last task. These promises never reject. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether a task with this key is waiting or running. */
  has(key: string): boolean {
    return this.#last.has(key);
  }

  /** Runs the task when all earlier tasks with this key have ended, whether they succeeded or failed. */
  async run<Result>(key: string, task: () => Promise<Result>): Promise<Result> {
    const result = (this.#last.get(key) ?? Promise.resolve()).then(task);
    const over = result.catch(() => {});
    this.#last.set(key, over);
    await over;
    if (this.#last.get(key) === over) this.#last.delete(key);
    return result;
  }
}
