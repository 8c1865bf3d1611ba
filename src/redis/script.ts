/** A script, as src/lua/embed.js writes it to src/lua/index.ts. */
export interface Script {
  readonly name: string;
  readonly sha: string;
  readonly source: string;
  /** The variant that announces what it has changed, if the script changes sessions. See lua/include/announce.lua. */
  readonly announcing?: Script;
}

/** Whether an error means that the server does not have the script. */
export function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}

/**
 * Whether an error means that a Cluster has not run the command because its slot is moving to another node. ioredis
 * itself tries again for about 1.6 s and then fails with "Too many Cluster redirections".
 */
export function isMoving(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  // node-redis 6 follows 16 redirections.
  if (error.message === "Too many Cluster redirections") return true;
  return /^(Too many Cluster redirections\. Last error: ReplyError: )?(TRYAGAIN|CLUSTERDOWN|MOVED|ASK) /.test(
    error.message,
  );
}
