import { CHUNK } from "./chunks.js";
import { fromRedis, type SessionError } from "./errors.js";
import type { Keys } from "./keys.js";
import type { Operation } from "./operations.js";
import { assertAnswer, toList } from "./reply.js";
import type { Script } from "./script.js";

/** A call of an operation, and who is to be told what came of it. */
export interface Call {
  readonly operation: Operation<unknown, unknown>;
  readonly keys: Keys;
  readonly input: unknown;
  resolve(output: unknown): void;
  reject(error: unknown): void;
}

/** How many characters of arguments a run may have and still take in calls: it must not hold up Redis. */
const MOST_TEXT = 64 * 1024;

/** One run of a script, and the calls that it serves. */
export class Run {
  readonly script: Script;
  readonly keys: string[];
  readonly args: (string | number)[];
  /** When it has to be over, as performance.now() has it. */
  readonly deadline: number;
  /** Whether it was handed to the client, which may have sent it. */
  isSent = false;
  readonly #calls: [Call, ...Call[]];
  #text: number;

  constructor(call: Call, deadline: number) {
    this.script = call.operation.script;
    this.keys = call.operation.keys(call.keys, call.input);
    this.args = call.operation.args(call.input);
    this.deadline = deadline;
    this.#calls = [call];
    this.#text = lengthOf(this.args);
  }

  /** How many calls it serves. */
  get serves(): number {
    return this.#calls.length;
  }

  /** Whether it concerns as many sessions, or has as much text, as one run of a script may have. */
  get isFull(): boolean {
    return this.keys.length - this.#calls[0].keys.index.length >= CHUNK || this.#text >= MOST_TEXT;
  }

  /** Takes in a call that the script can serve beside the others. Gives whether it has. */
  take(call: Call): boolean {
    const { operation, keys } = this.#calls[0];
    const { common } = operation;
    if (common === undefined || call.operation !== operation || call.keys !== keys || this.isFull) return false;
    const args = operation.args(call.input);
    for (let i = 0; i < common; i++) if (args[i] !== this.args[i]) return false;
    const own = operation.keys(keys, call.input);
    for (let i = keys.index.length; i < own.length; i++) this.keys.push(own[i] as string);
    for (let i = common; i < args.length; i++) this.args.push(args[i] as string | number);
    this.#text += lengthOf(args);
    this.#calls.push(call);
    return true;
  }

  /** Gives each call its answer. */
  succeed(reply: unknown): void {
    const [first] = this.#calls;
    if (this.#calls.length === 1) {
      answer(first, reply);
      return;
    }
    try {
      assertAnswer(reply);
      const replies = toList(reply as unknown[]);
      for (const [i, call] of this.#calls.entries()) answer(call, replies[i]);
    } catch (error) {
      this.fail(fromRedis(error));
    }
  }

  fail(error: SessionError): void {
    for (const call of this.#calls) call.reject(error);
  }
}

function answer({ operation, input, resolve, reject }: Call, reply: unknown): void {
  try {
    // In the midst of a reply ioredis gives an error as a value.
    if (reply instanceof Error) throw reply;
    assertAnswer(reply);
    resolve(operation.reply(reply as never, input));
  } catch (error) {
    reject(fromRedis(error));
  }
}

function lengthOf(args: readonly (string | number)[]): number {
  let length = 0;
  for (const arg of args) length += typeof arg === "string" ? arg.length : 8;
  return length;
}
