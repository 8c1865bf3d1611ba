import { createRequire } from "node:module";
import { RedisStore as ConnectRedis } from "connect-redis";
import { RedisStore as ConnectRedis8 } from "connect-redis-8";
import { createClient } from "redis";

const { default: RedisSessions4 } = createRequire(import.meta.url)("redis-sessions");

/** redis-sessions 4, with its own namespace. */
export function redisSessions4(redis) {
  return new RedisSessions4({ port: redis.port, wipe: 0, namespace: "old" });
}

/** connect-redis 10 on node-redis. */
export async function connectRedis10(redis) {
  const client = await createClient({ url: redis.url }).connect();
  return { store: new ConnectRedis({ client, prefix: "cr10:" }), close: () => client.destroy() };
}

/** connect-redis 8 on ioredis. */
export function connectRedis8(redis) {
  return new ConnectRedis8({ client: redis.client(), prefix: "cr8:" });
}
