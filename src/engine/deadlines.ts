/** Something that has to be over at a certain time. */
interface Pending {
  readonly at: number;
  expire(): void;
}

/**
 * Watches over all that is under way with a single timer: one a call would be a good part of what a call costs. What is
 * added has the same time left, so the first is the one that expires next; the few that have less left (the second
 * round trip of a call) have timers of their own.
 */
export class Deadlines {
  readonly #pending = new Set<Pending>();
  #latest = 0;
  #timer: NodeJS.Timeout | undefined;

  add(pending: Pending): void {
    this.#pending.add(pending);
    if (pending.at < this.#latest) setTimeout(this.#expireAll, pending.at - performance.now()).unref();
    else this.#latest = pending.at;
    if (this.#timer === undefined) this.#arm();
  }

  remove(pending: Pending): void {
    this.#pending.delete(pending);
  }

  #arm(): void {
    const [next] = this.#pending;
    // One more look at the sockets before giving up: when our own process was busy, the answer is waiting there.
    this.#timer = next && setTimeout(() => setImmediate(this.#expire), next.at - performance.now());
    // Whoever waits for a call keeps the process alive by the connection; with none left, this shall not.
    this.#timer?.unref();
  }

  readonly #expire = (): void => {
    this.#expireAll();
    this.#arm();
  };

  readonly #expireAll = (): void => {
    const now = performance.now();
    for (const pending of this.#pending) {
      if (pending.at > now) continue;
      this.#pending.delete(pending);
      pending.expire();
    }
  };
}
