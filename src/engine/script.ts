import type { Client } from "./types.js";

/** A script as embed.js embeds it. */
export interface Script {
  readonly name: string;
  readonly sha: string;
  readonly source: string;
}

/**
 * Runs a script by its digest, and once more with its source when the server does not have it (a first use, a
 * `SCRIPT FLUSH`, a failover). Any other error is the caller's: a script that failed may have written.
 */
export function runScript(
  client: Client,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  const given = sendable(keys, args);
  return client.evalsha(script.sha, keys.length, ...given).catch((error) => {
    if (!isNoScript(error)) throw error;
    return client.eval(script.source, keys.length, ...given);
  });
}

/** Whether an error says that the server does not have the script. */
export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}

/** More arguments than this go to ioredis as one array, which it flattens: spread, they would overflow the stack. */
const MOST_SPREAD = 1000;

/** Keys and arguments in the form in which ioredis takes them. */
export function sendable(keys: readonly string[], args: readonly (string | number)[]): (string | number)[] {
  const given = [...keys, ...args];
  return given.length <= MOST_SPREAD ? given : [given as unknown as string];
}
