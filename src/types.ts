// biome-ignore lint/suspicious/noTsIgnore: with ioredis installed there is no error to expect
/** @ts-ignore Without ioredis, an optional peer dependency, this type is `any`. */
import type { RedisOptions } from "ioredis";
import type { SessionError, SessionErrorName } from "./errors.js";

/** A data value without `nested: true`. */
export type Primitive = string | number | boolean | null;

/** A data value with `nested: true`. */
export type Json = Primitive | Json[] | { [key: string]: Json };

/** The type of the data if none is given. To give one: `new RedisSessions<{ cart: number }>()`. */
export type DefaultData = Record<string, Primitive>;

/** Changes to the data. A value sets its key, `null` removes it, and all other keys keep their values. */
export type Changes<Data> = { [Key in keyof Data]?: Data[Key] | null };

/** A node-style callback. If one is passed, the method calls it once and returns no promise. */
export type Callback<Result> = (error: SessionError | null, result?: Result) => void;

/** A `Redis` or `Cluster` of ioredis 5 or 6 or of iovalkey. These are the members by which the engine recognises it. */
export interface IoredisLike {
  /** Runs a script by its hash. */
  evalsha(...args: never): unknown;
  /** Lists the members of a sorted set. node-redis has another name for it. */
  zrangebylex(...args: never): unknown;
}

/**
 * A client, cluster or sentinel of node-redis 5 or 6, the package `redis`. Call its `connect()`. These are the members by
 * which the engine recognises it.
 */
export interface NodeRedisLike {
  /** Whether `connect()` was called, and the client was not closed. */
  readonly isOpen: boolean;
  /** Sends any command. */
  sendCommand(...args: never): Promise<unknown>;
  /** Converts replies. Earlier versions of node-redis do not have it. */
  withTypeMapping(...args: never): unknown;
}

/** A client that the engine works with. */
export type Client = IoredisLike | NodeRedisLike;

/**
 * Options of the engine. The constructor throws `invalidValue` for a wrong value and for an unknown option. The message
 * names the option, and the option that was probably meant.
 */
