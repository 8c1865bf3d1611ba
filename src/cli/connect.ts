import { RedisSessions } from "../engine/engine.js";

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
