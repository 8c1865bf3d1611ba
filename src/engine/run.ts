import { CHUNK } from "./chunks.js";
import { fromRedis, type SessionError } from "./errors.js";
import type { Keys } from "./keys.js";
import { type Operation, UNDONE } from "./operations.js";
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
  /** Called when each call has its answer, or was told that there is none. */
  onOver: (() => void) | undefined;
  readonly #calls: [Call, ...Call[]];
  #text: number;

  constructor(call: Call, deadline: number, own = keysOf(call)) {
    this.script = call.operation.script;
    this.keys = own;
    this.args = call.operation.args(call.input);
    this.deadline = deadline;
    this.#calls = [call];
    this.#text = lengthOf(this.args);
  }

  /** The calls from the `from`-th on, which a script has left undone, with the time that they have left. */
  #rest(from: number): Run {
    const [first, ...others] = this.#calls.slice(from) as [Call, ...Call[]];
    const run = new Run(first, this.deadline);
    for (const call of others) run.#append(call, call.operation.args(call.input), keysOf(call));
    return run;
  }

  /** How many calls it serves. */
  get serves(): number {
    return this.#calls.length;
  }

  /** Whether it concerns as many sessions, or has as much text, as one run of a script may have. */
  get isFull(): boolean {
    return this.keys.length - this.firstSession >= CHUNK || this.#text >= MOST_TEXT;
  }

  /** Takes in a call, whose keys are `own`, that the script can serve beside the others. Gives whether it has. */
  take(call: Call, own: readonly string[]): boolean {
    const { operation, keys } = this.#calls[0];
    const { common } = operation;
    if (common === undefined || call.operation !== operation || call.keys !== keys || this.isFull) return false;
    const args = operation.args(call.input);
    for (let i = 0; i < common; i++) if (args[i] !== this.args[i]) return false;
    this.#append(call, args, own);
    return true;
  }

  #append(call: Call, args: readonly (string | number)[], own: readonly string[]): void {
    const { operation, keys } = call;
    for (let i = keys.index.length; i < own.length; i++) this.keys.push(own[i] as string);
    for (let i = operation.common ?? 0; i < args.length; i++) this.args.push(args[i] as string | number);
    this.#text += lengthOf(args);
    this.#calls.push(call);
  }

  /** Where the keys of its sessions begin. */
  get firstSession(): number {
    return this.#calls[0].keys.index.length;
  }

  /** The keys of its sessions. */
  get sessions(): string[] {
    return this.keys.slice(this.firstSession);
  }

  /** The session keys of the calls that the script may leave undone: of all but the first. */
  get delayable(): string[] {
    return this.#calls.length === 1 ? [] : this.keys.slice(this.firstSession + 1);
  }

  /** Gives each call its answer, and returns a run of those that the script has left undone; undefined for none. */
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
        // Text where the client has ioredis's option `stringNumbers`.
        if (i > 0 && (replies[i] === UNDONE || replies[i] === `${UNDONE}`)) return this.#rest(i);
        answer(call, replies[i]);
      }
    }
    this.onOver?.();
    return undefined;
  }

  fail(error: SessionError): void {
    for (const call of this.#calls) call.reject(error);
    this.onOver?.();
  }
}

/** The keys of a call, the index before the sessions. */
export function keysOf({ operation, keys, input }: Call): string[] {
  return operation.keys(keys, input);
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
