import { EventEmitter } from "node:events";
import type { Redis } from "ioredis";
import { IoredisClient } from "../../src/redis/ioredis.js";
import type { AppKeys, Operation } from "../../src/redis/operation.js";
import type { Call } from "../../src/redis/run.js";

/** A command sent to a ScriptedClient, with the functions that answer it. */
export interface Sent {
  name: string;
  /** The arguments. For a script: its sha or source, the number of keys, the keys and the arguments. */
  args: readonly unknown[];
  resolve(reply: unknown): void;
  reject(error: Error): void;
}

/** A client whose answers the test controls, to force races and failures that are random with a real Redis. */
export class ScriptedClient extends EventEmitter {
  status = "ready";
  isCluster = false;
  options = {};
  stream = { writable: true, cork: () => this.#cork(), uncork: () => this.#uncork() };
  /** All sent commands in order. */
  readonly sent: Sent[] = [];
  /** The number of commands in each write of a corked stream. */
  readonly writes: number[] = [];
  #corkedAt = 0;

  evalsha(...args: unknown[]): Promise<unknown> {
    return this.#send("evalsha", args);
  }

  eval(...args: unknown[]): Promise<unknown> {
    return this.#send("eval", args);
  }

  ping(): Promise<unknown> {
    return this.#send("ping", []);
  }

  nodes() {
    return [this];
  }

  /** The same client, as the source sees it. */
  readonly asClient = new IoredisClient(this as unknown as Redis);

  /** The values of the calls in each sent script, which are its last arguments. */
  get values(): unknown[][] {
    return this.sent.filter(({ name }) => name !== "ping").map(({ args }) => args.slice(2 + Number(args[1]) + 1)); // after the sha, the number of keys, the keys, and `common`
  }

  #cork(): void {
    this.#corkedAt = this.sent.length;
  }

  #uncork(): void {
    this.writes.push(this.sent.length - this.#corkedAt);
  }

  #send(name: string, args: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => this.sent.push({ name, args, resolve, reject }));
  }
}

/** Creates an error reply in the form of ioredis. */
export function replyError(message: string): Error {
  return Object.assign(new Error(message), { name: "ReplyError" });
}

interface Input {
  /** The ref of the call's session. */
  ref: string;
  /** The argument that all calls of a run have in common. */
  shared?: string;
  value: string | number;
}

/** An operation of which one run can serve many calls. It returns the reply. */
export function sharedOperation(name: string): Operation<AppKeys, Input, unknown> {
  return {
    script: { name, sha: `sha of ${name}`, source: `source of ${name}` },
    common: 1,
    mayLeaveUndone: true,
    keys: (keys, { ref }) => [...keys.index, keys.session(ref)],
    args: ({ shared = "", value }) => [shared, value],
    reply: (reply: unknown) => reply,
  };
}

export const app: AppKeys = {
  base: "rs:{app}:",
  index: ["rs:{app}:index"],
  session: (ref) => `rs:{app}:${ref}`,
};

/** A call with its results and errors. */
export interface TestCall extends Call {
  readonly ends: unknown[];
}

export function callOf(operation: Operation<AppKeys, Input, unknown>, input: Input, keys = app): TestCall {
  const ends: unknown[] = [];
  return {
    operation: operation as Call["operation"],
    keys,
    input,
    ends,
    resolve: (output) => void ends.push(output),
    reject: (error) => void ends.push((error as Error).name),
  };
}
