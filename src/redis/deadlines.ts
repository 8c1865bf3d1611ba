import { hintOf, SessionError } from "../errors.js";
import { setImmediate } from "../util/real-timers.js";
import { warnOnce } from "../util/warn-once.js";
import type { RedisClient } from "./client.js";
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
  readonly #client: RedisClient;
  readonly #timeout: number;
  readonly #gate: Gate;
  readonly #pending = new Set<Pending>();
  #latestDeadline = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param timeout of each call, in ms */
  constructor(client: RedisClient, timeout: number) {
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
      const cause = client.lastError;
      const remedy = (cause && hintOf(cause)) ?? "check that Redis runs, and check host and port";
      const notConnected = `The client is not connected, its status is "${client.status}": ${remedy}.`;
      const hint = unsent === undefined ? notConnected : `${notConnected} ${unsent}.`;
      return new SessionError("timeout", message, { hint, cause });
    }
    const dead = this.#deadConnectionHint();
    const hint = dead !== undefined && unsent !== undefined ? `${dead}. ${unsent}` : (dead ?? unsent);
    return new SessionError("timeout", message, { hint });
  }

  /** A hint for a connection that seems dead though the client is connected. Also warns once. */
  #deadConnectionHint(): string | undefined {
    const remedy = this.#client.silenceRemedy;
    if (this.#gate.timeoutsInARow < MANY_TIMEOUTS || remedy === undefined) return undefined;
    warnOnce(
      this.#client,
      "NO_SOCKET_TIMEOUT",
      `Redis has not answered several calls in a row, though the client is connected. If Redis runs, ${remedy}`,
    );
    return `If Redis runs, ${remedy}`;
  }
}

/** Calls `expire` after the deadline. */
function startTimer(expire: () => void, deadline: number): NodeJS.Timeout {
  // Round up, because timers drop fractions of a millisecond and would fire before the deadline. Then read the sockets
  // once more with setImmediate: if this process was busy, the answer may be waiting there.
  const timer = setTimeout(() => setImmediate(expire), Math.ceil(deadline - performance.now()) + 1);
  // The timer must not keep the process alive. While a call is in flight, the open connection does.
  return timer.unref();
}
