import type { Cluster, Redis, RedisOptions } from "ioredis";
import type { SessionError } from "./errors.js";

/** What a data value may be without `nested: true`. */
export type Primitive = string | number | boolean | null;

/** What a data value may be with `nested: true`. */
export type Json = Primitive | Json[] | { [key: string]: Json };

/** What the data looks like unless a type is given: `new RedisSessions<{ cart: number }>()`. */
export type DefaultData = Record<string, Primitive>;

/** Changes to the data: a value sets its key, `null` removes it, keys that are not named stay as they are. */
export type Changes<Data> = { [Key in keyof Data]?: Data[Key] | null };

/** Node-style callback; called once, instead of a promise. */
export type Callback<Result> = (error: SessionError | null, result?: Result) => void;

/** An ioredis client, version 5 or 6. */
export type Client = Redis | Cluster;

/** Options of the engine. A misspelt or bad one throws `invalidValue`, which names the right one. */
export interface RedisSessionsOptions {
  /**
   * An ioredis `Redis` or `Cluster`. It stays yours: nothing is defined on it, and `quit()` leaves it open.
   * Without it the engine opens a connection of its own with `port`, `host` and `options`.
   */
  client?: Client;
  /** Port of the engine's own connection. Default 6379. */
  port?: number | undefined;
  /** Host of the engine's own connection. Default "127.0.0.1". */
  host?: string | undefined;
  /**
   * Handed to ioredis for the engine's own connection. `options.url` ("redis://…", "valkeys://…") works, too. Names that
   * ioredis does not know, such as node-redis's, are refused with the error `invalidValue`. Defaults that differ from
   * ioredis's: `socketTimeout` 3000 (or `timeout`, if that is longer), `retryStrategy` with 1 s at most, and
   * `failoverDetector: true` and `disconnectTimeout: 100` where there are `sentinels`.
   */
  options?:
    | (RedisOptions & {
        /** The server's address: "redis://…", "rediss://…", "valkey://…" or "valkeys://…". */
        url?: string;
      })
    | undefined;
  /** First part of every key in Redis. Any text without braces. Default "rs". */
  namespace?: string | undefined;
  /**
   * Seconds between two rounds of the wiper, which drops index entries whose session has expired (sessions
   * themselves are ended by Redis, on time). At least 10; 0 means never. Default 600.
   */
  wipe?: number | undefined;
  /**
   * Milliseconds after which a call that Redis does not answer ends with the error `timeout`. A call that was not sent by
   * then is never sent. Lists and mass logouts work in
   * chunks, each with as long. Default 2000.
   */
  timeout?: number | undefined;
  /** Whether values of `d` may be any JSON, not only strings, numbers, booleans and null. Default false. */
  nested?: boolean | undefined;
  /**
   * The most bytes that a session's data may have, as JSON with its keys. What would make it larger is refused with the
   * error `invalidValue`, so that nobody can make a session grow until it holds up everybody. RedisStore has a bound
   * of its own. Default 1048576 (1 MiB).
   */
  maxBytes?: number | undefined;
  /**
   * The most keys that a session's data may have. What would add more is refused with the error `invalidValue`. RedisStore
   * has a bound of its own. Default 1000.
   */
  maxKeys?: number | undefined;
}

/** A session, as the engine returns it. */
export interface Session<Data = DefaultData> {
  /** The session's public handle: names it in `get`, `set`, `kill`, but is no token. Safe to show in a page. */
  ref: string;
  /** The user. */
  id: string;
  /** The address given at creation. */
  ip: string;
  /** How often it was read. Counts from 1, and the first `get` shows 1, as in redis-sessions. */
  r: number;
  /** How often it was written, the creation included. */
  w: number;
  /** Seconds that it may rest. For a `no_resave` session: seconds until it ends. */
  ttl: number;
  /** Seconds since it was last used (exact to a second), before the call that shows it. */
  idle: number;
  /** When it was created, in milliseconds since 1970. */
  created: number;
  /** What the user signed in with, if it was given at creation. */
  device?: string;
  /** Present and true when using the session does not prolong it. */
  no_resave?: true;
  /** The data. Absent when there is none. */
  d?: Partial<Data>;
}

interface App {
  /** The app: 3 to 20 of `A-Z a-z 0-9 _ -`. */
  app: string;
}

interface User extends App {
  /** The user: 1 to 128 characters of any kind. */
  id: string;
}