export interface RedisSessionsOptions {
  /**
   * A connected client, cluster or sentinel of node-redis 5 or 6, or a `Redis` or `Cluster` of ioredis 5 or 6 or of
   * iovalkey. The engine defines no commands on it, and `quit()` leaves it open. An object of another kind, such as a pool
   * of node-redis, throws `invalidValue`.
   *
   * Default: the engine opens its own connection with `port`, `host` and `options`, and needs the package ioredis. If
   * you pass one of these together with `client`, or `client: undefined`, the constructor throws `invalidValue`.
   */
  client?: Client;
  /** The port of the engine's own connection, 0 to 65535. Default 6379. */
  port?: number | undefined;
  /** The host of the engine's own connection. Default "127.0.0.1". */
  host?: string | undefined;
  /**
   * ioredis options for the engine's own connection, and `url`. Option names that ioredis does not know, such as those of
   * node-redis, throw `invalidValue`.
   *
   * Defaults that differ from ioredis: `socketTimeout` is 3000 ms, or `timeout` if that is longer. `retryStrategy`
   * waits at most 1000 ms. With `sentinels`, `failoverDetector` is true and `disconnectTimeout` is 100 ms.
   */
  options?:
    | (RedisOptions & {
        /**
         * The server's URL: "redis://…", "rediss://…", "valkey://…" or "valkeys://…", or that of a Unix socket:
         * "unix:///path?db=1&username=…&password=…". The engine then ignores `host` and `port`. A malformed URL throws
         * `invalidValue`.
         */
        url?: string;
      })
    | undefined;
  /** The first part of every key in Redis: a string without braces. Default "rs". */
  namespace?: string | undefined;
  /**
   * Seconds between two runs of the wiper, at least 10. With 0 it never runs. The wiper removes index entries of expired
   * sessions; Redis itself ends the sessions, on time. Default 600.
   */
  wipe?: number | undefined;
  /**
   * Milliseconds after which a call that Redis has not answered fails with the error `timeout`. A call that was not sent
   * by then is never sent. Lists and mass logouts work in chunks, and the timeout applies to each chunk. A value below 50,
   * which was probably meant in seconds, causes a warning. Default 2000.
   */
  timeout?: number | undefined;
  /** Whether the values of `d` may be any JSON. If not, they are strings, numbers, booleans and null. Default false. */
  nested?: boolean | undefined;
  /**
   * The maximum size of a session's data in bytes, as JSON with its keys. A write that exceeds it fails with
   * `invalidValue` and changes nothing. The limit keeps one large session from delaying all other calls. RedisStore has
   * its own option `maxBytes`. Default 1048576 (1 MiB).
   */
  maxBytes?: number | undefined;
  /**
   * The maximum number of keys in a session's data. A write that exceeds it fails with `invalidValue` and changes
   * nothing. RedisStore has its own option `maxKeys`. Default 1000.
   */
  maxKeys?: number | undefined;
  /**
   * The number of shards over which the sessions of each app are spread: 1, 2, 4, 8, 16 or 32. Each shard is a slot of a Redis Cluster,
   * so one app can use several nodes. The first session of an app decides its number. If a process has another one, its calls on
   * this app fail with `redisError`. Default 1.
   */
  shards?: ShardCount | undefined;
  /**
   * Whether this engine announces the changes that it makes to sessions, so that listeners and near caches in all processes
   * hear of them. Set it in every process that writes to the sessions: a change by a process without it is not announced.
   * `{ stream: 10_000 }` also appends the events to a stream in Redis, which keeps about the last 10,000 events of each app.
   * Without it, nothing is published and no script is slower. Default: true with a `cachetime`, otherwise false.
   */
  events?:
    | boolean
    | {
        /** About how many events the stream of an app keeps, at least 1. */
        stream: number;
      }
    | undefined;
  /**
   * Seconds that a session which was read stays in the memory of this process (near cache), where further reads find it
   * without asking Redis. A change drops it, also a change by another process that has a `cachetime` or `events`. A change by
   * a process without them shows after `cachetime` seconds. With a `cachetime`, the engine announces its changes. With 0,
   * nothing is cached. Default 0.
   */
  cachetime?: number | undefined;
  /** The maximum number of sessions in the near cache, at least 1. They also take at most 64 MiB. Default 5000. */
  cachemax?: number | undefined;
}

/** The state of an engine's near cache. */
export interface CacheStatus {
  /** How many reads were answered from memory. */
  hits: number;
  /** How many reads had to ask Redis. A `get` with `fresh` is not counted. */
  misses: number;
  /** The number of sessions in memory. */
  size: number;
  /**
   * Whether the subscription to changes is established for all apps whose sessions were read lately. An app without a
   * subscription is not cached. False before the first read, and without `cachetime`.
   */
  subscribed: boolean;
}

/** How many shards an app may have. */
export type ShardCount = 1 | 2 | 4 | 8 | 16 | 32;

/** A session, as the engine returns it. */
export interface Session<Data = DefaultData> {
  /**
   * The session's public handle. It names the session in `get`, `set` and `kill`. It is not a token: a page may show
   * it.
   */
  ref: string;
  /** The user. Always text: "42" if the session was created for the number 42. */
  id: string;
  /** The user's address, as given to `create`. */
  ip: string;
  /** How often the session was read, counted from 1. The first `get` returns 1, as in redis-sessions. */
  r: number;
  /** How often the session was written, `create` included. */
  w: number;
  /** The idle timeout in seconds. For a `no_resave` session: the number of seconds until it ends. */
  ttl: number;
  /** Seconds since the last use before this call, accurate to one second. */
  idle: number;
  /** When the session was created, in milliseconds since 1970. */
  created: number;
  /**
   * When the user was authenticated last, in milliseconds since 1970: at the last `confirm`, or when the session was created.
   * It is named after the claim `auth_time` of OpenID Connect, which is in seconds.
   */
  authTime: number;
  /**
   * When the session ends if nobody uses it again, in milliseconds since 1970 by Redis's clock. `ttl`, `absolute` and
   * `no_resave` are taken into account. If the call that returned the session has prolonged it, this is its new end.
   * Accurate to one second. A session of RedisStore with `disableTTL` never ends: then it is Infinity, `null` in JSON.
   */
  expires: number;
  /** What the user signed in with. Absent if `create` was called without it. */
  device?: string;
  /**
   * Seconds that the browser keeps the session's cookie; null until the browser is closed. Absent if `create` was called
   * without it.
   */
  maxAge?: number | null;
  /**
   * The user's address at the last use before this call. Absent if it was `ip`. The middleware records it, at most once a
   * minute; the engine's own methods and RedisStore do not.
   */
  lastIp?: string;
  /** What the user used last. Absent if it was `device`. Recorded together with `lastIp`. */
  lastDevice?: string;
  /**
   * Who is signed in as the user, for example a member of the support staff. Always text. Absent if the user is. It is named
   * after the claim `act` of RFC 8693.
   */
  actor?: string;
  /** True if use does not prolong the session, absent otherwise. */
  no_resave?: true;
  /** The data. Absent if there is none. */
  d?: Partial<Data>;
}

