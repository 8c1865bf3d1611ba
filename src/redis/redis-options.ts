import type { RedisOptions } from "ioredis";
import { invalidValue } from "../errors.js";
import type { RedisSessionsOptions } from "../types.js";
import { checkNames } from "../util/rules.js";

type ClientOptions = NonNullable<RedisSessionsOptions["options"]>;

/** The options of ioredis, as keys, so that TypeScript reports a missing one. */
const NAMES: { readonly [Name in keyof Required<RedisOptions>]: true } = {
  port: true,
  host: true,
  keyPrefix: true,
  showFriendlyErrorStack: true,
  name: true,
  role: true,
  tls: true,
  sentinelUsername: true,
  sentinelPassword: true,
  sentinels: true,
  path: true,
  family: true,
  sentinelRetryStrategy: true,
  sentinelReconnectStrategy: true,
  preferredSlaves: true,
  disconnectTimeout: true,
  sentinelCommandTimeout: true,
  enableTLSForSentinelMode: true,
  sentinelTLS: true,
  natMap: true,
  updateSentinels: true,
  sentinelMaxConnections: true,
  failoverDetector: true,
  Connector: true,
  retryStrategy: true,
  commandTimeout: true,
  blockingTimeout: true,
  blockingTimeoutGrace: true,
  socketTimeout: true,
  keepAlive: true,
  noDelay: true,
  connectionName: true,
  disableClientInfo: true,
  clientInfoTag: true,
  username: true,
  password: true,
  db: true,
  autoResubscribe: true,
  autoResendUnfulfilledCommands: true,
  reconnectOnError: true,
  readOnly: true,
  stringNumbers: true,
  protocol: true,
  replyMapping: true,
  connectTimeout: true,
  monitor: true,
  maxRetriesPerRequest: true,
  maxLoadingRetryTime: true,
  enableAutoPipelining: true,
  autoPipeliningIgnoredCommands: true,
  offlineQueue: true,
  commandQueue: true,
  enableOfflineQueue: true,
  enableReadyCheck: true,
  lazyConnect: true,
  scripts: true,
  himportFieldsets: true,
};

/** Option names of other clients → the options of ioredis to use. */
const FOREIGN_NAMES: Readonly<Record<string, string>> = {
  // node-redis
  socket: "host, port, path, tls, family, connectTimeout, keepAlive and retryStrategy at the top level",
  database: "db",
  pingInterval: "keepAlive",
  disableOfflineQueue: "enableOfflineQueue: false",
  readonly: "readOnly",
  RESP: "protocol",
  reconnectStrategy: "retryStrategy",
  rootNodes: "the engine's option client with new Cluster(…)",
  sentinelRootNodes: "sentinels",
  // redis-sessions, node_redis before version 4
  auth_pass: "password",
  connect_timeout: "connectTimeout",
  enable_offline_queue: "enableOfflineQueue",
  max_attempts: "retryStrategy",
  no_ready_check: "enableReadyCheck: false",
  prefix: "keyPrefix",
  retry_max_delay: "retryStrategy",
  retry_strategy: "retryStrategy",
  retry_unfulfilled_commands: "autoResendUnfulfilledCommands",
  socket_initial_delay: "keepAlive",
  socket_keepalive: "keepAlive",
  socket_nodelay: "noDelay",
  string_numbers: "stringNumbers",
  // common mistakes
  auth: "password",
  pass: "password",
  passwd: "password",
  pwd: "password",
  uri: "url",
  user: "username",
  ssl: "tls: {}",
  ca: "tls: { ca }",
  cert: "tls: { cert }",
  key: "tls: { key }",
  rejectUnauthorized: "tls: { rejectUnauthorized }",
  servername: "tls: { servername }",
};

/** Names of options of Redis clients → the name of the option in ioredis, for all that have one. */
export const REDIS_NAMES: ReadonlyMap<string, string> = new Map([
  ...Object.entries(FOREIGN_NAMES).filter(([, name]) => /^\w+$/.test(name)),
  ...[...Object.keys(NAMES), "url"].map((name) => [name, name] as const),
]);

/**
 * Refuses options that ioredis would ignore, and with them perhaps the database, the password or TLS.
 * @param installed returns the names of the options of the installed ioredis, which may be newer and have more
 * @throws SessionError `invalidValue` that names the option to use, and never quotes a value
 */
export function checkRedisOptions(options: ClientOptions, installed: () => string[]): void {
  const owner = "RedisSessions: options";
  for (const name of Object.keys(options)) {
    const meant = Object.hasOwn(FOREIGN_NAMES, name) ? FOREIGN_NAMES[name] : undefined;
    if (meant !== undefined) {
      throw invalidValue(`${owner}: ioredis has no option "${name}". Use ${meant} instead`);
    }
  }
  if (options.name !== undefined && options.sentinels === undefined) {
    throw invalidValue(
      `${owner}.name is the name of a Sentinel's master. To name the connection, use connectionName instead`,
    );
  }
  const names = [...Object.keys(NAMES), "url"];
  const unknown = Object.keys(options).some((name) => !names.includes(name));
  if (unknown) checkNames(owner, options, [...new Set([...names, ...installed()])]);
}
