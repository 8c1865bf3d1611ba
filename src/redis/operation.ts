import type { Script } from "./script.js";

/** How many sessions one command may concern, so that no command holds Redis or the event loop up. */
export const CHUNK = 100;

/** What a script that serves many calls answers for one that it has left undone; see lua/include/work.lua. */
export const UNDONE = -2;

/** The keys of an app, as far as calls on their way to Redis need to know them. */
export interface AppKeys {
  /** What all keys of the app begin with; it holds the hash tag. */
  readonly base: string;
  /** The keys that come first in every script that changes a session. */
  readonly index: readonly string[];
}

/**
 * One script: the keys that it declares, its arguments, and what its reply means. Integers pass through toNumber():
 * a client with ioredis's option `stringNumbers` returns them as strings.
 */
export interface Operation<Keys extends AppKeys, Input, Output> {
  readonly script: Script;
  /**
   * For a script that serves many calls in one run: how many of the arguments come first and hold for all of them. The
   * keys that the calls have in common are the index. The rest of keys and arguments follow, one call after the other,
   * and the reply is an array with one reply a call, unless there is only one call.
   */
  readonly common?: number;
  /** Returns a new array each time, as does `args`: a run may add to it. */
  keys(keys: Keys, input: Input): string[];
  args(input: Input): (string | number)[];
  /** What the reply to one call means. */
  reply(reply: never, input: Input): Output;
}
