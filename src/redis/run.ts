import { fromRedis, type SessionError } from "../errors.js";
import type { CallTrace } from "../types.js";
import type { ScriptCall } from "./client.js";
import { type AppKeys, CHUNK, type Operation, type OperationInput, UNDONE } from "./operation.js";
import { assertAnswer, toList } from "./reply.js";
import type { Script } from "./script.js";

/** A call of an operation, with the functions that end it. */
export interface Call {
  readonly operation: Operation<AppKeys, OperationInput, unknown>;
  readonly keys: AppKeys;
  readonly input: OperationInput;
  /** Undefined unless someone traces the call. */
  readonly trace?: CallTrace | undefined;
  /** For CallOrder. Undefined until it is needed. */
  order?: SessionOrder | undefined;
  resolve(output: unknown): void;
  reject(error: unknown): void;
}

/** What later calls on a session must wait for. CallOrder writes it. */
export interface SessionOrder {
  /** The run that they must wait for, or join. */
  blocker: Run | undefined;
  /** The runs that wait for the blocker, in the order of their calls. Each concerns this session only. Undefined if there are none. */
  held: Run[] | undefined;
  /** Whether CallOrder has forgotten it, because nothing had to wait. */
  isForgotten: boolean;
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
  /** For CallOrder: the index of the first call on whose session it does not block. Undefined if the run does not block. */
  blocking: number | undefined;
  /** Whether all calls have ended with an error. */
  hasFailed = false;
  readonly #calls: [Call, ...Call[]];
  #argsLength: number;

  constructor(call: Call, deadline: number) {
    this.script = call.operation.script;
    this.keys = call.operation.keys(call.keys, call.input);
    this.args = call.operation.args(call.input);
    this.deadline = deadline;
    this.#calls = [call];
    this.#argsLength = lengthOf(this.args);
  }

  /** A run of the calls from index `from` on, which the script left undone. It keeps the deadline. */
  #undone(from: number): Run {
    const [first, ...others] = this.#calls.slice(from) as [Call, ...Call[]];
    const run = new Run(first, this.deadline);
    for (const call of others) run.#append(call, call.operation.args(call.input));
    return run;
  }

  /** The run as it is sent. If the app's changes are announced, that is the script's announcing variant, see include/announce.lua. */
  scriptCall(isCluster: boolean): ScriptCall {
    const { announcing } = this.#calls[0].keys;
    const script = this.script.announcing;
    if (announcing === undefined || script === undefined) return this;
    const { stream, maxEvents } = announcing;
    const args = [isCluster ? "SPUBLISH" : "PUBLISH", maxEvents, this.#calls[0].input.reason ?? "", ...this.args];
    return { script, keys: [stream, ...this.keys], args, deadline: this.deadline };
  }

  /** The calls that the run serves, in their order. */
  get calls(): readonly [Call, ...Call[]] {
    return this.#calls;
  }

  /** Whether calls on the sessions of this run must wait for it, because its script may leave some of its calls undone. */
  get mayLeaveUndone(): boolean {
    return this.#calls.length > 1 && this.#calls[0].operation.mayLeaveUndone === true;
  }

  /**
   * Whether a later call may be served before this run. Calls that a script may leave undone are served in any order, except
   * those on one session. All other calls keep their order, because they may concern the user or the app.
   */
  mayBeOvertakenBy({ operation, input }: Call): boolean {
    if (!this.#calls[0].operation.mayLeaveUndone || !operation.mayLeaveUndone) return false;
    return !this.#calls.some((call) => call.input.ref === input.ref);
  }

  /** Whether the run has the maximum number of sessions or of characters. */
  get isFull(): boolean {
    return this.#calls.length >= CHUNK || this.#argsLength >= MAX_ARGS_LENGTH;
  }

  /** Adds a call if the same run of the script can serve it. Returns whether it was added. */
  tryAdd(call: Call): boolean {
    if (this.isFull || !this.#hasOperationOf(call)) return false;
    const args = call.operation.args(call.input);
    if (!this.#hasCommon(args)) return false;
    this.#append(call, args);
    return true;
  }

  /** Adds the calls of another run, if this run can serve them and the deadlines are close. Returns whether they were added. */
  absorb(run: Run): boolean {
    const isTooMuch =
      this.#calls.length + run.#calls.length > CHUNK || this.#argsLength + run.#argsLength > MAX_ARGS_LENGTH;
    const isClose = Math.abs(run.deadline - this.deadline) <= MAX_DEADLINE_DIFFERENCE;
    if (isTooMuch || !isClose || !this.#hasOperationOf(run.#calls[0]) || !this.#hasCommon(run.args)) return false;
    const { keys, operation } = this.#calls[0];
    for (let i = keys.index.length; i < run.keys.length; i++) this.keys.push(run.keys[i] as string);
    for (let i = operation.common ?? 0; i < run.args.length; i++) this.args.push(run.args[i] as string | number);
    this.#argsLength += run.#argsLength;
    this.#calls.push(...run.#calls);
    return true;
  }

  /** Whether a call is of the operation and the app of this run, so that one run may serve both. */
  #hasOperationOf({ operation, keys, input }: Call): boolean {
    const [first] = this.#calls;
    // A call that joined a run that has failed would never end.
    return (
      operation === first.operation &&
      keys === first.keys &&
      operation.common !== undefined &&
      input.reason === first.input.reason &&
      !this.hasFailed
    );
  }

  /** Whether arguments begin with the common arguments of this run. */
  #hasCommon(args: readonly (string | number)[]): boolean {
    const { common = 0 } = this.#calls[0].operation;
    for (let i = 0; i < common; i++) if (args[i] !== this.args[i]) return false;
    return true;
  }

  /** Appends a call, with its key and its arguments but for the common ones. */
  #append(call: Call, args: readonly (string | number)[]): void {
    // A call that shares a run concerns one session.
    this.keys.push(call.keys.session(call.input.ref as string));
    for (let i = call.operation.common ?? 0; i < args.length; i++) this.args.push(args[i] as string | number);
    this.#argsLength += lengthOf(args);
    this.#calls.push(call);
  }

  /**
   * Ends each call with its part of the reply. Returns a run of the calls that the script left undone, or undefined if
   * there are none.
   */
  succeed(reply: unknown): Run | undefined {
    const [first] = this.#calls;
    if (this.#calls.length === 1) answer(first, reply);
    else {
      this.#noteBatched();
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

  #noteBatched(): void {
    for (const { trace } of this.#calls) if (trace !== undefined) trace.batched = true;
  }

  /** Ends all calls with the error. */
  fail(error: SessionError): void {
    this.hasFailed = true;
    if (this.#calls.length > 1) this.#noteBatched();
    for (const call of this.#calls) call.reject(error);
    this.onEnd?.();
  }
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
