import type { Cluster, Redis } from "ioredis";
import { SessionError } from "../errors.js";
import type { Client } from "../types.js";
import { setImmediate } from "../util/real-timers.js";
import { warnOnce } from "../util/warn-once.js";
import { connectionErrorOf } from "./client.js";
import { type Gate, gateOf } from "./gate.js";

/** A call that must end before its deadline. */
interface Pending {
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  /** Whether the command was passed to the client. Undefined for work that is not a command. */
  readonly isSent?: boolean;
  /** Called once, when the deadline has passed. */
  fail(error: SessionError): void;
}

/** After this many timeouts in a row, without an answer in between, the connection may be dead. */
const MANY_TIMEOUTS = 3;

/**
 * Ends calls that take too long. One timer serves all calls, because a timer for each would make calls noticeably slower.
 * New calls all have the same timeout, so the first one expires next. A call with an earlier deadline than one before it,
 * such as the second round trip of a call, gets its own timer.
 */
export class Deadlines {
  readonly #client: Client;
  readonly #timeout: number;
  readonly #gate: Gate;
  readonly #pending = new Set<Pending>();
  #latestDeadline = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout of each call, in ms */
  constructor(client: Client, timeout: number) {
    this.#client = client;
    this.#timeout = timeout;
    this.#gate = gateOf(client);
  }

  /** The deadline of a call that begins now. */
  next(): number {
    return performance.now() + this.#timeout;
  }

  add(pending: Pending): void {
    const { deadline } = pending;
    this.#pending.add(pending);
    if (deadline < this.#latestDeadline) startTimer(this.#expireAll, deadline);
    else this.#latestDeadline = deadline;
    if (this.#timer === undefined) this.#arm();
  }

  remove(pending: Pending): void {
    this.#pending.delete(pending);
  }

  /** The number of calls that have neither ended nor expired. */
  get count(): number {
    return this.#pending.size;
  }

  #arm(): void {
    const [first] = this.#pending;
    this.#timer = first && startTimer(this.#expire, first.deadline);
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

  /** The error of a call whose deadline has passed. */
  timedOut({ isSent }: Partial<Pending> = {}): SessionError {
    const client = this.#client;
    const message = `Redis did not answer within ${this.#timeout} ms`;
    const unsent = isSent === false ? "The call was not sent and will not be sent" : undefined;
    if (client.status !== "ready") {
      const notConnected = `The client is not connected, its status is "${client.status}". Check that Redis runs, and check host and port.`;
      const hint = unsent === undefined ? notConnected : `${notConnected} ${unsent}.`;
      return new SessionError("timeout", message, { hint, cause: connectionErrorOf(client) });
    }
    return new SessionError("timeout", message, { hint: this.#deadConnectionHint() ?? unsent });
  }

  /** A hint for a connection that seems dead though the client is connected. Also warns once. */
  #deadConnectionHint(): string | undefined {
    if (this.#gate.timeoutsInARow < MANY_TIMEOUTS || hasSocketTimeout(this.#client)) return undefined;
    const remedy = "set ioredis's option socketTimeout: 3000, so that the client replaces a dead connection";
    warnOnce(
      this.#client,
      "NO_SOCKET_TIMEOUT",
      `Redis has not answered several calls in a row, though the client is connected. If Redis runs, ${remedy}`,
    );
    return `If Redis runs, ${remedy}`;
  }
}

/** Whether a client replaces a connection on which Redis does not answer. */
function hasSocketTimeout(client: Client): boolean {
  const options = client.isCluster ? (client as Cluster).options.redisOptions : (client as Redis).options;
  return typeof options?.socketTimeout === "number";
}

/** Calls `expire` after the deadline. */
function startTimer(expire: () => void, deadline: number): NodeJS.Timeout {
  // Round up, because timers drop fractions of a millisecond and would fire before the deadline. Then read the sockets
  // once more with setImmediate: if this process was busy, the answer may be waiting there.
  const timer = setTimeout(() => setImmediate(expire), Math.ceil(deadline - performance.now()) + 1);
  // The timer must not keep the process alive. While a call is in flight, the open connection does.
  return timer.unref();
}
