import { AsyncLocalStorage } from "node:async_hooks";
import { tracingChannel } from "node:diagnostics_channel";
import { SessionError } from "../errors.js";
import type { CallTrace } from "../types.js";

const channel = tracingChannel<unknown, CallTrace>("ioredis-sessions:call");

/** The traced call that is under way. Used only while the channel has subscribers: it would make each promise slower. */
const current = new AsyncLocalStorage<CallTrace>();

/** Whether calls must be traced. To ask costs nothing that could be measured. */
export function isTracing(): boolean {
  return channel.hasSubscribers;
}

/** Returns the trace of the call that is under way. Returns undefined without subscribers, and for the engine's own work. */
export function currentTrace(): CallTrace | undefined {
  return channel.hasSubscribers ? current.getStore() : undefined;
}

/** Notes that the call under way was answered by the near cache. */
export function noteCached(): void {
  const trace = currentTrace();
  if (trace !== undefined) trace.cached = true;
}

/**
 * Makes a call and publishes its trace. Call it only if isTracing().
 * @param method the name of the method, for example "get" or "RedisStore.get"
 * @param app undefined if the call has no valid app
 */
export async function traced<Result>(
  method: string,
  app: string | undefined,
  call: () => Promise<Result>,
): Promise<Result> {
  const trace: CallTrace = { method, app, batched: false, cached: false };
  let made: Promise<Result> | undefined;
  // The traced promise has no result: subscribers would find it in the context, with tokens and data.
  const publish = () => {
    made = current.run(trace, async () => call());
    return made.then(
      (result) => {
        trace.outcome = isMissing(result) ? "missing" : "ok";
      },
      (error) => {
        const isOurs = error instanceof SessionError;
        trace.outcome = isOurs ? error.name : "otherError";
        // An error of the application, such as one of its serializer, may quote data.
        throw isOurs ? error : new Error("The application's code threw an error");
      },
    );
  };
  await channel.tracePromise(publish, trace).catch(() => {});
  return made as Promise<Result>;
}

/** Whether a result says that there was no session: null, or a count of 0. */
function isMissing(result: unknown): boolean {
  if (result === null) return true;
  const { kill, set } = Object(result) as { kill?: unknown; set?: unknown };
  return kill === 0 || set === 0;
}
