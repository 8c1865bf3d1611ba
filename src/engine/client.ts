import { Redis } from "ioredis";
import { invalidValue } from "./errors.js";
import type { Client, RedisSessionsOptions } from "./types.js";

/** Opens the engine's own connection. */
export function openClient({ port = 6379, host = "127.0.0.1", options = {} }: RedisSessionsOptions): Redis {
  const { url, ...given } = options;
  const rest = { ...given, replyMapping: "legacy" } as const;
  const client = url === undefined ? new Redis({ host, port, ...rest }) : new Redis(url, rest);
  // Without a listener ioredis prints each failed attempt to connect. Every call reports the outage itself.
  client.on("error", () => {});
  return client;
}

/** Refuses what is no ioredis client, and a key prefix that would scatter an app's keys over a Cluster. */
export function checkClient(client: Client): Client {
  if (typeof client?.evalsha !== "function" || typeof client.zrangebylex !== "function") {
    throw invalidValue("client must be an ioredis Redis or Cluster: new Redis(…) from the package ioredis");
  }
  const prefix = client.options?.keyPrefix ?? "";
  if (prefix.indexOf("{}") !== -1 && prefix.indexOf("{}") === prefix.indexOf("{")) {
    throw invalidValue('the client\'s keyPrefix must not contain "{}": it takes the hash tag from all keys');
  }
  return client;
}