interface App {
  /** The app: 3 to 20 of `A-Z a-z 0-9 _ -`. Otherwise the call fails with `missingParameter` or `invalidFormat`. */
  app: string;
}

interface User extends App {
  /**
   * The user: a string of 1 to 128 characters, or a safe integer, which is taken as its decimal text: 42 and "42" are the
   * same user. Sessions always have the text. Any other value fails with `missingParameter` or `invalidFormat`.
   */
  id: string | number;
}

/** Names a session, either by the token that the browser holds or by its ref. */
export type Which = App &
  (
    | {
        /** The browser's secret: 64 of `A-Z a-z 0-9`. A malformed token fails with `invalidFormat`. */
        token: string;
        /** Not allowed together with `token`: the call fails with `invalidValue`. */
        ref?: never;
      }
    | {
        /**
         * The public handle: 27 of `A-Z a-z 0-9 _ -`, or `~` and an id for a session of RedisStore. A malformed ref fails
         * with `invalidFormat`.
         */
        ref: string;
        /** Not allowed together with `ref`: the call fails with `invalidValue`. */
        token?: never;
      }
  );

/** A time span in seconds, at least 10. redis-sessions calls it `deltaTime`. With both names the call fails. */
type Span = { dt: number; deltaTime?: never } | { deltaTime: number; dt?: never };

/** Options of `create`. A bad option fails with `missingParameter`, `invalidFormat` or `invalidValue`. */
export interface CreateOptions<Data = DefaultData> extends User {
  /** The user's address, 1 to 39 characters. */
  ip: string;
  /**
   * The idle timeout in seconds, at least 10: the session ends when it is not used for that long. Default 7200, or
   * `maxAge` if that is longer, or 3600 with `actor`. A value that seems to be in milliseconds (more than 400 days, or such
   * as 3600_000) causes a warning.
   */
  ttl?: number | undefined;
  /** The first data, at least one key. Keys whose value is null are left out. Default: no data. */
  d?: Changes<Data> | undefined;
  /** Whether the values of `d` may be any JSON. Default: the engine's `nested`. */
  nested?: boolean | undefined;
  /**
   * If true, use does not prolong the session: it ends `ttl` seconds after its creation. Default false. With `actor` it is
   * always true, and false throws `invalidValue`.
   */
  no_resave?: boolean | undefined;
  /** What the user signs in with, such as "Firefox on Windows": 1 to 64 characters. Default: none. */
  device?: string | undefined;
  /**
   * Seconds that the browser keeps the session's cookie from its last renewal, 1 to 400 days; null until the browser is
   * closed. It is stored with the session, and the code that sets the cookie, such as the middleware, must read it there.
   * Default: not stored.
   */
  maxAge?: number | null | undefined;
  /**
   * The id of an admin or employee who signs in as the user (impersonation): 1 to 128 characters, or a safe integer. The
   * session ends `ttl` seconds after its creation, because use never prolongs it; the default of `ttl` is then 3600. It
   * shows `actor` in all lists. Default: none.
   */
  actor?: string | number | undefined;
  /**
   * The lifetime in seconds, at least 10: the session ends that long after its creation, even if it is used. A longer
   * `ttl` is reduced to it. Default: no limit.
   */
  absolute?: number | undefined;
  /** How many sessions the user may have, this one included. At least 1. Default: no limit. */
  maxPerUser?: number | undefined;
  /**
   * What happens if the user already has `maxPerUser` sessions. "oldest" ends the oldest sessions. "idle" ends the sessions
   * whose last use is the longest ago. "reject" makes `create` fail with `tooManySessions`. Without `maxPerUser` the call
   * fails with `invalidValue`. Default "oldest".
   */
  overflow?: "oldest" | "idle" | "reject" | undefined;
  /**
   * The token of a session that ends because the new one replaces it, as at a login. If there is no such session,
   * `create` succeeds all the same. If `create` fails with `tooManySessions`, the replaced session is kept. It may end
   * all the same if the user signs in twice at that moment. Default: none.
   */
  replaces?: string | undefined;
}

