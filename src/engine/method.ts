import { callbackify } from "node:util";
import type { Callback, Method, PlainMethod } from "./types.js";

/**
 * Gives an async function the second face that redis-sessions users know: with a callback as its last argument it
 * calls that, once, and returns nothing. What the callback throws is an uncaught exception, as anywhere in Node.
 */
export function method<Options, Result>(answer: (options: Options) => Promise<Result>): Method<Options, Result> {
  const withCallback = callbackify(answer);
  function call(options: Options): Promise<Result>;
  function call(options: Options, callback: Callback<Result>): void;
  function call(options: Options, callback?: Callback<Result>): Promise<Result> | void {
    // Without options the first check names what is missing.
    const given = options ?? ({} as Options);
    if (callback === undefined) return answer(given);
    withCallback(given, callback);
  }
  return call;
}

/** The same for a method without options. */
export function plainMethod<Result>(answer: () => Promise<Result>): PlainMethod<Result> {
  const withCallback = callbackify(answer);
  function call(): Promise<Result>;
  function call(callback: Callback<Result>): void;
  function call(callback?: Callback<Result>): Promise<Result> | void {
    if (callback === undefined) return answer();
    withCallback(callback);
  }
  return call;
}
