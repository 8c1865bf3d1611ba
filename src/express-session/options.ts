import type { SessionData } from "express-session";
import { checkApp, checkId } from "../engine/checks.js";
import { type AnyRedisSessions, anEngine } from "../engine/engine.js";
import { invalidValue } from "../errors.js";
import type { Client } from "../types.js";
import { aBoolean, aFunction, anInteger, anObject, checkOptions } from "../util/rules.js";
import type { Serializer } from "./changes.js";

export const DEFAULT_PREFIX = "sess:";

/** Options of RedisStore. Those of connect-redis have its meaning and defaults. */
export interface RedisStoreOptions {
  /** An ioredis `Redis` or `Cluster`. Give this, or `rs` and `app`. */
  client?: Client | undefined;
  /** Keeps stores that share a Redis apart, and says where connect-redis left its sessions. Default "sess:". */
  prefix?: string | undefined;
  /** The engine to run on, so that a process has one connection and one set of admin tools. Goes with `app`. */
  rs?: AnyRedisSessions | undefined;
  /** The engine's app that the sessions belong to. */
  app?: string | undefined;
  /**
   * Seconds that a session may rest whose cookie has no `expires`; or a function of the session that is asked for each.
   * Default 86400, a day.
   */
  ttl?: number | ((session: SessionData) => number) | undefined;
  /** Whether sessions never end by themselves. Default false. */
  disableTTL?: boolean | undefined;
  /** Whether reading does not prolong a session. Default false. */
  disableTouch?: boolean | undefined;
  /** Taken for the sake of connect-redis. Nothing is ever scanned. */
  scanCount?: number | undefined;
  /**
   * KeyedQueue sessions into text and back, for instance to encrypt them; may be asynchronous. It gets the session in
   * pieces, `{ [key]: value }`, since each top-level key is stored by itself. Default: JSON.
   */
  serializer?: Serializer | undefined;
  /** Whether sessions that connect-redis left under `<prefix><id>` are taken over when they are met. Default true. */
  legacy?: boolean | undefined;
  /**
   * Whether Redis knows sessions by a hash of their id only, so that a dump of it is of no use. `ids()` then answers
   * refs, and `destroy` takes them. Default false, since express-session signs the ids.
   */
  hashIds?: boolean | undefined;
  /**
   * The most bytes that a session may have, as JSON of its top-level keys. A save that would make it larger fails with the
   * error `invalidValue`, and the session stays as it was. Default 9437184 (9 MiB).
   */
  maxBytes?: number | undefined;
  /** The most top-level keys that a session may have. A save that would add more fails in the same way. Default 25000. */
  maxKeys?: number | undefined;
  /**
   * Whose session it is: 1 to 128 characters, a number (which stands for its text), or undefined or null for nobody's.
   * Anything else fails the save with `invalidFormat` (an empty one with `missingParameter`). Default:
   * `session.passport.user` when that is such an id, else `session.userId` when it is, else nobody's.
   */
  userId?(session: StoredData): string | number | undefined | null;
}

/** A session's data. What a project adds to SessionData need not be there (yet), as in `req.session`. */
export type StoredData = Pick<SessionData, "cookie"> & Partial<SessionData>;

export function checkStoreOptions(options: RedisStoreOptions): void {
  checkOptions("RedisStore", options, {
    client: anObject,
    prefix: { be: "a string", test: (value) => typeof value === "string" },
    rs: anEngine,
    app: { be: "an app", test: (value) => checkApp(value) !== "" },
    ttl: {
      be: "a number of seconds > 0, or a function of the session",
      test: (value) => typeof value === "function" || (typeof value === "number" && value > 0),
    },
    disableTTL: aBoolean,
    disableTouch: aBoolean,
    scanCount: { be: "a number", test: (value) => typeof value === "number" },
    serializer: { be: "an object with the functions parse and stringify", test: isSerializer },
    legacy: aBoolean,
    hashIds: aBoolean,
    maxBytes: anInteger(1),
    maxKeys: anInteger(1),
    userId: aFunction,
  });
  const { client, rs, app } = options;
  if ((client === undefined) === (rs === undefined)) {
    throw invalidValue("RedisStore takes a client (an ioredis Redis or Cluster), or rs (an engine) and app");
  }
  if ((rs === undefined) !== (app === undefined)) throw invalidValue("RedisStore takes rs and app together");
}

function isSerializer(value: unknown): boolean {
  const { parse, stringify } = Object(value) as Partial<Serializer>;
  return typeof parse === "function" && typeof stringify === "function";
}

/** Default of `userId`. What is no id makes nobody's session: the app has not said that it is one. */
export function defaultUserId(session: SessionData): string | undefined {
  const { passport, userId } = session as { passport?: { user?: unknown }; userId?: unknown };
  return asId(passport?.user) ?? asId(userId);
}

/** A user's id as callers of the store give it: a number stands in the index as its text. */
export function idOf(id: unknown): string {
  return checkId(Number.isFinite(id) ? String(id) : id);
}

function asId(value: unknown): string | undefined {
  if (typeof value !== "string" && typeof value !== "number") return undefined;
  try {
    return idOf(value);
  } catch {
    return undefined;
  }
}

/**
 * The app that a prefix stands for: "sess:" is the app "sess", as the engine and its tools name it. Any other text gets
 * a mark that no app has, so that no two prefixes share their sessions, and braces are kept out of the hash tag.
 */
export function appOfPrefix(prefix: string): string {
  const app = /^([\w-]{3,20}):$/.exec(prefix)?.[1];
  return app ?? `=${prefix.replace(/[{}%]/g, encodeURIComponent)}`;
}