/** The options of `create` that limit how long a session lives and how many sessions a user has. */
export type Limits = Pick<CreateOptions, "ttl" | "absolute" | "maxPerUser" | "overflow">;

/** Options of `get`. If the session does not exist, the result is null. */
export type GetOptions = Which & {
  /** Whether the read is counted and prolongs the session. With false the session is not changed. Default true. */
  touch?: boolean | undefined;
  /** Whether Redis must be asked, even if the near cache has the session. See `cachetime`. Default false. */
  fresh?: boolean | undefined;
};

/** Options of `set`. If the session does not exist, nothing is written and the result is null. */
export type SetOptions<Data = DefaultData> = Which & {
  /** The changes, at least one key. A value sets its key, `null` removes it, and all other keys keep their values. */
  d: Changes<Data>;
  /** Whether the values of `d` may be any JSON. Default: the engine's `nested`. */
  nested?: boolean | undefined;
  /**
   * Whether the write is a use of the session, which prolongs it. With false, `idle`, `expires` and the lists of active
   * sessions stay as they are: for an administrator or a job, whose writes are not the user's activity. Default true.
   */
  touch?: boolean | undefined;
};

/** Options of `setAll`. If the user has no sessions, nothing is written and the count is 0. */
export interface SetAllOptions<Data = DefaultData> extends User {
  /** The changes, at least one key. A value sets its key, `null` removes it, and all other keys keep their values. */
  d: Changes<Data>;
  /** Whether the values of `d` may be any JSON. Default: the engine's `nested`. */
  nested?: boolean | undefined;
}

/** Options of `increment`. If the session does not exist, nothing is written and the result is null. */
export type IncrementOptions = Which & {
  /** The key of `d` to add to. Its value must be an integer; if the session does not have the key, it counts as 0. */
  key: string;
  /** The integer to add, may be negative. Default 1. */
  by?: number | undefined;
  /** The largest value to reach. If adding would exceed it, nothing changes. Subtracting always works. Default: none. */
  max?: number | undefined;
  /** Whether the write is a use of the session, which prolongs it. See `set`. Default true. */
  touch?: boolean | undefined;
};

/** The result of `increment`. */
export interface Incremented {
  /** The value of the key after the call. */
  value: number;
  /** Whether the value was changed. False if it would have exceeded `max`. */
  applied: boolean;
}

/** Options of `touch`. If the session does not exist, the result is null. */
export type TouchOptions = Which & {
  /**
   * The new idle timeout in seconds, at least 10. A `no_resave` session ends that long after this call. `absolute` still
   * applies. Default: as it is; a `no_resave` session is then not prolonged. An impersonated session, with an `actor`, is
   * refused with `impersonated`.
   */
  ttl?: number | undefined;
};

/** Options of `confirm`. If the session does not exist, nothing is written and the result is null. */
export type ConfirmOptions = Which;

/** Options of `kill`. If the session does not exist, the result is `{ kill: 0 }`. */
export type KillOptions = Which;

/** Options of `killsoid`. If the user has no sessions, the result is `{ kill: 0 }`. */
export interface KillsoidOptions extends User {
  /**
   * The token or ref of the one session to keep. If it is not a session of this user, all sessions end. With `except:
   * undefined` the call fails with `invalidValue`. Default: none.
   */
  except?: string;
}

/** Options of `killall`. If the app has no sessions, the result is `{ kill: 0 }`. */
export interface KillallOptions extends App {}

