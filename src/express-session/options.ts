import type { SessionData } from "express-session";
import { checkApp, checkOverflow, MAX_SECONDS } from "../engine/checks.js";
import { type AnyRedisSessions, anEngine } from "../engine/engine.js";
import { aShardCount, OPTIONS_OF_ENGINE } from "../engine/options.js";
import { invalidValue } from "../errors.js";
import { aClient } from "../redis/recognise.js";
import { REDIS_NAMES } from "../redis/redis-options.js";
import type { Bounds } from "../sessions/operations.js";
import type { Client, Limits, ShardCount } from "../types.js";
import { aBoolean, aFunction, anInteger, checkOptions, type OptionsOwner, oneOf } from "../util/rules.js";
import type { Serializer } from "./serializer.js";
import type { Ttl } from "./ttl.js";
import { defaultUserId, type UserId } from "./user-id.js";

/** Options of RedisStore. Those that connect-redis has, too, have the same meaning and default. */
export interface RedisStoreOptions {
  /**
   * A connected client, cluster or sentinel of node-redis 5 or 6, or a `Redis` or `Cluster` of ioredis 5 or 6 or of
   * iovalkey. Pass this, or `rs` and `app`.
   */
  client?: Client | undefined;
  /**
   * With `client`: seconds that a session which was read stays in the memory of this process, see the engine's option of that
   * name. With `rs`, it belongs to the engine. Default 0: nothing is cached.
   */
  cachetime?: number | undefined;
  /** With `client`: the maximum number of sessions in memory, at least 1. Default 5000. */
  cachemax?: number | undefined;
  /** Separates stores that share a Redis, and says where connect-redis wrote its sessions. Default "sess:". */
  prefix?: string | undefined;
  /**
   * The number of shards over which the sessions are spread: 1, 2, 4, 8, 16 or 32. With `rs`, it is an option of the engine.
   * Default 1.
   */
  shards?: ShardCount | undefined;
  /** The engine to run on, so that a process has one connection and one set of admin tools. Requires `app`. */
  rs?: AnyRedisSessions | undefined;
  /** The engine's app that the sessions belong to. Requires `rs`. */
  app?: string | undefined;
  /**
   * The idle timeout in seconds of a session whose cookie has no `expires`. A function is called with each session and
   * returns its idle timeout in seconds, whatever its cookie says. Default 86400, a day. A value that seems to be in
   * milliseconds, as `cookie.maxAge` of express-session is, causes a warning.
   */
  ttl?: number | ((session: SessionData) => number) | undefined;
  /**
   * The lifetime in seconds, at least 10: a session ends that long after its creation, even if it is used, and whatever its
   * cookie says. Sessions that existed before the option was set are not limited. Default: no limit.
   */
  absolute?: number | undefined;
  /**
   * How many sessions a user may have, at least 1. The limit applies when a save assigns a session to the user, which is a
   * sign-in. Default: no limit.
   */
  maxPerUser?: number | undefined;
  /**
   * What happens at a sign-in if the user already has `maxPerUser` sessions. "oldest" ends the oldest sessions. "idle" ends
   * the sessions whose last use is the longest ago. "reject" makes the save fail with `tooManySessions`, and nothing is written.
   * Without `maxPerUser` the constructor throws `invalidValue`. Default "oldest".
   */
  overflow?: "oldest" | "idle" | "reject" | undefined;
  /** Whether sessions never expire, unless `absolute` ends them. Their keys get a TTL of 100 years. Default false. */
  disableTTL?: boolean | undefined;
  /** Whether reading a session does not prolong it. Default false. */
  disableTouch?: boolean | undefined;
  /** Accepted because connect-redis has it, and ignored: the store never scans. */
  scanCount?: number | undefined;
  /**
   * Turns sessions into text and back, for instance to encrypt them. May be asynchronous. It gets a session in pieces,
   * `{ [key]: value }`, since each top-level key is stored by itself, and up to 100 pieces at once. Default: JSON.
   */
  serializer?: Serializer | undefined;
  /** Whether to take over sessions that connect-redis wrote under `<prefix><id>` when they are used. Default true. */
  legacy?: boolean | undefined;
  /**
   * Whether Redis holds a hash of each session id and not the id, so that nobody can use the ids of a dump. `ids()` then
   * returns refs, and `destroy` accepts refs. Default false, because express-session signs the ids.
   */
  hashIds?: boolean | undefined;
  /**
   * The maximum size of a session in bytes, as JSON of its top-level keys. A save that would exceed it fails with the
   * error `invalidValue`, and the session stays as it was. Default 9437184 (9 MiB).
   */
  maxBytes?: number | undefined;
  /**
   * The maximum number of top-level keys of a session. A save that would exceed it fails with the error `invalidValue`,
   * and the session stays as it was. Default 25000.
   */
  maxKeys?: number | undefined;
  /**
   * Returns the id of the session's user: 1 to 128 characters, or a safe integer, which is stored as its text. Undefined and
   * null mean that the session is anonymous. Any other value fails the save with `invalidFormat`, an empty string with
   * `missingParameter`. Default: `session.passport.user` if it is a valid id, else `session.userId` if that is one, else
   * anonymous.
   */
  userId?(session: StoredData): string | number | undefined | null;
}

