import { type Cluster, Redis, type RedisOptions } from "ioredis";
import { invalidValue } from "./errors.js";
import { checkRedisOptions } from "./redis-options.js";
import { parseRedisUrl } from "./redis-url.js";
import type { Client, RedisSessionsOptions } from "./types.js";
import { warnOnce } from "./warn-once.js";

/** What keeps an engine's own connection from being ready. */
const troubles = new WeakMap<Client, Error>();

/** Why the engine's own connection is not there, as far as is known. */
export function troubleOf(client: Client): Error | undefined {
  return troubles.get(client);
}

/**
 * An address as ioredis takes it, which otherwise would take any other scheme for the path of a socket, and a database
 * that is no number for database 0.
 * @throws SessionError `invalidValue` that does not quote it: it may hold a password
 */
function checkUrl(url: string): string {
  // A host and a port, or the path of a socket.
  if (!url.includes("://")) return url;
  if (parseRedisUrl(url) !== undefined) return url.replace(/^valkey/i, "redis");
  throw invalidValue(
    "RedisSessions: options.url must be redis://[[user]:password@]host[:port][/database]",
    "rediss:// for TLS; valkey:// does, too; percent-encode what is special in a password",
  );
}

/** After how long without an answer the engine's own connection is replaced, in ms; longer where calls may take longer. */
const SOCKET_TIMEOUT = 3000;

/**
 * Opens the engine's own connection.
 * @param timeout of the engine's calls, ms
 */
export function openClient(
  { port = 6379, host = "127.0.0.1", options = {} }: RedisSessionsOptions,
  timeout: number,
): Redis {
  checkRedisOptions(options);
  const { url, ...given } = options;
  const rest = {
    socketTimeout: Math.max(SOCKET_TIMEOUT, timeout),
    // ioredis 6 would wait for up to 5 s after a long outage.
    retryStrategy: (times: number) => Math.min(times * 50, 1000),
    ...(given.sentinels ? { failoverDetector: true } : {}),
    ...given,
    // Whatever is given: scripts' replies are read in the shapes of RESP2, which is ioredis's default.
    replyMapping: "legacy",
  } as const;
  const client = url === undefined ? new Redis({ host, port, ...rest }) : new Redis(checkUrl(url), rest);
  // Without a listener ioredis prints each failed attempt to connect. Every call reports the outage itself.
  client.on("error", (error: Error & { code?: string; command?: { name: string } }) => {
    // Without what ioredis adds: a command's arguments may be a password. (What Node says of several addresses is empty.)
    troubles.set(client, new Error(error.message || error.code));
    // ioredis would go on in database 0, where other sessions are.
    if (error.command?.name === "select") client.disconnect();
  });
  client.on("ready", () => troubles.delete(client));
  return client;
}

/**
 * Refuses what is no ioredis client, a Cluster that reads from replicas (which may not have what was just written, so that
 * a mass logout would miss it), and a key prefix that would scatter an app's keys over a Cluster.
 */
export function checkClient(client: Client): Client {
  if (typeof client?.evalsha !== "function" || typeof client.zrangebylex !== "function") {
    throw invalidValue("client must be an ioredis Redis or Cluster: new Redis(…) from the package ioredis");
  }
  if (client.isCluster && ((client as Cluster).options?.scaleReads ?? "master") !== "master") {
    throw invalidValue('the Cluster\'s scaleReads must be "master": a replica may lack what was just written');
  }
  const { sentinels, failoverDetector } = (client.options ?? {}) as RedisOptions;
  if (sentinels && !failoverDetector) {
    warnOnce(
      client,
      "NO_FAILOVER_DETECTOR",
      "The client of a Sentinel lacks ioredis's option failoverDetector: true. After a failover it may write to the old " +
        "master for seconds, and what it writes there is lost: sessions that were ended come back",
    );
  }
  const prefix = client.options?.keyPrefix ?? "";
  if (prefix.indexOf("{}") !== -1 && prefix.indexOf("{}") === prefix.indexOf("{")) {
    throw invalidValue('the client\'s keyPrefix must not contain "{}": it takes the hash tag from all keys');
  }
  return client;
}