/** A session, by the token that the browser holds or by its public handle. */
export type Which = App &
  (
    | {
        /** The secret that the browser holds: 64 of `A-Z a-z 0-9`. */
        token: string;
        /** Not beside `token`. */
        ref?: never;
      }
    | {
        /** The public handle: 27 of `A-Z a-z 0-9 _ -`. */
        ref: string;
        /** Not beside `ref`. */
        token?: never;
      }
  );

/** A span of time, in seconds (at least 10); `deltaTime` is the name in redis-sessions. */
type Span = { dt: number; deltaTime?: never } | { deltaTime: number; dt?: never };

/** Options of `create`. Bad ones reject with `missingParameter`, `invalidFormat` or `invalidValue`. */
export interface CreateOptions<Data = DefaultData> extends User {
  /** The user's address, 1 to 39 characters. */
  ip: string;
  /** Seconds that the session may rest before it ends, at least 10. Default 7200. */
  ttl?: number | undefined;
  /** Data to begin with, at least one key. Keys whose value is null are left out. Default: none. */
  d?: Changes<Data> | undefined;
  /** Whether the values of `d` may be any JSON. Default: as the engine was constructed. */
  nested?: boolean | undefined;
  /** Using the session does not prolong it: it ends exactly `ttl` after now. Default false. */
  no_resave?: boolean | undefined;
  /** What the user signs in with ("Firefox on Windows"), up to 64 characters. */
  device?: string | undefined;
  /** Seconds after which it ends however much it is used, at least 10. A longer `ttl` is cut to it. Default: none. */
  absolute?: number | undefined;
  /** How many sessions the user may have, this one included, at least 1. Default: any number. */
  maxPerUser?: number | undefined;
  /** What happens when the user has `maxPerUser` sessions already: the oldest end, or this one is rejected. Default "oldest". */
  overflow?: "oldest" | "reject" | undefined;
  /**
   * The token of a session that this one takes the place of, as at a login: it ends before this one begins, but not where
   * this one is refused. (Where somebody signs in at the very moment it may have ended all the same.) Default: none.
   */
  replaces?: string | undefined;
}

/** How long a session may live, and how many of them a user may have. */
export type Limits = Pick<CreateOptions, "ttl" | "absolute" | "maxPerUser" | "overflow">;

/** Options of `get`. */
export type GetOptions = Which & {
  /** Whether this read counts and prolongs the session. With false it leaves no trace. Default true. */
  touch?: boolean | undefined;
};

/** Options of `set`. */
export type SetOptions<Data = DefaultData> = Which & {
  /** The changes, at least one. `null` removes a key; keys that are not named are untouched. */
  d: Changes<Data>;
  /** Whether the values of `d` may be any JSON. Default: as the engine was constructed. */
  nested?: boolean | undefined;
};

/** Options of `kill`. */
export type KillOptions = Which;

/** Options of `killsoid`. */
export interface KillsoidOptions extends User {
  /** The one session to spare, by token or ref. If that is none of the user's, all end. Default: none. */
  except?: string;
}

/** Options of `killall`. */
export interface KillallOptions extends App {}

/** Which part of a list to return. */
interface ListOptions {
  /** The most sessions to return, at least 1. Default: all. */
  limit?: number | undefined;
  /**
   * How many of the first sessions to skip. Default 0. An offset counts the sessions as they are at the call: one that
   * was created, used or ended since the part before was read shifts the others.
   */
  offset?: number | undefined;
}

/** Options of `soid`. */
export interface SoidOptions extends User, ListOptions {}

/** Options of `soapp`. */
export type SoappOptions = App & Span & ListOptions;

/** Options of `activity`. */
export type ActivityOptions = App & Span;

/** Options of `sessions`. */
export type SessionsOfAppOptions = App & Span;

/** Options of `rotate`. */
export interface RotateOptions extends App {
  /** The session's present token. */
  token: string;
  /** Seconds that the present token goes on working beside the new one. Default 10; 0 ends it at once. */
  grace?: number | undefined;
}

/** A new token (the secret, for the browser) and its ref (the public handle). */
export interface Created {
  /** The secret: 64 characters. Redis does not have it. */
  token: string;
  /** What Redis knows the session by: safe to show, useless as a token. */
  ref: string;
}

/** How many sessions were ended. */
export interface Killed {
  /** 0 when there was none. */
  kill: number;
}

/** A list of sessions, in the order that the method describes. */
export interface SessionList<Data = DefaultData> {
  /** The sessions; empty when there are none. */
  sessions: Session<Data>[];
}

/** How many users were active. */
export interface Activity {
  /** 0 when there was none. */
  activity: number;
}

/** How many expired sessions the index forgot. */
export interface Wiped {
  /** 0 when there was none. */
  wiped: number;
}