/** The options with their defaults. */
export interface StoreSettings {
  readonly prefix: string;
  readonly ttl: Ttl;
  /** Whether sessions have no TTL. */
  readonly endless: boolean;
  /** Whether using a session prolongs it. */
  readonly touches: boolean;
  readonly legacy: boolean;
  readonly hashIds: boolean;
  /** Undefined for JSON. */
  readonly serializer: Serializer | undefined;
  readonly userId: UserId;
  readonly bounds: Bounds;
  readonly limits: Omit<Limits, "ttl">;
}

export function settingsOf(options: RedisStoreOptions): StoreSettings {
  const endless = options.disableTTL ?? false;
  return {
    prefix: options.prefix ?? "sess:",
    ttl: options.ttl ?? 86_400,
    endless,
    touches: !(endless || (options.disableTouch ?? false)),
    legacy: options.legacy ?? true,
    hashIds: options.hashIds ?? false,
    serializer: options.serializer === JSON ? undefined : options.serializer,
    userId: options.userId ?? defaultUserId,
    bounds: { maxBytes: options.maxBytes ?? 9 * 1024 * 1024, maxKeys: options.maxKeys ?? 25_000 },
    limits: { absolute: options.absolute, maxPerUser: options.maxPerUser, overflow: options.overflow },
  };
}

/** A session's data. Properties that a project adds to SessionData are optional, as in `req.session`. */
export type StoredData = Pick<SessionData, "cookie"> & Partial<SessionData>;

/** Keys of a session's data to change: a value sets its key, and undefined removes it. */
export type ChangedData = { [Key in Exclude<keyof SessionData, "cookie">]?: SessionData[Key] | undefined };

const REDIS_STORE: OptionsOwner = {
  name: "RedisStore",
  call: "new RedisStore({ client })",
  elsewhere: {
    ...OPTIONS_OF_ENGINE,
    ...Object.fromEntries(
      [...REDIS_NAMES].map(([name, here]) => [name, `It belongs to the client: client: new Redis({ ${here} })`]),
    ),
    secret: "It belongs to express-session: session({ secret, store })",
  },
};

export function checkStoreOptions(options: RedisStoreOptions): void {
  checkOptions(REDIS_STORE, options, {
    client: aClient,
    prefix: { be: "a string", test: (value) => typeof value === "string" },
    rs: anEngine,
    app: { be: "an app", test: (value) => checkApp(value) !== "" },
    ttl: {
      be: "a number of seconds > 0, or a function of the session",
      test: (value) => typeof value === "function" || (typeof value === "number" && value > 0),
    },
    absolute: anInteger(10, MAX_SECONDS),
    maxPerUser: anInteger(1),
    overflow: oneOf("oldest", "idle", "reject"),
    disableTTL: aBoolean,
    disableTouch: aBoolean,
    scanCount: { be: "a number", test: (value) => typeof value === "number" },
    serializer: { be: "an object with the functions parse and stringify", test: isSerializer },
    legacy: aBoolean,
    hashIds: aBoolean,
    maxBytes: anInteger(1),
    maxKeys: anInteger(1),
    userId: aFunction,
    cachetime: anInteger(0),
    cachemax: anInteger(1),
    shards: aShardCount,
  });
  const { client, rs, app } = options;
  if ((client === undefined) === (rs === undefined)) {
    throw invalidValue("RedisStore takes a client (of node-redis, ioredis or iovalkey), or rs (an engine) and app");
  }
  const ofEngine = (["cachetime", "cachemax", "shards"] as const).find((name) => options[name] !== undefined);
  if (rs !== undefined && ofEngine !== undefined) {
    throw invalidValue(
      `RedisStore: with rs, ${ofEngine} belongs to the engine: rs: new RedisSessions({ ${ofEngine} })`,
    );
  }
  checkOverflow(options);
  if ((rs === undefined) !== (app === undefined)) throw invalidValue("RedisStore takes rs and app together");
}

function isSerializer(value: unknown): boolean {
  const { parse, stringify } = Object(value) as Partial<Serializer>;
  return typeof parse === "function" && typeof stringify === "function";
}

/**
 * The engine's app for a prefix: "sess:" is the app "sess", as the engine and its tools name it. An app for any other
 * prefix begins with "=", which no app of the engine does, so that no two prefixes share their sessions. Braces are
 * escaped, because they would end the hash tag.
 */
export function appOfPrefix(prefix: string): string {
  const app = /^([\w-]{3,20}):$/.exec(prefix)?.[1];
  // A dot and a number at the end would be the tag of a shard.
  return app ?? `=${prefix.replace(/[{}%]/g, encodeURIComponent).replace(/\.(?=\d+$)/, "%2E")}`;
}
