import type { Announcing, AppKeys } from "../redis/operation.js";

/**
 * The Redis keys of an app, or of one of its shards. All contain the hash tag `{app}`, or that of the shard, so they share one
 * Cluster slot. docs/storage-layout.md is the public description: change both together.
 */
export class Keys implements AppKeys {
  /** zset, ref → last activity (ms): the sessions of the app. */
  readonly active: string;
  /** zset, id → last activity (ms): the users of the app. */
  readonly users: string;
  /** zset, id and ref → time of the wiper's next check (ms). */
  readonly expiry: string;
  /** hash, id → refs as lines: the sessions of a user; see lua/include/user-sessions.lua. */
  readonly userSessions: string;
  /** zset, id and ref → 0: refs that do not fit into a user's field of `userSessions`, sorted by id. */
  readonly userSessionsOverflow: string;
  /**
   * string with a TTL: the default duration of a bar (ms). It exists while a store of this app takes over sessions of
   * connect-redis.
   */
  readonly legacy: string;
  /** The five index keys, in the order in which every script that changes a session takes them first. */
  readonly index: readonly string[];

  readonly app: string;
  /** The hash tag of its keys. */
  readonly tag: string;
  /** zset: the apps of the namespace, see appsKey(). */
  readonly apps: string;
  /** The prefix of all keys of the app, with the hash tag. */
  readonly base: string;

  /** The channel on which changes of the app are announced, see lua/include/announce.lua. */
  readonly channel: string;
  /** stream: the latest events of the app. */
  readonly stream: string;
  readonly announcing: Announcing | undefined;
  /** string with a TTL: no process may use these keys any more, because the app has moved. Undefined if scripts do not look for it. */
  readonly fence: string | undefined;

  /**
   * @param maxEvents about how many events the stream keeps, 0 for no stream; undefined if changes are not announced
   * @param tag the hash tag; that of a shard if the app has more than one
   * @param plan the plan by whose fence the scripts are stopped; undefined if they look for none
   */
  constructor(namespace: string, app: string, maxEvents?: number, tag = app, plan?: number) {
    const base = `${namespace}:{${tag}}:`;
    this.app = app;
    this.tag = tag;
    this.apps = appsKey(namespace);
    this.base = base;
    this.active = `${base}active`;
    this.users = `${base}users`;
    this.expiry = `${base}expiry`;
    this.userSessions = `${base}user-sessions`;
    this.userSessionsOverflow = `${base}user-sessions-overflow`;
    this.legacy = `${base}legacy`;
    this.channel = `${base}changes`;
    this.stream = `${base}events`;
    this.announcing = maxEvents === undefined ? undefined : { stream: this.stream, maxEvents };
    this.fence = plan === undefined ? undefined : fenceOf(base, plan);
    this.index = [this.active, this.users, this.expiry, this.userSessions, this.userSessionsOverflow];
  }

  /**
   * string with a TTL: a bar. While it exists, no session of connect-redis is taken over for this user, or for the whole app if
   * `id` is ANONYMOUS.
   */
  barred(id: string): string {
    return `${this.base}barred:${id}`;
  }

  /**
   * string with a TTL: a mark. The session of this ref was taken over from another package, and its source still exists or was just
   * removed. While the mark exists, the session is not taken over again.
   */
  imported(ref: string): string {
    return `${this.base}imported:${ref}`;
  }

  /** string with a TTL: a mark. What was stored under this ref was moved here from another shard lately, and is not moved here again. */
  moved(ref: string): string {
    return `${this.base}moved:${ref}`;
  }

  /** string with a TTL: a text that a script will rename to a session's key. */
  staged(name: string): string {
    return `${this.base}new:${name}`;
  }

  /** string with a TTL: the record of a family of tokens, see lua/include/family.lua. */
  family(name: string): string {
    return `${this.base}family:${name}`;
  }

  /** string with a TTL: exists while a late request may still carry the token of this ref, which was rotated. */
  rotated(ref: string): string {
    return `${this.base}rotated:${ref}`;
  }

  /** string with a TTL: one session. */
  session(ref: string): string {
    return `${this.base}s:${ref}`;
  }
}

/**
 * zset, app → last registration (ms): the apps that the wipers visit. It also has the numbers of shards, see
 * lua/include/app-members.lua. It is in another slot than the apps' keys.
 */
export function appsKey(namespace: string): string {
  return `${namespace}:apps`;
}

/**
 * string with a TTL: the fence of a shard, see Keys. It exists from the moment on when the app has left this shard. Each plan has its
 * own, so a process that sets the fence of a plan that is over stops nobody, and no fence must ever be removed.
 */
export function fenceOf(base: string, plan: number): string {
  return `${base}fence:${plan}`;
}

/** The version of the storage layout that docs/storage-layout.md describes. */
export const LAYOUT = "1";

/** string without a TTL: the layout version of a namespace. It is in another slot than the apps' keys. */
export function layoutKey(namespace: string): string {
  return `${namespace}:layout`;
}

/** The prefix of the refs of RedisStore's sessions. No other ref begins with it. */
export const STORE_REF_PREFIX = "~";

/**
 * TTL of the tombstone that is left where a session of a RedisStore was ended, in ms. It stops a request that is under way
 * and does not tell whether it had loaded the session (@fastify/session). Longer than requests take.
 */
const STORE_TOMBSTONE_TTL = 60_000;

/** TTL of the tombstone that is left where the session of a ref is ended, in ms. 0 means no tombstone. */
export function tombstoneTtlOf(ref: string): number {
  return ref.startsWith(STORE_REF_PREFIX) ? STORE_TOMBSTONE_TTL : 0;
}

/** The id of anonymous sessions, in the index and in the scripts. */
export const ANONYMOUS = '""';

/** An index entry of a session. */
export interface Entry {
  /** The user's id as JSON, or ANONYMOUS. Empty if the entry is from `active`, which does not store ids. */
  id: string;
  ref: string;
}

/** Returns a user's id in the form in which it is stored. As JSON it ends with its closing quotation mark. */
export function quoteId(id: string): string {
  return JSON.stringify(id);
}

/** Splits a member of `expiry` or `userSessionsOverflow`. */
export function parseEntry(member: string): Entry {
  const id = /^"(?:[^"\\]|\\.)*"/.exec(member)?.[0] ?? "";
  return { id, ref: member.slice(id.length) };
}

/** Parses a user's field of `userSessions`: the refs, and whether there are more in `userSessionsOverflow`. */
export function parseUserSessions(field: string | null): { refs: string[]; hasOverflow: boolean } {
  const [prefix, ...refs] = (field ?? "\n").split("\n");
  return { refs: refs.slice(0, -1), hasOverflow: prefix === "+" };
}

/** Returns the range of a user's members in `userSessionsOverflow`, as limits for ZRANGEBYLEX. */
export function overflowRange(id: string): { first: string; last: string } {
  return { first: `[${id}`, last: `[${id}\u{10ffff}` };
}
