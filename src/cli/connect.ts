import { readFileSync } from "node:fs";
import { RedisSessions } from "../engine/engine.js";
import type { ApiKey } from "../rest/authorize.js";

/** What all commands take to find Redis; the variables are those of rest-sessions, and REDIS_URL. */
export interface RedisFlags {
  redis?: string;
  namespace?: string;
}

export function openEngine(
  { nested = false, ...flags }: RedisFlags & { nested?: boolean },
  wipe: number,
): RedisSessions {
  const { env } = process;
  const url = flags.redis ?? (env.REDIS_URL || env.RS_REDISURL || undefined);
  // A server, which has a wiper, waits for Redis to come back. What is run once says at once that it is away.
  const patience = wipe > 0 ? {} : { retryStrategy: () => null, disconnectTimeout: 100 };
  return new RedisSessions({
    wipe,
    nested,
    namespace: flags.namespace ?? (env.RS_NAMESPACE || "rs"),
    ...(url === undefined
      ? { host: env.RS_REDISHOST || "127.0.0.1", port: portOf(env.RS_REDISPORT || "6379"), options: patience }
      : { options: { url, ...patience } }),
  });
}

function portOf(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new Error(`RS_REDISPORT has to be a port, and is ${JSON.stringify(text)}`);
  return Number(text);
}

/**
 * The API keys of `--key-file`, or of RS_API_KEYS (separated by commas). A line of the file is a key, which may be
 * followed by `apps=webapp,shop` and `read-only`; what follows a # is a comment.
 */
export function readKeys(file: string | undefined): ApiKey[] {
  if (file === undefined)
    return (process.env.RS_API_KEYS ?? "").split(",").flatMap((key) => (key.trim() ? { key: key.trim() } : []));
  const keys = readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.replace(/#.*/, "").trim())
    .filter((line) => line !== "")
    .map((line, i) => parseKey(line, i + 1));
  // Whoever names a file does not mean to let everybody in.
  if (keys.length === 0) throw new Error("The key file holds no key");
  return keys;
}

function parseKey(line: string, number: number): ApiKey {
  const [key = "", ...grants] = line.split(/\s+/);
  const parsed: ApiKey = { key };
  for (const grant of grants) {
    const apps = /^apps=(.+)$/.exec(grant)?.[1];
    if (apps !== undefined) parsed.apps = apps.split(",");
    else if (grant === "read-only") parsed.readOnly = true;
    else throw new Error(`The key file's key number ${number} is followed by something else than apps=… and read-only`);
  }
  return parsed;
}
