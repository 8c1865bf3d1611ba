import { invalidValue } from "../errors.js";
import type { Client, IoredisLike, NodeRedisLike } from "../types.js";
import type { RedisClient } from "./client.js";
import { fromIoredis } from "./ioredis.js";
import { fromNodeRedis } from "./node-redis.js";

/** One RedisClient for each client, so that engines on one client share its gate and its listeners. */
const known = new WeakMap<Client, RedisClient>();

/**
 * Recognises a client that the user passed by what it can do, because none of the client packages may be installed.
 * @throws SessionError `invalidValue` if it is not a client that works, with the reason
 */
export function clientOf(client: Client): RedisClient {
  let found = known.get(client);
  if (found === undefined) {
    found = recognise(client);
    known.set(client, found);
  }
  return found;
}

function recognise(client: Client): RedisClient {
  const can = (name: string) => typeof (client as unknown as Record<string, unknown>)[name] === "function";
  if (can("evalsha") && can("zrangebylex")) return fromIoredis(client as IoredisLike);
  if (can("sendCommand") && can("withTypeMapping")) return fromNodeRedis(client as NodeRedisLike);
  if (can("then")) throw invalidValue("client is a promise of a client: await it");
  if (can("sendCommand") || can("send_command")) {
    throw invalidValue(
      "client has an interface of node-redis before version 5",
      "npm install redis@6, and pass the client itself, not client.legacy()",
    );
  }
  throw invalidValue(
    "client must be a client of node-redis 5 or 6 (createClient() of the package redis), or a Redis or Cluster of ioredis " +
      "or iovalkey",
  );
}
