import { createRequire } from "node:module";
import type { Cluster, Redis, RedisOptions } from "ioredis";
import { invalidValue } from "../errors.js";
import type { IoredisLike, RedisSessionsOptions } from "../types.js";
import { warnOnce } from "../util/warn-once.js";
import type { Commands, KeyServer, RedisClient, ScriptCall, SubscriberConnection, SubscriberEvents } from "./client.js";
import { ConnectionErrors } from "./connection-errors.js";
import { openIoredisSubscriber } from "./ioredis-subscriber.js";
import { checkKeyPrefix } from "./key-prefix.js";
import { checkRedisOptions } from "./redis-options.js";
import { isSocketUrl, parseRedisUrl } from "./redis-url.js";

/**
 * Gives each slot its own list of nodes. ioredis has one list for all slots of a range. When one slot has moved, ioredis writes the new
 * node into that list, and sends the calls on all other slots of the range to a wrong node, until it has read all slots again.
 */
function separateSlots({ slots = [] }: Cluster): void {
  for (const [slot, nodes] of slots.entries()) if (nodes !== undefined) slots[slot] = [...nodes];
}

/** A `Redis` or `Cluster` of ioredis or iovalkey. */
export class IoredisClient implements RedisClient {
  readonly redis: Redis | Cluster;
  readonly #errors: ConnectionErrors;

  constructor(redis: Redis | Cluster) {
    this.redis = redis;
    this.#errors = new ConnectionErrors(redis);
    if (this.isCluster) {
      separateSlots(redis as Cluster);
      redis.on("refresh", () => separateSlots(redis as Cluster));
    }
  }

  get lastError(): Error | undefined {
    return this.#errors.last;
  }

  watch(): () => void {
    return this.#errors.watch();
  }

  get isCluster(): boolean {
    return this.redis.isCluster;
  }

  get isReady(): boolean {
    // Only `Redis` has a stream, which ends a moment before the status changes.
    return this.status === "ready" && (this.redis as Redis).stream?.writable !== false;
  }

  get status(): string {
    // ioredis-mock has no status.
    return this.redis.status ?? "ready";
  }

  get isClosed(): boolean {
    return this.status === "end";
  }

  get silenceRemedy(): string | undefined {
    const options = this.isCluster ? (this.redis as Cluster).options.redisOptions : (this.redis as Redis).options;
    if (typeof options?.socketTimeout === "number") return undefined;
    return "set ioredis's option socketTimeout: 3000, so that the client replaces a dead connection";
  }

  evalsha({ script, keys, args }: ScriptCall): Promise<unknown> {
    return this.redis.evalsha(script.sha, keys.length, ...keys, ...args);
  }

  eval({ script, keys, args }: ScriptCall): Promise<unknown> {
    return this.redis.eval(script.source, keys.length, ...keys, ...args);
  }

  /** A pipeline would do so, too. But on a Cluster it computes the slot of each key, which is a third of the cost of a command. */
  inOneWrite(send: () => void): void {
    const servers = this.isCluster ? (this.redis as Cluster).nodes("master") : [this.redis as Redis];
    // A server that is not connected has no stream, and ioredis queues its commands.
    const streams = servers.map(({ stream }) => stream);
    for (const stream of streams) stream?.cork();
    try {
      send();
    } finally {
      for (const stream of streams) stream?.uncork();
    }
  }

  get keyPrefix(): string {
    return this.redis.options?.keyPrefix ?? "";
  }

  async keyServers(): Promise<readonly KeyServer[]> {
    const servers = this.isCluster ? (this.redis as Cluster).nodes("master") : [this.redis as Redis];
    return servers.map((server) => ({
      scan: (cursor, match, count, type) => server.scan(cursor, "MATCH", match, "COUNT", count, "TYPE", type),
      call: (name, ...args) => server.call(name, ...args),
    }));
  }

  /** ioredis writes a command at once if `isReady`, so no deadline can pass before that. */
  commands(): Commands {
    return this.redis;
  }

