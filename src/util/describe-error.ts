import type { SessionError } from "../errors.js";

/** Describes an error in one line: its name, its message, its cause and its hint. */
export function describeError(error: unknown): string {
  const { name, message, hint } = Object(error) as Partial<SessionError>;
  // Any value can be thrown, not only an Error.
  if (message === undefined)
    return oneLine(`${typeof error} was thrown${typeof error === "string" ? `: ${error}` : ""}`);
  return oneLine(`${name}: ${message}${reasonOf(error)}${hint === undefined ? "" : ` (${hint})`}`);
}

/** Removes line breaks. An error may quote its request, which must not be able to forge another line of the log. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}

/** The message of an error's cause, to append to the error's own message. Empty if the message already contains it. */
export function reasonOf(error: unknown): string {
  const { message, cause } = Object(error) as Partial<Error>;
  return cause instanceof Error && !message?.includes(cause.message) ? `: ${cause.message}` : "";
}
