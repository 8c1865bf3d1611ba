/** A script as embed.js embeds it. */
export interface Script {
  readonly name: string;
  readonly sha: string;
  readonly source: string;
}

/** Whether an error says that the server does not have the script. */
export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}

/** Whether an error says that a Cluster has not run the command, since its slot is elsewhere or on its way. */
export function isRedirection(error: unknown): boolean {
  return error instanceof Error && /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /.test(error.message);
}

/**
 * Whether an error says that a Cluster has not run the command because its keys are on their way to another node. ioredis
 * itself tries again for about 1.6 s, and then says "Too many Cluster redirections".
 */
export function isMoving(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^(Too many Cluster redirections\. Last error: ReplyError: )?(TRYAGAIN|CLUSTERDOWN|MOVED|ASK) /.test(error.message)
  );
}
