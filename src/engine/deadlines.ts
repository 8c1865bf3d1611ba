import { troubleOf } from "./client.js";
import { SessionError } from "./errors.js";
import type { Client } from "./types.js";

/** Something that has to be over at a certain time, as performance.now() has it. */
interface Pending {
  readonly deadline: number;
  fail(error: SessionError): void;
}

/**
 * Watches over all that is under way with a single timer: one a call would be a good part of what a call costs. What is
 * added has the same time left, so the first is the one that expires next; the few that have less left (the second
 * round trip of a call) have timers of their own.
 */
export class Deadlines {
  readonly #client: Client;
  readonly #timeout: number;
  readonly #pending = new Set<Pending>();
  #latest = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout ms */
  constructor(client: Client, timeout: number) {
    this.#client = client;
    this.#timeout = timeout;
  }

  /** When what begins now has to be over. */
  next(): number {
    return performance.now() + this.#timeout;
  }

  add(pending: Pending): void {
    const { deadline } = pending;
    this.#pending.add(pending);
    if (deadline < this.#latest) wake(this.#expireAll, deadline);
    else this.#latest = deadline;
    if (this.#timer === undefined) this.#arm();
  }

  remove(pending: Pending): void {
    this.#pending.delete(pending);
  }

  #arm(): void {
    const [first] = this.#pending;
    this.#timer = first && wake(this.#expire, first.deadline);
  }

  readonly #expire = (): void => {
    this.#expireAll();
    this.#arm();
  };

  readonly #expireAll = (): void => {
    const now = performance.now();
    for (const pending of this.#pending) {
      if (pending.deadline > now) continue;
      this.#pending.delete(pending);
      pending.fail(this.timedOut());
    }
  };

  /** What there is to say when time is over. */
  timedOut(): SessionError {
    const { status } = this.#client;
    const message = `Redis did not answer within ${this.#timeout} ms`;
    if (status === "ready") return new SessionError("timeout", message);
    const hint = `The client is not connected, its status is "${status}": does Redis run, and are host and port right?`;
    return new SessionError("timeout", message, { hint, cause: troubleOf(this.#client) });
  }
}

function wake(expire: () => void, deadline: number): NodeJS.Timeout {
  // Not before: timers count whole milliseconds, and drop the rest. And one more look at the sockets before giving up: when
  // our own process was busy, the answer is waiting there.
  const timer = setTimeout(() => setImmediate(expire), Math.ceil(deadline - performance.now()) + 1);
  // An open connection keeps the process alive while a call is under way; the timer alone must not.
  return timer.unref();
}
