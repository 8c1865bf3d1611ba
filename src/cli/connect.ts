import { RedisSessions } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import { parseRedisUrl } from "../redis/client.js";

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
  const url = urlOf(flags.redis);
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

/** Where Redis is, as the flag or a variable says; undefined when none does. */
function urlOf(flag: string | undefined): string | undefined {
  if (flag !== undefined) return checkUrl("--redis", flag);
  const name = process.env.REDIS_URL ? "REDIS_URL" : "RS_REDISURL";
  const url = process.env[name];
  return url ? checkUrl(name, url) : undefined;
}

/** What ioredis cannot use it takes for something else, or throws with the whole text, in which a password may be. */
function checkUrl(source: string, url: string): string {
  if (parseRedisUrl(url) === undefined) {
    throw invalidValue(
      `${source} must be redis://[user:password@]host[:port][/number] or rediss://…`,
      "valkey:// does, too; percent-encode what is special in a password",
    );
  }
  return url;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw invalidValue(`RS_REDISPORT has to be a port, and is ${JSON.stringify(text)}`, "at most 65535");
  }
  return port;
}
