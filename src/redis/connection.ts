import { setTimeout as sleep } from "node:timers/promises";
import { fromRedis, quitWasCalled, SessionError } from "../errors.js";
import type { Client } from "../types.js";
import { Batch, MOVING_PAUSE } from "./batch.js";
import { connectionErrorOf } from "./client.js";
import { Deadlines } from "./deadlines.js";
import { type Gate, gateOf, type Held, isReply } from "./gate.js";
import type { AppKeys, Operation } from "./operation.js";
import { assertAnswer } from "./reply.js";
import { type Call, Run } from "./run.js";
import { isMoving } from "./script.js";

/** The one way to Redis: every round trip has a deadline, every error is a SessionError. */
export class Connection {
  readonly client: Client;
  readonly #deadlines: Deadlines;
  readonly #batch: Batch;
  readonly #gate: Gate;
  #isClosed = false;

  /** @param timeout ms */
  constructor(client: Client, timeout: number) {
    this.client = client;
    this.#deadlines = new Deadlines(client, timeout);
    this.#batch = new Batch(client, this.#deadlines);
    this.#gate = gateOf(client);
  }

  /**
   * Runs an operation's script.
   * @param deadline of a call that takes more than one round trip; this one leaves at once, and by itself
   */
  run<Keys extends AppKeys, Input, Output>(
    operation: Operation<Keys, Input, Output>,
    keys: Keys,
    input: Input,
    deadline?: number,
  ): Promise<Output> {
    return new Promise((resolve, reject) => {
      // A run answers each call with what its own operation makes of the reply.
      if (this.#isClosed) throw quitWasCalled();
      const call = {
        operation: operation as Call["operation"],
        keys,
        input,
        resolve: resolve as Call["resolve"],
        reject,
      };
      if (deadline === undefined) this.#batch.add(call);
      else this.#batch.send(new Run(call, deadline));
    });
  }

  /** Sends a plain command. */
  command<Reply>(send: (client: Client) => Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw quitWasCalled();
      const pending = { deadline: this.deadline(), isSent: false, fail: reject };
      const fail = (error: unknown) => {
        this.#deadlines.remove(pending);
        reject(fromRedis(error, connectionErrorOf(this.client)));
      };
      const attempt = () => {
        // The caller has been told, or will be in a moment.
        if (performance.now() >= pending.deadline) return;
        pending.isSent = true;
        send(this.client).then(
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
            if (isReply(error)) this.#gate.answered();
            const again = performance.now() + MOVING_PAUSE;
            if (!this.client.isCluster || !isMoving(error) || again >= pending.deadline) fail(error);
            else
              setTimeout(() => this.#pass({ deadline: pending.deadline, send: attempt, fail }), MOVING_PAUSE).unref();
          },
        );
      };
      this.#deadlines.add(pending);
      this.#pass({ deadline: pending.deadline, send: attempt, fail });
    });
  }

  /**
   * Waits until `calls` have ended and nothing else is under way, such as a store's calls, and refuses what comes then.
   * Does so at the deadline, whatever is under way.
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
  }

  #pass(held: Held): void {
    if (this.#gate.isOpen) held.send();
    else this.#gate.hold(held);
  }

  /**
   * Gives up at a deadline. Work of several round trips is to look by itself whether that has passed.
   * @param complaint what there is to say then, where it is not Redis that does not answer
   */
  within<Result>(deadline: number, work: () => Promise<Result>, complaint?: string): Promise<Result> {
    return new Promise((resolve, reject) => {
      const fail = (error: SessionError) =>
        reject(complaint === undefined ? error : new SessionError("timeout", complaint));
      const pending = { deadline, fail };
      this.#deadlines.add(pending);
      work()
        .then(resolve, reject)
        .finally(() => this.#deadlines.remove(pending));
    });
  }

  /** @throws SessionError `timeout` when a deadline has passed, so that nothing more is begun */
  assertInTime(deadline: number): void {
    if (performance.now() >= deadline) throw this.#deadlines.timedOut();
  }

  /** When a call that begins now has to end. */
  deadline(): number {
    return this.#deadlines.next();
  }
}
