import type { Cluster, ClusterOptions, RedisOptions } from "ioredis";
import { invalidValue } from "../errors.js";
import type { RedisSessionsOptions } from "../types.js";
import { loadIoredis, openClient, SOCKET_TIMEOUT } from "./ioredis.js";

/**
 * Opens a client of a whole Cluster. All nodes must accept the same user, password and TLS options.
 * @param node the address of one node, as the engine's options
 * @throws SessionError `invalidValue` for a database other than 0, which a Cluster does not have, and for a Unix socket,
 * which leads to no other node
 */
export function openCluster(
  { host, port, options }: Pick<RedisSessionsOptions, "host" | "port" | "options">,
  clusterRetryStrategy: NonNullable<ClusterOptions["clusterRetryStrategy"]>,
): Cluster {
  // This client never connects. ioredis parses the URL for it.
  const { redis } = openClient({ host, port, options: { ...options, lazyConnect: true } }, 0);
  const node = redis.options as RedisOptions;
  if (node.db) throw invalidValue("A Cluster has only database 0", "leave out the number at the end of the URL");
  if (node.path) throw invalidValue("A Unix socket does not reach the other nodes of a Cluster", "use host and port");
  const { username, password, tls, family, connectTimeout } = node;
  const client = new (loadIoredis().Cluster)([{ host: node.host as string, port: node.port as number }], {
    clusterRetryStrategy,
    redisOptions: {
      ...(username != null && { username }),
      ...(password != null && { password }),
      ...(tls !== undefined && { tls }),
      ...(family !== undefined && { family }),
      ...(connectTimeout !== undefined && { connectTimeout }),
      socketTimeout: SOCKET_TIMEOUT,
      // The process ends that long after a failed attempt. The default is 2 s.
      disconnectTimeout: 100,
      replyMapping: "legacy",
    },
    // By default ioredis replaces host names by addresses, which the nodes' certificates do not have.
    ...(tls !== undefined && { dnsLookup: (host, callback) => callback(null, host) }),
  });
  // Without a listener ioredis prints the errors. Calls report them themselves.
  return client.on("error", () => {});
}
