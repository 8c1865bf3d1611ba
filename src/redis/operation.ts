import type { Script } from "./script.js";

/** How many sessions one command may concern. More would block Redis or the event loop for too long. */
export const CHUNK = 100;

/** The reply of a script with many calls for a call that it left undone; see lua/include/work.lua. */
export const UNDONE = -2;

/** The part of an app's keys that this layer needs to know. */
export interface AppKeys {
  /** The prefix of all keys of the app. It contains the hash tag. */
  readonly base: string;
  /** The keys that come first in every script that changes a session: those of the index. */
  readonly index: readonly string[];
  /** Undefined if changes are not announced. */
  readonly announcing?: Announcing | undefined;
  /** The key of a session. */
  session(ref: string): string;
}

/** How the scripts of an app announce changes. */
export interface Announcing {
  /** The key of the stream of events. */
  readonly stream: string;
  /** About how many events the stream keeps; 0 for no stream. */
  readonly maxEvents: number;
}

/**
 * The input of an operation. Calls with the same `ref` concern one session, and keep their order. `reason` says why sessions end;
 * only an announcing script gets it.
 */
export type OperationInput = object & { readonly ref?: string; readonly reason?: string };

/**
 * A script with its keys, its arguments and the meaning of its reply. Read integers with `toNumber()`, because a client
 * with ioredis's option `stringNumbers` returns them as strings.
 */
export interface Operation<Keys extends AppKeys, Input extends OperationInput, Output> {
  readonly script: Script;
  /**
   * How many arguments are the same for all calls of a run, for a script that can serve many calls. These arguments come
   * first, as the index does among the keys. Each call adds the key of its session, which must be its only other key, and
   * its other arguments. The reply is an array with one reply for each call, or the reply itself if there is only one call.
   */
  readonly common?: number;
  /** Whether the script may leave calls of a run undone, except the first one. */
  readonly mayLeaveUndone?: true;
  /** The refs of the sessions that the script may change or end, for the near cache. Absent if it changes none. */
  readonly changes?: (input: Input) => readonly string[];
  /** `keys` and `args` must return a new array each time, because a run appends to it. */
  keys(keys: Keys, input: Input): string[];
  args(input: Input): (string | number)[];
  /** Converts the reply to one call. */
  reply(reply: never, input: Input): Output;
}
