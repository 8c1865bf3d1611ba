import { fromRedis, type SessionError } from "../errors.js";
import { type AppKeys, CHUNK, type Operation, UNDONE } from "./operation.js";
import { assertAnswer, toList } from "./reply.js";
import type { Script } from "./script.js";

/** A call of an operation, with the functions that end it. */
export interface Call {
  readonly operation: Operation<AppKeys, unknown, unknown>;
  readonly keys: AppKeys;
  readonly input: unknown;
  resolve(output: unknown): void;
  reject(error: unknown): void;
}

/** A run with this many characters of arguments takes no more calls, so that it does not block Redis for too long. */
const MAX_ARGS_LENGTH = 64 * 1024;

/** How far apart the deadlines of two runs may be if one absorbs the other, in ms. */
const MAX_DEADLINE_DIFFERENCE = 100;

/** One run of a script, with the calls that it serves, in their order. */
export class Run {
  readonly script: Script;
  readonly keys: string[];
  readonly args: (string | number)[];
  /** On the clock of `performance.now()`. */
  readonly deadline: number;
  /** Whether the run was passed to the client, which may have sent it. */
  isSent = false;
  /** Called when all calls have ended, with a result or an error. */
  onEnd: (() => void) | undefined;
  readonly #calls: [Call, ...Call[]];
  #argsLength: number;

  constructor(call: Call, deadline: number, callKeys = keysOf(call)) {
    this.script = call.operation.script;
    this.keys = callKeys;
    this.args = call.operation.args(call.input);
    this.deadline = deadline;
    this.#calls = [call];
    this.#argsLength = lengthOf(this.args);
  }

  /** A run of the calls from index `from` on, which the script left undone. It keeps the deadline. */
  #undone(from: number): Run {
    const [first, ...others] = this.#calls.slice(from) as [Call, ...Call[]];
    const run = new Run(first, this.deadline);
    for (const call of others) run.#append(call, call.operation.args(call.input), keysOf(call));
    return run;
  }

  /** How many calls the run serves. */
  get callCount(): number {
    return this.#calls.length;
  }

  /** Whether the run has the maximum number of sessions or of characters. */
  get isFull(): boolean {
    return this.keys.length - this.firstSession >= CHUNK || this.#argsLength >= MAX_ARGS_LENGTH;
  }

  /**
   * Adds a call if the same run of the script can serve it. Returns whether it was added.
   * @param callKeys the keys of the call
   */
  tryAdd(call: Call, callKeys: readonly string[]): boolean {
    const { operation, keys } = this.#calls[0];
    const { common } = operation;
    if (common === undefined || call.operation !== operation || call.keys !== keys || this.isFull) return false;
    const args = operation.args(call.input);
    for (let i = 0; i < common; i++) if (args[i] !== this.args[i]) return false;
    this.#append(call, args, callKeys);
    return true;
  }

  #append(call: Call, args: readonly (string | number)[], callKeys: readonly string[]): void {
    const { operation, keys } = call;
    for (let i = keys.index.length; i < callKeys.length; i++) this.keys.push(callKeys[i] as string);
    for (let i = operation.common ?? 0; i < args.length; i++) this.args.push(args[i] as string | number);
    this.#argsLength += lengthOf(args);
    this.#calls.push(call);
  }

  /** The position of the first session key in `keys`. */
  get firstSession(): number {
    return this.#calls[0].keys.index.length;
  }

  /** The session key of each call. */
  get sessions(): string[] {
    // A script that serves one call only may have other keys after the session key.
    return this.keys.slice(this.firstSession, this.firstSession + (this.#calls.length === 1 ? 1 : this.keys.length));
  }

  /** Adds the call of another run of one call, if their deadlines are close. Returns whether it was added. */
  absorb(run: Run): boolean {
    const [call] = run.#calls;
    if (run.callCount > 1 || Math.abs(run.deadline - this.deadline) > MAX_DEADLINE_DIFFERENCE) return false;
    return this.tryAdd(call, run.keys);
  }

  /**
   * Ends each call with its part of the reply. Returns a run of the calls that the script left undone, or undefined if
   * there are none.
   */
  succeed(reply: unknown): Run | undefined {
    const [first] = this.#calls;
    if (this.#calls.length === 1) answer(first, reply);
    else {
      let replies: readonly unknown[];
      try {
        assertAnswer(reply);
        replies = toList(reply as unknown[]);
      } catch (error) {
        this.fail(fromRedis(error));
        return undefined;
      }
      for (const [i, call] of this.#calls.entries()) {
        // With ioredis's option `stringNumbers` it is a string.
        if (i > 0 && (replies[i] === UNDONE || replies[i] === `${UNDONE}`)) return this.#undone(i);
        answer(call, replies[i]);
      }
    }
    this.onEnd?.();
    return undefined;
  }

  /** Ends all calls with the error. */
  fail(error: SessionError): void {
    for (const call of this.#calls) call.reject(error);
    this.onEnd?.();
  }
}

/** The keys of a call: those of the index, then its session. */
export function keysOf({ operation, keys, input }: Call): string[] {
  return operation.keys(keys, input);
}

function answer({ operation, input, resolve, reject }: Call, reply: unknown): void {
  try {
    // ioredis returns an error inside an array reply as a value.
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
