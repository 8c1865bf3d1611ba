import { createHash } from "node:crypto";
import { SessionError } from "../errors.js";

/** A script, as src/lua/embed.js writes it to src/lua/index.ts. */
export interface Script {
  readonly name: string;
  readonly sha: string;
  readonly source: string;
  /** The variant that announces what it has changed, if the script changes sessions. See lua/include/announce.lua. */
  readonly announcing?: Script;
}

/** What a script with a fence does first. KEYS[1] is the fence. */
const FENCE = `if redis.call('EXISTS', KEYS[1]) == 1 then return { err = 'FENCED the app has moved to other shards' } end
table.remove(KEYS, 1)
`;

const fencedScripts = new WeakMap<Script, Script>();

/**
 * Returns the variant of a script that does nothing, and replies an error, if its first key exists: the fence. So all processes stop
 * using an app's keys at one moment. Most apps never need it, so it is not embedded.
 */
export function fenced(script: Script): Script {
  let variant = fencedScripts.get(script);
  if (variant === undefined) {
    const source = FENCE + script.source;
    variant = { name: script.name, sha: createHash("sha1").update(source).digest("hex"), source };
    fencedScripts.set(script, variant);
  }
  return variant;
}

/** Whether a script has done nothing because of its fence. */
export function isFenced(error: unknown): boolean {
  return error instanceof SessionError && (error.cause as Error | undefined)?.message.startsWith("FENCED ") === true;
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
