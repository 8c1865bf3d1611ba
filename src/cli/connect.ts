import { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import { parseRedisUrl } from "../redis/redis-url.js";

/** The flags of all commands that say where Redis is. The variables are REDIS_URL and those of rest-sessions. */
export interface RedisFlags {
  redis?: string;
  namespace?: string;
}

export function openEngine(
  { nested = false, ...flags }: RedisFlags & { nested?: boolean },
  wipe: number,
): RedisSessions {
  const { env } = process;
  const url = urlOf(flags.redis);
  // A server, which has a wiper, waits until Redis is back. A command that runs once fails at once.
  const retries = wipe > 0 ? {} : { retryStrategy: () => null, disconnectTimeout: 100 };
  return new RedisSessions({
    wipe,
    nested,
    namespace: flags.namespace ?? (env.RS_NAMESPACE || "rs"),
    ...(url === undefined
      ? { host: env.RS_REDISHOST || "127.0.0.1", port: portOf(env.RS_REDISPORT || "6379"), options: retries }
      : { options: { url, ...retries } }),
  });
}

/** The URL of Redis in the flag or a variable. Undefined if none is set. */
function urlOf(flag: string | undefined): string | undefined {
  if (flag !== undefined) return checkUrl("--redis", flag);
  const name = process.env.REDIS_URL ? "REDIS_URL" : "RS_REDISURL";
  const url = process.env[name];
  return url ? checkUrl(name, url) : undefined;
}

/**
 * Refuses an invalid URL here. ioredis would misread it, or throw an error with the whole text, which may contain a
 * password.
 */
function checkUrl(source: string, url: string): string {
  if (parseRedisUrl(url) === undefined) {
    throw invalidValue(
      `${source} must be redis://[user:password@]host[:port][/number] or rediss://…`,
      "valkey:// is accepted too; percent-encode special characters in a password",
    );
  }
  return url;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw invalidValue(`RS_REDISPORT must be a port, but is ${JSON.stringify(text)}`, "at most 65535");
  }
  return port;
}
