import { RedisSessions } from "../engine/engine.js";
import { internalsOf } from "../engine/internals.js";
import { invalidValue, isOutage } from "../errors.js";
import { openCluster } from "../redis/open-cluster.js";
import { isSocketUrl, parseRedisUrl } from "../redis/redis-url.js";
import type { RedisSessionsOptions, ShardCount } from "../types.js";

/** The flags of all commands that say where Redis is. The variables are REDIS_URL and those of rest-sessions. */
export interface RedisFlags {
  redis?: string;
  cluster?: boolean;
  namespace?: string;
  /** The number of shards of all apps. Undefined to use the number that Redis has for each app. */
  shards?: ShardCount;
  events?: boolean;
}

/** An engine of the command. */
export interface Opened {
  readonly rs: RedisSessions;
  /** Closes the engine and its connection. */
  close(): Promise<void>;
}

type Address = Pick<RedisSessionsOptions, "host" | "port" | "options">;

/**
 * Opens an engine on the server, or on its whole Cluster if it is a node of one.
 * @param wipe as the engine's option. A command that runs once has 0; if Redis cannot be reached, it throws
 */
export async function openEngine(
  { nested = false, ...flags }: RedisFlags & { nested?: boolean },
  wipe: number,
): Promise<Opened> {
  const { shards, events = false, namespace = process.env.RS_NAMESPACE || "rs" } = flags;
  const settings = { wipe, nested, namespace, events, ...(shards !== undefined && { shards }) };
  const address = addressOf(flags.redis);
  // A server, which has a wiper, waits until Redis is back. A command that runs once fails at once.
  const once = wipe === 0;
  if (flags.cluster === true) return onCluster(address, once, settings);
  const retries = once ? { retryStrategy: () => null, disconnectTimeout: 100 } : {};
  const rs = new RedisSessions({ ...address, options: { ...address.options, ...retries }, ...settings });
  if (shards === undefined) internalsOf(rs).followShards();
  const close = () => rs.quit().catch(() => {});
  try {
    if (!(await isClusterNode(rs))) return { rs, close };
  } catch (error) {
    // The Redis user may lack the right, or a server starts before its Redis.
    if (!once || !isOutage(error)) return { rs, close };
    await close();
    throw error;
  }
  await close();
  return onCluster(address, once, settings);
}

async function isClusterNode(rs: RedisSessions): Promise<boolean> {
  const info = await internalsOf(rs).connection.command((client) => client.info("cluster"));
  return info.includes("cluster_enabled:1");
}

function onCluster(address: Address, once: boolean, settings: RedisSessionsOptions): Opened {
  const client = openCluster(address, (times) => (once ? null : Math.min(times * 50, 1000)));
  const rs = new RedisSessions({ ...settings, client });
  if (settings.shards === undefined) internalsOf(rs).followShards();
  return {
    rs,
    async close() {
      await rs.quit().catch(() => {});
      client.disconnect();
    },
  };
}

function addressOf(flag: string | undefined): Address {
  const { env } = process;
  const url = urlOf(flag);
  if (url !== undefined) return { options: { url } };
  return { host: env.RS_REDISHOST || "127.0.0.1", port: portOf(env.RS_REDISPORT || "6379") };
}

/** The URL of Redis in the flag or a variable. Undefined if none is set. */
function urlOf(flag: string | undefined): string | undefined {
  if (flag !== undefined) return checkUrl("--redis", flag);
  const name = process.env.REDIS_URL ? "REDIS_URL" : "RS_REDISURL";
  const url = process.env[name];
  return url ? checkUrl(name, url) : undefined;
}

/**
 * Refuses an invalid URL here. ioredis would misread it, or throw an error with the whole text, which may contain a
 * password.
 */
function checkUrl(source: string, url: string): string {
  if (parseRedisUrl(url) === undefined && !isSocketUrl(url)) {
    throw invalidValue(
      `${source} must be redis://[user:password@]host[:port][/number] or rediss://…`,
      "valkey:// and the path of a Unix socket are accepted too; percent-encode special characters in a password",
    );
  }
  return url;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) {
    throw invalidValue(`RS_REDISPORT must be a port, but is ${JSON.stringify(text)}`, "at most 65535");
  }
  return port;
}
