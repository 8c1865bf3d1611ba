import { createRequire } from "node:module";
import { RedisStore as ConnectRedis } from "connect-redis";
import { RedisStore as ConnectRedis8 } from "connect-redis-8";
import { createClient } from "redis";
import { createClient as createClient5 } from "redis-5";

const { default: RedisSessions4 } = createRequire(import.meta.url)("redis-sessions");

/** redis-sessions 4, with its own namespace. */
export function redisSessions4(port, options) {
  return new RedisSessions4({ port, wipe: 0, namespace: "old", ...options });
}

/** A connected client of node-redis 6. */
export function nodeRedis(port) {
  return connected(createClient, port);
}

/** connect-redis 10 on node-redis 6. */
export async function connectRedis(port) {
  return new ConnectRedis({ client: await nodeRedis(port), prefix: "cr10:" });
}

/** connect-redis 10 on node-redis 5. */
export async function connectRedisOn5(port) {
  return new ConnectRedis({ client: await connected(createClient5, port), prefix: "cr10on5:" });
}

/** connect-redis 8 on a client of ioredis. */
export function connectRedis8(client) {
  return new ConnectRedis8({ client, prefix: "cr8:" });
}

function connected(create, port) {
  const client = create({ socket: { port, host: "127.0.0.1" } });
  // The benchmark stops Redis before this client.
  client.on("error", () => {});
  return client.connect();
}
