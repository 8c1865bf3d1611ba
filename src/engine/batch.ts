import { runScript, type Script } from "./script.js";
import type { Client } from "./types.js";

interface Waiting {
  script: Script;
  keys: readonly string[];
  args: readonly (string | number)[];
  resolve: (reply: unknown) => void;
  reject: (error: unknown) => void;
}

/**
 * Sends scripts that are asked for in one round of the event loop together. ioredis makes one system call a command,
 * and so does Redis for its answer, which is the better part of what a call costs under load. The first of a round
 * leaves at once, so that calls made one after another wait for nothing; those that come while it is on its way leave
 * in one pipeline when the round's I/O events are through.
 */
export class Batch {
  readonly #client: Client;
  /** What waits for the end of the round, by hash tag: a pipeline may not span two Cluster slots. */
  readonly #waiting = new Map<string, Waiting[]>();
  #underWay = false;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @param tag what the keys share, and other keys do not: their hash tag */
  run(tag: string, script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    if (!this.#underWay) {
      this.#underWay = true;
      setImmediate(this.#flush);
      return runScript(this.#client, script, keys, args);
    }
    return new Promise((resolve, reject) => {
      const call = { script, keys, args, resolve, reject };
      const others = this.#waiting.get(tag);
      if (others === undefined) this.#waiting.set(tag, [call]);
      else others.push(call);
    });
  }

  readonly #flush = (): void => {
    this.#underWay = false;
    for (const calls of this.#waiting.values()) this.#send(calls);
    this.#waiting.clear();
  };

  #send(calls: readonly Waiting[]): void {
    const [only] = calls;
    if (only !== undefined && calls.length === 1) {
      runScript(this.#client, only.script, only.keys, only.args).then(only.resolve, only.reject);
      return;
    }
    const pipeline = this.#client.pipeline();
    for (const { script, keys, args } of calls) {
      pipeline.evalsha(script.sha, keys.length, [...keys, ...args] as unknown as string);
    }
    pipeline.exec().then(
      (replies) => {
        for (const [i, call] of calls.entries()) this.#settle(call, replies?.[i] ?? [null, null]);
      },
      (error) => {
        for (const call of calls) call.reject(error);
      },
    );
  }

  #settle({ script, keys, args, resolve, reject }: Waiting, [error, reply]: [Error | null, unknown]): void {
    if (error === null) resolve(reply);
    else if (error.message.startsWith("NOSCRIPT")) runScript(this.#client, script, keys, args).then(resolve, reject);
    else reject(error);
  }
}
