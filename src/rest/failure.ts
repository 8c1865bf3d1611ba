import type { Request } from "express";

/** Is told what a 500 does not tell its caller. */
export type OnError = (error: unknown, req: Request) => void;

/** An error in one line: its name, its message, and why. */
export function describeError(error: unknown): string {
  const { name, message } = Object(error) as Partial<Error>;
  // What is thrown need not be an error.
  if (message === undefined)
    return oneLine(`${typeof error} was thrown${typeof error === "string" ? `: ${error}` : ""}`);
  return oneLine(`${name}: ${message}${reasonOf(error)}`);
}

/** An app's error may quote its request, and what a request says must not look like another line of the log. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}

/** What the cause of an error adds to its message, to be put behind that. */
export function reasonOf(error: unknown): string {
  const { message, cause } = Object(error) as Partial<Error>;
  return cause instanceof Error && !message?.includes(cause.message) ? `: ${cause.message}` : "";
}

/** The request is left out: its address may hold a token. */
export const printError: OnError = (error) => console.error(`ioredis-sessions/rest: ${describeError(error)}`);

/** Tells of an error. A logger that fails itself, at once or later, must not take the answer or the process with it. */
export function tell(onError: OnError, error: unknown, req: Request): void {
  new Promise<void>((resolve) => resolve(onError(error, req))).catch((failure) => printError(failure, req));
}
