import type { EventEmitter } from "node:events";
import { type Cluster, Redis, type RedisOptions } from "ioredis";
import { invalidValue } from "../errors.js";
import type { Client, RedisSessionsOptions } from "../types.js";
import { warnOnce } from "../util/warn-once.js";
import { checkRedisOptions } from "./redis-options.js";

/**
 * Converts a URL to one that ioredis understands. ioredis would take a URL with another scheme for the path of a socket,
 * and a database that is not a number for database 0.
 * @throws SessionError `invalidValue` that does not quote the URL, because it may contain a password
 */
function toRedisUrl(url: string): string {
  // Without a scheme it is a host and a port, or the path of a socket.
  if (!url.includes("://")) return url;
  // ioredis 6 does not know the scheme unix.
  if (isSocketUrl(url)) return url.replace(/^unix:\/\//i, "");
  if (parseRedisUrl(url) !== undefined) return url.replace(/^valkey/i, "redis");
  throw invalidValue(
    "RedisSessions: options.url must be redis://[[user]:password@]host[:port][/database]",
    "use rediss:// for TLS; valkey:// and unix:///path work too; percent-encode special characters in the password",
  );
}

/** After how long without an answer the engine's own connection is replaced, in ms, unless `timeout` is longer. */
export const SOCKET_TIMEOUT = 3000;

/**
 * Opens the engine's own connection.
 * @param timeout of the engine's calls, in ms
 */
export function openClient(
  { port = 6379, host = "127.0.0.1", options = {} }: RedisSessionsOptions,
  timeout: number,
): Redis {
  checkRedisOptions(options);
  const { url, ...userOptions } = options;
  const redisOptions = {
    socketTimeout: Math.max(SOCKET_TIMEOUT, timeout),
    // The default of ioredis 6 waits up to 5 s after a long outage.
    retryStrategy: (times: number) => Math.min(times * 50, 1000),
    // After a failover is detected, ioredis accepts replies of the old master until the disconnectTimeout (default 2 s).
    ...(userOptions.sentinels ? { failoverDetector: true, disconnectTimeout: 100 } : {}),
    ...userOptions,
    // Users cannot change this: operations parse replies in their RESP2 form, which is ioredis's default.
    replyMapping: "legacy",
  } as const;
  const client =
    url === undefined ? new Redis({ host, port, ...redisOptions }) : new Redis(toRedisUrl(url), redisOptions);
  // Without a listener ioredis prints each failed attempt to connect. Calls report the outage themselves.
  client.on("error", (error: Error & { command?: { name: string } }) => {
    // ioredis would continue in database 0, which has other sessions.
    if (error.command?.name === "select") client.disconnect();
  });
  return client;
}

/** Closes the engine's own connection at once. */
export function closeClient(client: Client): void {
  // When a TLS handshake has failed and the connection is ended meanwhile, Node emits a second error on the stream. ioredis
  // listens for one only, so the second would end the process. A Cluster has no stream.
  (client as Redis).stream?.on("error", () => {});
  client.disconnect();
}

/**
 * Checks a client that the user passed. Warns if a Sentinel's client does not detect failovers.
 * @throws SessionError `invalidValue` if it is not an ioredis client, if it is a Cluster that reads from replicas (a mass
 * logout would miss sessions that were just written), or if its key prefix would spread an app's keys over a Cluster
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
      "The client has sentinels but not ioredis's option failoverDetector: true. After a failover it may write to the old " +
        "master for some seconds. These writes are lost, so sessions that were ended come back",
    );
  }
  const prefix = client.options?.keyPrefix ?? "";
  if (prefix.indexOf("{}") !== -1 && prefix.indexOf("{}") === prefix.indexOf("{")) {
    throw invalidValue('the client\'s keyPrefix must not contain "{}": it disables the hash tag of all keys');
  }
  return client;
}

/**
 * Parses a Redis or Valkey URL. Returns undefined if it is not one, if the database is not a number, or if the name or
 * password is not percent-encoded correctly.
 */
export function parseRedisUrl(text: string): URL | undefined {
  if (!/^(redis|valkey)s?:\/\/[^\s#]+$/i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  try {
    decodeURIComponent(url.username + url.password);
  } catch {
    return undefined;
  }
  return url.hostname !== "" && /^\/?\d*$/.test(url.pathname) ? url : undefined;
}

/** Whether a text is the path of a Unix socket, plain or as a URL: `/path` or `unix:///path`, with options after a `?`. */
export function isSocketUrl(text: string): boolean {
  return /^(unix:\/\/)?\/[^\s#]+$/i.test(text);
}

/** The listeners of a client, and for each one whether it was last told that the client is connected. */
type Listeners = Map<EventEmitter, boolean>;

/** One set of listeners for each client: with more than ten stores on one, Node would warn of a memory leak. */
const watched = new WeakMap<Client, Listeners>();

/**
 * Emits "disconnect" on `listener` when the connection is lost and "connect" when it is back, each once. These are the
 * events of express-session's stores.
 */
export function watchOutage(client: Client, listener: EventEmitter): void {
  const listeners = watched.get(client) ?? watch(client);
  // If the connection is down already, the next failed attempt emits "disconnect".
  listeners.set(listener, true);
}

function watch(client: Client): Listeners {
  const listeners: Listeners = new Map();
  watched.set(client, listeners);
  const emit = (event: string, connected: boolean) => {
    for (const [listener, before] of listeners) {
      if (before === connected) continue;
      listeners.set(listener, connected);
      listener.emit(event);
    }
  };
  client.on("close", () => emit("disconnect", false));
  client.on("ready", () => emit("connect", true));
  return listeners;
}
