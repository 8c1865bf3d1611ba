import { setTimeout as sleep } from "node:timers/promises";
import { fromRedis, quitWasCalled, SessionError } from "../errors.js";
import { Batch, MOVING_PAUSE } from "./batch.js";
import { currentTrace } from "./call-trace.js";
import type { Commands, RedisClient } from "./client.js";
import { Deadlines } from "./deadlines.js";
import { type Gate, gateOf, type HeldCommand, isReply, isUnsent } from "./gate.js";
import type { AppKeys, Operation, OperationInput } from "./operation.js";
import { assertAnswer } from "./reply.js";
import { type Call, Run } from "./run.js";
import { isMoving } from "./script.js";
import { Subscriber } from "./subscriber.js";

/** About how many keys Redis looks at in one SCAN. */
const SCAN_COUNT = 200;

/** Sends an engine's operations and commands to Redis. Each has a deadline, and each error is a SessionError. */
export class Connection {
  readonly client: RedisClient;
  /** Hears what the scripts of all processes announce. */
  readonly subscriber: Subscriber;
  readonly #deadlines: Deadlines;
  readonly #batch: Batch;
  readonly #gate: Gate;
  readonly #stopWatching: () => void;
  #isClosed = false;

  /** @param timeout of each call, in ms */
  constructor(client: RedisClient, timeout: number) {
    this.client = client;
    this.subscriber = new Subscriber(client);
    this.#stopWatching = client.watch();
    this.#deadlines = new Deadlines(client, timeout);
    this.#batch = new Batch(client, this.#deadlines);
    this.#gate = gateOf(client);
  }

  /**
   * Runs an operation's script, in one run with other calls if possible.
   * @param deadline of a call with several round trips. With it, the script is sent at once and serves this call only.
   */
  run<Keys extends AppKeys, Input extends OperationInput, Output>(
    operation: Operation<Keys, Input, Output>,
    keys: Keys,
    input: Input,
    deadline?: number,
  ): Promise<Output> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw quitWasCalled();
      // The casts are safe: a run resolves each call with the output of the call's own operation.
      const call = {
        operation: operation as Call["operation"],
        keys,
        input,
        trace: currentTrace(),
        order: undefined,
        resolve: resolve as Call["resolve"],
        reject,
      };
      if (deadline === undefined) this.#batch.add(call);
      else this.#batch.send(new Run(call, deadline));
    });
  }

  /**
   * Sends a plain command.
   * @param deadline of a call that takes more than one round trip
   */
  command<Reply>(send: (client: Commands) => Promise<Reply>, deadline = this.deadline()): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw quitWasCalled();
      const pending = { deadline, isSent: false, fail: reject };
      const fail = (error: unknown) => {
        this.#deadlines.remove(pending);
        reject(fromRedis(error, this.client.lastError));
      };
      const attempt = () => {
        // Do not send after the deadline: the caller gets the error `timeout`.
        if (performance.now() >= pending.deadline) return;
        pending.isSent = true;
        send(this.client.commands(deadline)).then(
          (reply) => {
            this.#gate.answered();
            try {
              assertAnswer(reply);
              this.#deadlines.remove(pending);
              resolve(reply);
            } catch (error) {
              fail(error);
            }
          },
          (error) => {
            if (isUnsent(error)) {
              // The deadline is now, and will end the call.
              pending.isSent = false;
              return;
            }
            if (isReply(error)) this.#gate.answered();
            const again = performance.now() + MOVING_PAUSE;
            if (!this.client.isCluster || !isMoving(error) || again >= pending.deadline) fail(error);
            else
              setTimeout(
                () => this.#sendOrHold({ deadline: pending.deadline, send: attempt, fail }),
                MOVING_PAUSE,
              ).unref();
          },
        );
      };
      this.#deadlines.add(pending);
      this.#sendOrHold({ deadline: pending.deadline, send: attempt, fail });
    });
  }

  /**
   * Yields the names of all keys of a type that begin with `prefix`, in pages that may be empty. A key that exists from the
   * beginning to the end is yielded at least once. On a Cluster whose slots move meanwhile, a key may be missed.
   */
  async *scan(prefix: string, type: string): AsyncGenerator<string[], void> {
    const { keyPrefix } = this.client;
    const match = `${(keyPrefix + prefix).replace(/[\\*?[\]]/g, "\\$&")}*`;
    for (const server of await this.client.keyServers()) {
      let cursor = "0";
      do {
        const [next, keys] = await this.command(() => server.scan(cursor, match, SCAN_COUNT, type));
        yield keys.map((key) => key.slice(keyPrefix.length));
        cursor = String(next);
      } while (cursor !== "0");
    }
  }

  /**
   * Waits until `calls` and all other calls, such as a store's, have ended, but not past the deadline. Calls after that
   * are refused.
   */
  async close(deadline: number, calls: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadline - performance.now());
    });
    const drained = calls.then(async () => {
      while (this.#deadlines.count > 0 && performance.now() < deadline) await sleep(5);
    });
    await Promise.race([drained, late]);
    clearTimeout(timer);
    this.#isClosed = true;
    this.subscriber.close();
    this.#stopWatching();
  }

  #sendOrHold(held: HeldCommand): void {
    if (this.#gate.isOpen) held.send();
    else this.#gate.hold(held);
  }

  /**
   * Rejects with `timeout` when the deadline passes before the work has ended. This does not stop the work: work with
   * several round trips must call `assertInTime` before each.
   * @param lateMessage the message of the error, if a slow Redis is not the reason
   */
  within<Result>(deadline: number, work: () => Promise<Result>, lateMessage?: string): Promise<Result> {
    return new Promise((resolve, reject) => {
      const fail = (error: SessionError) =>
        reject(lateMessage === undefined ? error : new SessionError("timeout", lateMessage));
      const pending = { deadline, fail };
      this.#deadlines.add(pending);
      work()
        .then(resolve, reject)
        .finally(() => this.#deadlines.remove(pending));
    });
  }

  /** @throws SessionError `timeout` if the deadline has passed */
  assertInTime(deadline: number): void {
    if (performance.now() >= deadline) throw this.#deadlines.timedOut();
  }

  /** The deadline of a call that begins now, on the clock of `performance.now()`. */
  deadline(): number {
    return this.#deadlines.next();
  }
}