/** Which part of a list to return. */
interface ListOptions {
  /** The maximum number of sessions to return, at least 1. Default: no limit. */
  limit?: number | undefined;
  /**
   * How many sessions to skip at the start of the list. If it is larger than the list, the result is empty. The list is
   * read again at each call, so a session that is created, used or ended between two calls shifts the others. Default 0.
   */
  offset?: number | undefined;
}

/** Options of `soid`. If the user has no sessions, the list is empty. */
export interface SoidOptions extends User, ListOptions {}

/** Options of `soapp`. If no session was active in the last `dt` seconds, the list is empty. */
export type SoappOptions = App & Span & ListOptions;

/** Options of `activity`. If no user was active in the last `dt` seconds, the result is `{ activity: 0 }`. */
export type ActivityOptions = App & Span;

/** Options of `sessions`. If no session was active in the last `dt` seconds, the iterator ends at once. */
export type SessionsOfAppOptions = App & Span;

/**
 * Options of `rotate`. If the session does not exist, or the token was rotated before, the result is null. If the token was
 * rotated with `confirm`, the result is the same new token until that is used.
 */
export interface RotateOptions extends App {
  /** The session's current token. */
  token: string;
  /** Seconds that the current token stays valid together with the new one. With 0 it ends at once. Default 10. */
  grace?: number | undefined;
  /**
   * Whether the current token also stays valid until the new one is used for the first time, for at most as long as the
   * session lives. `grace` then counts from that use. So nobody is signed out if the answer with the new token is lost.
   * Default false.
   */
  confirm?: boolean | undefined;
}

/**
 * Why a session has ended.
 *
 * - "killed": by a call such as `kill`, `killsoid` or `killall`.
 * - "expired": it was not used in time, its `absolute` lifetime was over, or Redis evicted it.
 * - "replaced": by the session of a later sign-in.
 * - "limit": the user had more than `maxPerUser` sessions.
 * - "reused": a token of the session was used again after it had been rotated, its grace was over and a later token was
 *   in use. One of the two tokens was probably stolen.
 */
export type EndReason = "killed" | "expired" | "replaced" | "limit" | "reused";

interface EventBase extends App {
  /** The user. Empty for an anonymous session of RedisStore. */
  id: string;
  /** The session's public handle. */
  ref: string;
  /** When it happened, in milliseconds since 1970 by Redis's clock. For an expired session: when the wiper found it. */
  at: number;
  /**
   * The position after this event in the stream of the app: pass it as `after` to `events`. Do not parse it: with several shards it
   * has a part for each. It has up to 40 characters for each shard, and usually 16. Present only if the event was read from the
   * stream.
   */
  entry?: string;
}

/** A session was created. */
export interface CreatedEvent extends EventBase {
  /** The name of the event. */
  kind: "created";
}

/** The data, the user, the `ttl` or `authTime` of a session was changed. Reads and touches cause no such event. */
export interface ChangedEvent extends EventBase {
  /** The name of the event. */
  kind: "changed";
}

/** The token of a session was rotated. `ref` is the old one. */
export interface RotatedEvent extends EventBase {
  /** The name of the event. */
  kind: "rotated";
  /** The session's ref from now on. */
  to: string;
}

/** A session has ended. */
export interface EndedEvent extends EventBase {
  /** The name of the event. */
  kind: "ended";
  /** Why it has ended. */
  reason: EndReason;
}

/** What has happened to a session. */
export type SessionEvent = CreatedEvent | ChangedEvent | RotatedEvent | EndedEvent;

/**
 * Events of the app are missing here: check what depends on them. An iterator yields it after the connection was lost; with `after`,
 * if the events after that position were trimmed from the stream, or the stream was lost.
 */
export interface MissedEvent extends App {
  /** Distinguishes it from the events of sessions. */
  kind: "missed";
  /** The position from which the iterator continues, as that of an event. Absent without `after`. */
  entry?: string;
}

/** The engine hears the events of an app from now on. */
export interface SubscribedEvent extends App {
  /** Whether events were missed, because the connection was lost: check what depends on them. */
  missed: boolean;
}

