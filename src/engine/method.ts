import { isTracing, traced } from "../redis/call-trace.js";
import type { Callback } from "../types.js";
import { nextTick } from "../util/real-timers.js";
import { isApp } from "./checks.js";
import type { OpenCalls } from "./open-calls.js";
import { type Checked, checkMethodOptions, type MethodName } from "./options.js";

/** A method with one options object. Returns a promise, unless its last argument is a callback. */
interface Method<Options, Result> {
  (options: Options, callback: Callback<Result>): void;
  (options: Options): Promise<Result>;
}

/** A method without options. Returns a promise, unless it is passed a callback. */
interface PlainMethod<Result> {
  (callback: Callback<Result>): void;
  (): Promise<Result>;
}

/**
 * Returns the promise, or passes its result to the callback if there is one. The callback is called once. An error that it
 * throws is an uncaught exception, as in other Node callbacks.
 */
export function deliver<Result>(
  answer: Promise<Result>,
  callback: Callback<Result> | undefined,
): Promise<Result> | void {
  // Ignore anything else: `map` passes an index as the second argument, other callers pass null.
  if (typeof callback !== "function") return answer;
  // Call it outside of the promise: inside, an error that it throws would become a rejection.
  answer.then(
    (result) => nextTick(callback, null, result),
    (error) => nextTick(callback, error),
  );
}

/**
 * Creates a method from a function that takes the checked options. A refused option, or an error that the function throws,
 * becomes a rejection or the callback's error.
 * @param convert turns the value of the function's promise into the method's result
 * @param recall returns a result that is known already, or undefined. It gets the options as passed in, before any check
 */
export function method<Name extends MethodName, Options extends object, Raw, Result = Raw>(
  calls: OpenCalls,
  name: Name,
  answer: (checked: Checked<Name>) => Promise<Raw>,
  convert?: (raw: Raw) => Result,
  recall?: (options: Options) => Result | undefined,
): Method<Options, Result> {
  const track = calls.tracker(convert);
  const run = (options: Options) => {
    const checked = checkMethodOptions(name, options);
    // Every method has this option, and checkApp() has checked it.
    const preparing = calls.prepare?.(checked.app as string);
    const answering = preparing === undefined ? answer(checked) : preparing.then(() => answer(checked));
    return track(answering);
  };
  function call(options: Options, callback: Callback<Result>): void;
  function call(options: Options): Promise<Result>;
  function call(options: Options, callback?: Callback<Result>): Promise<Result> | void {
    let result: Promise<Result>;
    try {
      calls.admit();
      // A call without options is refused for its first missing option.
      const passed = options ?? ({} as Options);
      if (isTracing()) result = traced(name, appOf(passed), () => run(passed));
      else {
        const known = recall?.(passed);
        result = known === undefined ? run(passed) : Promise.resolve(known);
      }
    } catch (error) {
      result = Promise.reject(error);
      // With a callback in the place of the options, only the callback can learn that they are missing.
      if (typeof options === "function" && typeof callback !== "function") {
        return deliver(result, options as unknown as Callback<Result>);
      }
    }
    return deliver(result, callback);
  }
  return call;
}

/** Creates a method without options. */
export function plainMethod<Result>(
  calls: OpenCalls,
  name: string,
  answer: () => Promise<Result>,
): PlainMethod<Result> {
  const track = calls.tracker<Result>();
  const run = () => track(answer());
  function call(callback: Callback<Result>): void;
  function call(): Promise<Result>;
  function call(callback?: Callback<Result>): Promise<Result> | void {
    let result: Promise<Result>;
    try {
      calls.admit();
      result = isTracing() ? traced(name, undefined, run) : run();
    } catch (error) {
      result = Promise.reject(error);
    }
    return deliver(result, callback);
  }
  return call;
}

/** Returns the app of a call, for its trace. A value that is not an app is not shown: it may be a secret in the wrong place. */
function appOf({ app }: { app?: unknown }): string | undefined {
  return isApp(app) ? app : undefined;
}
