import type { Cluster, Redis } from "ioredis";
import { SessionError } from "../errors.js";
import type { Client } from "../types.js";
import { warnOnce } from "../util/warn-once.js";
import { connectionErrorOf } from "./client.js";
import { type Gate, gateOf } from "./gate.js";

/** Something that has to be over at a certain time, as performance.now() has it. */
interface Pending {
  readonly deadline: number;
  /** For a command of ours: whether it was handed to the client. */
  readonly isSent?: boolean;
  fail(error: SessionError): void;
}

/** How many timeouts in a row, without any answer in between, show that the connection may have died. */
const MANY_TIMEOUTS = 3;

/**
 * Watches over all that is under way with a single timer: one a call would be a good part of what a call costs. What is
 * added has the same time left, so the first is the one that expires next; the few that have less left (the second
 * round trip of a call) have timers of their own.
 */
export class Deadlines {
  readonly #client: Client;
  readonly #timeout: number;
  readonly #gate: Gate;
  readonly #pending = new Set<Pending>();
  #latest = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout ms */
  constructor(client: Client, timeout: number) {
    this.#client = client;
    this.#timeout = timeout;
    this.#gate = gateOf(client);
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

  /** How much is watched over. */
  get count(): number {
    return this.#pending.size;
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
      if (pending.isSent) this.#gate.timedOut();
      pending.fail(this.timedOut(pending));
    }
  };

  /** What there is to say when time is over. */
  timedOut({ isSent }: Partial<Pending> = {}): SessionError {
    const client = this.#client;
    const message = `Redis did not answer within ${this.#timeout} ms`;
    const unsent = isSent === false ? "The call was not sent, and will not be" : undefined;
    if (client.status !== "ready") {
      const why = `The client is not connected, its status is "${client.status}": does Redis run, and are host and port right?`;
      const hint = unsent === undefined ? why : `${why} ${unsent}.`;
      return new SessionError("timeout", message, { hint, cause: connectionErrorOf(client) });
    }
    return new SessionError("timeout", message, { hint: this.#whyNoAnswer() ?? unsent });
  }

  /** What may be wrong where the client thinks that it is connected. */
  #whyNoAnswer(): string | undefined {
    if (this.#gate.timeoutsInARow < MANY_TIMEOUTS || hasSocketTimeout(this.#client)) return undefined;
    const remedy =
      "give the client ioredis's option socketTimeout: 3000, so that it replaces a connection that has died";
    warnOnce(
      this.#client,
      "NO_SOCKET_TIMEOUT",
      `Redis has not answered several calls in a row, though the client is connected. If Redis runs, ${remedy}`,
    );
    return `If Redis runs, ${remedy}`;
  }
}

/** Whether a client gives up a connection on which Redis does not answer. */
function hasSocketTimeout(client: Client): boolean {
  const options = client.isCluster ? (client as Cluster).options.redisOptions : (client as Redis).options;
  return typeof options?.socketTimeout === "number";
}

function wake(expire: () => void, deadline: number): NodeJS.Timeout {
  // Not before: timers count whole milliseconds, and drop the rest. And one more look at the sockets before giving up: when
  // our own process was busy, the answer is waiting there.
  const timer = setTimeout(() => setImmediate(expire), Math.ceil(deadline - performance.now()) + 1);
  // An open connection keeps the process alive while a call is under way; the timer alone must not.
  return timer.unref();
}