/** The names of the events and what their listeners get. */
export interface EventMap {
  /** A session was created. */
  created: CreatedEvent;
  /** A session was changed. */
  changed: ChangedEvent;
  /** The token of a session was rotated. */
  rotated: RotatedEvent;
  /** A session has ended. */
  ended: EndedEvent;
  /** The engine hears an app from now on. */
  subscribed: SubscribedEvent;
  /** What a listener has thrown, or the reason with which its promise was rejected. */
  error: unknown;
}

/** Options of `events`. */
export interface EventsOptions extends App {
  /**
   * The `entry` of the last event that was handled: the iterator yields all later ones in the stream, and then goes on. If the
   * stream does not go back so far, it yields a "missed" event first. "0" begins with the oldest event. Needs the engine's option
   * `events: { stream }`. Default: only what happens from now on, without the stream.
   */
  after?: string | undefined;
}

/** A new token and its ref. */
export interface Created {
  /** The secret for the browser: 64 characters. Redis stores only a hash of it. */
  token: string;
  /** The session's public handle. A page may show it: it cannot be used as a token. */
  ref: string;
}

/** How many sessions were ended. */
export interface Killed {
  /** The number of sessions. 0 if there was none. */
  kill: number;
}

/** How many sessions were changed. */
export interface Written {
  /** The number of sessions. 0 if there was none. */
  set: number;
}

/** A list of sessions. The method says in which order. */
export interface SessionList<Data = DefaultData> {
  /** The sessions. Empty if there are none. */
  sessions: Session<Data>[];
}

/** How many users were active. */
export interface Activity {
  /** The number of users, not of sessions. 0 if there was none. */
  activity: number;
}

/** How many expired sessions were removed from the index. */
export interface Wiped {
  /** The number of sessions. 0 if there was none. */
  wiped: number;
}

/** What an import has done so far. In a dry run: what it would have done. */
export interface ImportCounts {
  /** How many sessions were imported. */
  imported: number;
  /** How many were removed because they had expired. */
  expired: number;
  /** How many were removed because they were ended meanwhile: by `kill`, `killsoid`, `killall`, `destroy` or `clear`. */
  ended: number;
  /** How many were removed because the session exists here already: a request or an earlier import has moved it. */
  present: number;
  /** How many keys were left where they are, because their values are not sessions that the other package wrote. */
  damaged: number;
}

/** The result of an import. */
export interface Imported extends ImportCounts {
  /** Whether all sessions were looked at. False if `signal` stopped the import: call it again to import the rest. */
  complete: boolean;
}

/** Options of an import of another package's sessions. */
export interface ImportOptions {
  /** Whether to write nothing and to count what would be done. Default false. */
  dryRun?: boolean | undefined;
  /** Called with the counts so far, after every few sessions. If it throws, the import stops with that error. */
  onProgress?: ((counts: ImportCounts) => void) | undefined;
  /** Stops the import between two sessions when it is aborted. */
  signal?: AbortSignal | undefined;
}

/** Options of `importSessions`. */
export interface ImportSessionsOptions extends ImportOptions {
  /** The app whose sessions to import. It has the same name in redis-sessions and here. */
  app: string;
  /** The package that wrote the sessions: redis-sessions 2, 3 or 4. */
  from: "redis-sessions";
  /** The option `namespace` of redis-sessions. Default: the namespace of this engine. */
  namespace?: string | undefined;
}

/**
 * What the tracing channel `ioredis-sessions:call` of `node:diagnostics_channel` says about a call. It contains no token, no
 * ref, no user and no data.
 */
export interface CallTrace {
  /** The method: "get", "create" and so on. `req.rs.get` is "get" too. Methods of the store begin with "RedisStore.". */
  readonly method: string;
  /** The app. Undefined for `ping` and `wipe`, and if the call was refused because its app is invalid. */
  readonly app: string | undefined;
  /** Whether the call shared a run of its script, and so an EVALSHA, with other calls. Known at the end of the call. */
  batched: boolean;
  /** Whether the near cache answered, so that Redis was not asked. Known at the end of the call. */
  cached: boolean;
  /**
   * How the call ended: "ok"; "missing" if there was no session, so the result is null or a count of 0; the name of the
   * SessionError; "otherError" for an error of the application, such as one of a serializer. Absent until the end.
   */
  outcome?: "ok" | "missing" | SessionErrorName | "otherError";
}
