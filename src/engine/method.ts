import type { Callback } from "../types.js";
import type { OpenCalls } from "./open-calls.js";
import { type Checked, checkMethodOptions, type MethodName } from "./options.js";

/** A method that takes one options object and returns a promise, or takes a callback as its last argument. */
interface Method<Options, Result> {
  (options: Options, callback: Callback<Result>): void;
  (options: Options): Promise<Result>;
}

/** A method without options that returns a promise, or takes a callback. */
interface PlainMethod<Result> {
  (callback: Callback<Result>): void;
  (): Promise<Result>;
}

/**
 * Hands a result to a callback where there is one, else gives the promise. The callback is called once; what it throws
 * is an uncaught exception, as anywhere in Node.
 */
export function deliver<Result>(
  answer: Promise<Result>,
  callback: Callback<Result> | undefined,
): Promise<Result> | void {
  // What is no function is the index that `map` hands over, or the null of somebody who does not care.
  if (typeof callback !== "function") return answer;
  // By nextTick, out of the promise's reach: it would take what the callback throws for a rejection.
  answer.then(
    (result) => process.nextTick(callback, null, result),
    (error) => process.nextTick(callback, error),
  );
}

/**
 * Makes a method of a function that takes checked options, and as its second argument the options as passed in. The method
 * rejects, or calls its callback, with the errors of the checks and with what the function throws.
 */
export function method<Name extends MethodName, Options extends object, Result>(
  calls: OpenCalls,
  name: Name,
  answer: (checked: Checked<Name>, options: Options) => Promise<Result>,
): Method<Options, Result> {
  function call(options: Options, callback: Callback<Result>): void;
  function call(options: Options): Promise<Result>;
  function call(options: Options, callback?: Callback<Result>): Promise<Result> | void {
    let result: Promise<Result>;
    try {
      calls.admit();
      // A call without options is refused for its first missing option.
      const given = options ?? ({} as Options);
      result = calls.track(answer(checkMethodOptions(name, given), given));
    } catch (error) {
      result = Promise.reject(error);
    }
    return deliver(result, callback);
  }
  return call;
}

/** The same for a method without options. */
export function plainMethod<Result>(calls: OpenCalls, answer: () => Promise<Result>): PlainMethod<Result> {
  function call(callback: Callback<Result>): void;
  function call(): Promise<Result>;
  function call(callback?: Callback<Result>): Promise<Result> | void {
    let result: Promise<Result>;
    try {
      calls.admit();
      result = calls.track(answer());
    } catch (error) {
      result = Promise.reject(error);
    }
    return deliver(result, callback);
  }
  return call;
}
