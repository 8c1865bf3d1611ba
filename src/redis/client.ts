import type { EventEmitter } from "node:events";
import { type Cluster, Redis, type RedisOptions } from "ioredis";
import { invalidValue } from "../errors.js";
import type { Client, RedisSessionsOptions } from "../types.js";
import { warnOnce } from "../util/warn-once.js";
import { checkRedisOptions } from "./redis-options.js";

/** What keeps an engine's own connection from being ready. */
const troubles = new WeakMap<Client, Error>();

/** Why the engine's own connection is not there, as far as is known. */
export function connectionErrorOf(client: Client): Error | undefined {
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
    // Once a failover is detected, ioredis still accepts replies of the old master for the disconnectTimeout (2 s by default).
    ...(given.sentinels ? { failoverDetector: true, disconnectTimeout: 100 } : {}),
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

/**
 * An address of Redis or Valkey, taken apart; undefined for a text that is none. The database, if any, is a number, and
 * what is special in a password is percent-encoded.
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

/** Who is to be told about a client, and whether each thinks that it is connected. */
type Listeners = Map<EventEmitter, boolean>;

/** One watcher per client: a listener for each store would be a leak in Node's eyes from the eleventh on. */
const watched = new WeakMap<Client, Listeners>();

/**
 * Tells once when the connection is lost ("disconnect") and once when it is back ("connect"), in the words of
 * express-session's stores.
 */
export function watchOutage(client: Client, listener: EventEmitter): void {
  const listeners = watched.get(client) ?? watch(client);
  // Where the connection is lost already, the next vain attempt tells.
  listeners.set(listener, true);
}

function watch(client: Client): Listeners {
  const listeners: Listeners = new Map();
  watched.set(client, listeners);
  const tell = (event: string, connected: boolean) => {
    for (const [listener, before] of listeners) {
      if (before === connected) continue;
      listeners.set(listener, connected);
      listener.emit(event);
    }
  };
  client.on("close", () => tell("disconnect", false));
  client.on("ready", () => tell("connect", true));
  return listeners;
}
