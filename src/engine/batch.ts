import { runScript, type Script, sendable } from "./script.js";
import type { Client } from "./types.js";

/** A script that is to run, and what is to be told when it has. */
export interface Call {
  script: Script;
  keys: readonly string[];
  args: readonly (string | number)[];
  settle: (error: unknown, reply: unknown) => void;
}

/**
 * Sends scripts that are asked for in one round of the event loop together. ioredis makes one system call a command,
 * and so does Redis for its answer, which is the better part of what a call costs under load. A call leaves at once
 * when no other is on its way, so that calls made one after another wait for nothing; those that come meanwhile leave
 * in one pipeline when the round's I/O events are through.
 */
export class Batch {
  readonly #client: Client;
  /** What waits for the end of the round, by hash tag: a pipeline may not span two Cluster slots. */
  readonly #waiting = new Map<string, Call[]>();
  #onTheirWay = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @param tag what the call's keys share, and other keys do not: their hash tag */
  run(tag: string, call: Call): void {
    // Not past those that wait: calls keep the order in which they were made.
    if (this.#onTheirWay === 0 && this.#waiting.size === 0) {
      this.#runAlone(call);
      return;
    }
    if (this.#waiting.size === 0) setImmediate(this.#flush);
    const others = this.#waiting.get(tag);
    if (others === undefined) this.#waiting.set(tag, [call]);
    else others.push(call);
  }

  readonly #flush = (): void => {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const calls of waiting) {
      const [first] = calls;
      if (first !== undefined && calls.length === 1) this.#runAlone(first);
      else this.#runTogether(calls);
    }
  };

  #runAlone({ script, keys, args, settle }: Call): void {
    this.#onTheirWay++;
    runScript(this.#client, script, keys, args).then(
      (reply) => {
        this.#onTheirWay--;
        settle(null, reply);
      },
      (error) => {
        this.#onTheirWay--;
        settle(error, null);
      },
    );
  }

  #runTogether(calls: readonly Call[]): void {
    this.#onTheirWay++;
    const pipeline = this.#client.pipeline();
    for (const { script, keys, args } of calls) {
      pipeline.evalsha(script.sha, keys.length, ...sendable(keys, args));
    }
    pipeline.exec().then(
      (replies) => {
        this.#onTheirWay--;
        for (const [i, call] of calls.entries()) {
          const [error, reply] = replies?.[i] ?? [null, null];
          if (error?.message.startsWith("NOSCRIPT")) this.#runAlone(call);
          else call.settle(error, reply);
        }
      },
      (error) => {
        this.#onTheirWay--;
        for (const call of calls) call.settle(error, null);
      },
    );
  }
}
