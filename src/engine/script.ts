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
export async function runScript(
  client: Client,
  script: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  // ioredis flattens arrays among the arguments; spread, the fields of a large session would overflow the stack.
  const given = [...keys, ...args] as unknown as string;
  try {
    return await client.evalsha(script.sha, keys.length, given);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
    return await client.eval(script.source, keys.length, given);
  }
}