  async ping(): Promise<unknown> {
    try {
      return await this.redis.ping();
    } catch (error) {
      // For the reply to a wrong password, for example, ioredis emits no event if the user has no listener for "error".
      if (!this.isReady && (error as Error).name === "ReplyError") this.#errors.remember(error as Error);
      throw error;
    }
  }

  openSubscriber(channel: string, events: SubscriberEvents): Promise<SubscriberConnection> {
    return openIoredisSubscriber(this.redis, this.keyPrefix, channel, events);
  }

  on(event: "ready" | "close", listener: () => void): void {
    this.redis.on(event, listener);
  }

  off(event: "ready" | "close", listener: () => void): void {
    this.redis.off(event, listener);
  }

  /** Closes the connection when Redis has answered all commands. Fails if Redis does not answer. */
  quit(): Promise<unknown> {
    return this.redis.quit();
  }

  /** Closes the connection at once. */
  disconnect(): void {
    // When a TLS handshake has failed and the connection is ended meanwhile, Node emits a second error on the stream.
    // ioredis listens for one only, so the second would end the process. A Cluster has no stream.
    (this.redis as Redis).stream?.on("error", () => {});
    this.redis.disconnect();
  }
}

/**
 * Checks a client that the user passed. Warns if a Sentinel's client does not detect failovers.
 * @throws SessionError `invalidValue` if it is a Cluster that reads from replicas (a mass logout would miss sessions that
 * were just written), or if its key prefix would spread an app's keys over a Cluster
 */
export function fromIoredis(client: IoredisLike): IoredisClient {
  // The public type names only how a client of ioredis is recognised.
  const redis = client as unknown as Redis | Cluster;
  if (redis.isCluster && ((redis as Cluster).options?.scaleReads ?? "master") !== "master") {
    throw invalidValue('the Cluster\'s scaleReads must be "master": a replica may lack what was just written');
  }
  const { sentinels, failoverDetector } = (redis.options ?? {}) as RedisOptions;
  if (sentinels && !failoverDetector) {
    warnOnce(
      redis,
      "NO_FAILOVER_DETECTOR",
      "The client has sentinels but not ioredis's option failoverDetector: true. After a failover it may write to the old " +
        "master for some seconds. These writes are lost, so sessions that were ended come back",
    );
  }
  checkKeyPrefix(redis.options?.keyPrefix);
  return new IoredisClient(redis);
}

/** After how long without an answer the engine's own connection is replaced, in ms, unless `timeout` is longer. */
export const SOCKET_TIMEOUT = 3000;

/**
 * Opens the engine's own connection.
 * @param timeout of the engine's calls, in ms
 * @throws SessionError `invalidValue` for options that ioredis does not know, and if ioredis is not installed
 */
export function openClient(
  { port = 6379, host = "127.0.0.1", options = {} }: RedisSessionsOptions,
  timeout: number,
): IoredisClient {
  const { Redis } = loadIoredis();
  checkRedisOptions(options, () => Object.keys(new Redis({ lazyConnect: true }).options));
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
  const redis =
    url === undefined ? new Redis({ host, port, ...redisOptions }) : new Redis(toRedisUrl(url), redisOptions);
  // Without a listener ioredis prints each failed attempt to connect. Calls report the outage themselves.
  redis.on("error", (error: Error & { command?: { name: string } }) => {
    // ioredis would continue in database 0, which has other sessions.
    if (error.command?.name === "select") redis.disconnect();
  });
  return new IoredisClient(redis);
}

/**
 * Loads ioredis, which is an optional peer dependency. A static import would fail for users of another client, and
 * `await import()` does not work in a constructor.
 */
export function loadIoredis(): typeof import("ioredis") {
  try {
    return createRequire(import.meta.url)("ioredis");
  } catch (error) {
    if ((error as { code?: unknown }).code !== "MODULE_NOT_FOUND") throw error;
    throw invalidValue(
      "RedisSessions opens its own connection with ioredis, which is not installed",
      "npm install ioredis, or pass a connected client of another package as the option client",
    );
  }
}

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
