import { Batch } from "./batch.js";
import { fromRedis, SessionError } from "./errors.js";
import type { Keys } from "./keys.js";
import type { Operation } from "./operations.js";
import type { Client } from "./types.js";

/** The one way to Redis: every round trip has a deadline, every error is a SessionError. */
export class Connection {
  readonly client: Client;
  readonly #timeout: number;
  readonly #batch: Batch;

  constructor(client: Client, timeout: number) {
    this.client = client;
    this.#timeout = timeout;
    this.#batch = new Batch(client);
  }

  /** Runs an operation's script. `deadline` is for a call that takes more than one round trip. */
  async run<Input, Output>(
    operation: Operation<Input, Output>,
    keys: Keys,
    input: Input,
    deadline = this.deadline(),
  ): Promise<Output> {
    const reply = await this.#within(
      deadline,
      this.#batch.run(keys.base, operation.script, operation.keys(keys, input), operation.args(input)),
    );
    return operation.reply(reply as never, input);
  }

  /** Sends a plain command. */
  command<Reply>(send: (client: Client) => Promise<Reply>): Promise<Reply> {
    return this.#within(this.deadline(), send(this.client));
  }

  /** When a call that begins now has to end. */
  deadline(): number {
    return performance.now() + this.#timeout;
  }

  #within<Reply>(deadline: number, answer: Promise<Reply>): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const expire = () => reject(new SessionError("timeout", `Redis did not answer within ${this.#timeout} ms`));
      // One more look at the sockets before giving up: when our own process was busy, the answer is waiting there.
      const timer = setTimeout(() => setImmediate(expire), deadline - performance.now());
      answer.then(
        (reply) => {
          clearTimeout(timer);
          resolve(reply);
        },
        (error) => {
          clearTimeout(timer);
          reject(fromRedis(error));
        },
      );
    });
  }
}
