import { Batch } from "./batch.js";
import { Deadlines } from "./deadlines.js";
import { fromRedis, SessionError } from "./errors.js";
import type { Keys } from "./keys.js";
import type { Operation } from "./operations.js";
import type { Client } from "./types.js";

/** The one way to Redis: every round trip has a deadline, every error is a SessionError. */
export class Connection {
  readonly client: Client;
  readonly #timeout: number;
  readonly #batch: Batch;
  readonly #deadlines = new Deadlines();

  constructor(client: Client, timeout: number) {
    this.client = client;
    this.#timeout = timeout;
    this.#batch = new Batch(client);
  }

  /** Runs an operation's script. `deadline` is for a call that takes more than one round trip. */
  run<Input, Output>(
    operation: Operation<Input, Output>,
    keys: Keys,
    input: Input,
    deadline = this.deadline(),
  ): Promise<Output> {
    const { script } = operation;
    const call = { script, keys: operation.keys(keys, input), args: operation.args(input) };
    return this.#within(
      deadline,
      (settle) => this.#batch.run(keys.base, { ...call, settle }),
      (reply) => operation.reply(reply as never, input),
    );
  }

  /** Sends a plain command. */
  command<Reply>(send: (client: Client) => Promise<Reply>): Promise<Reply> {
    return this.#within(
      this.deadline(),
      (settle) => {
        send(this.client).then(
          (reply) => settle(null, reply),
          (error) => settle(error, null),
        );
      },
      (reply) => reply as Reply,
    );
  }

  /** When a call that begins now has to end. */
  deadline(): number {
    return performance.now() + this.#timeout;
  }

  #within<Result>(
    at: number,
    start: (settle: (error: unknown, reply: unknown) => void) => void,
    read: (reply: unknown) => Result,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const pending = {
        at,
        expire: () => reject(new SessionError("timeout", `Redis did not answer within ${this.#timeout} ms`)),
      };
      this.#deadlines.add(pending);
      start((error, reply) => {
        this.#deadlines.remove(pending);
        if (error !== null) return reject(fromRedis(error));
        try {
          resolve(read(reply));
        } catch (unreadable) {
          reject(fromRedis(unreadable));
        }
      });
    });
  }
}
