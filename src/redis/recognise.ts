import { invalidValue } from "../errors.js";
import type { Client, IoredisLike } from "../types.js";
import type { RedisClient } from "./client.js";
import { fromIoredis } from "./ioredis.js";

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
  const { evalsha, zrangebylex } = client as Partial<IoredisLike>;
  if (typeof evalsha === "function" && typeof zrangebylex === "function") return fromIoredis(client as IoredisLike);
  throw invalidValue("client must be an ioredis Redis or Cluster: new Redis(…) from the package ioredis");
}
