/**
 * Where an app's sessions lie in Redis. All keys of an app share the hash tag `{app}` and so one Cluster slot.
 * docs/storage-layout.md is the public description. Change both together.
 */
export class Keys {
  /** zset, ref → last activity (ms): the sessions of the app. */
  readonly active: string;
  /** zset, id → last activity (ms): the users of the app. */
  readonly users: string;
  /** zset, id and ref → when the wiper looks at it (ms). */
  readonly expiry: string;
  /** hash, id → refs as lines: the sessions of a user; see lua/include/user-sessions.lua. */
  readonly userSessions: string;
  /** zset, id and ref → 0, in the order of the ids: sessions for which there is no room in a user's field of `owners`. */
  readonly userSessionsOverflow: string;
  /** string with a TTL: how long a bar lasts (ms), where a store of this app takes over sessions of connect-redis. */
  readonly legacy: string;
  /** The five, as every script takes them first that changes a session. */
  readonly index: readonly string[];

  readonly app: string;
  /** Where it is registered. */
  readonly apps: string;
  /** What all keys of the app begin with; it holds the hash tag. */
  readonly base: string;

  constructor(namespace: string, app: string) {
    const base = `${namespace}:{${app}}:`;
    this.app = app;
    this.apps = appsKey(namespace);
    this.base = base;
    this.active = `${base}active`;
    this.users = `${base}users`;
    this.expiry = `${base}expiry`;
    this.userSessions = `${base}user-sessions`;
    this.userSessionsOverflow = `${base}user-sessions-overflow`;
    this.legacy = `${base}legacy`;
    this.index = [this.active, this.users, this.expiry, this.userSessions, this.userSessionsOverflow];
  }

  /** string with a TTL: sessions that connect-redis left are refused, of a user, or with ANONYMOUS of the app. */
  barred(id: string): string {
    return `${this.base}barred:${id}`;
  }

  /** string with a TTL: a text that a script is about to put into a session's place. */
  staged(name: string): string {
    return `${this.base}new:${name}`;
  }

  /** string with a TTL: one session. */
  session(ref: string): string {
    return `${this.base}s:${ref}`;
  }
}

/** zset, app → when it was registered last (ms): the apps that the wipers visit. It lies in a slot of its own. */
export function appsKey(namespace: string): string {
  return `${namespace}:apps`;
}

/** The version of the storage layout, which docs/storage-layout.md describes. */
export const LAYOUT = "1";

/** string, without a TTL: the version of the layout that a namespace has. It lies in a slot of its own. */
export function layoutKey(namespace: string): string {
  return `${namespace}:layout`;
}

/** What the ref of every RedisStore session begins with, and no ref of the engine. */
export const STORE_REF_PREFIX = "~";

/**
 * For how long a mark is left where a session of a RedisStore was ended, in ms. It stops a request that is under way and
 * does not tell whether it had loaded the session (@fastify/session). Longer than requests take.
 */
const STORE_TOMBSTONE_TTL = 60_000;

/** For how long a mark is left where the session of a ref is ended, in ms, whoever ends it; 0 for none. */
export function tombstoneTtlOf(ref: string): number {
  return ref.startsWith(STORE_REF_PREFIX) ? STORE_TOMBSTONE_TTL : 0;
}

/** What stands for the user of an anonymous session, in the index as in the scripts. */
export const ANONYMOUS = '""';

/** A session as it was met in the index. */
export interface Entry {
  /** Its user as JSON, or ANONYMOUS. Empty when it was met in `active`, which does not tell. */
  id: string;
  ref: string;
}

/** A user's id as it stands in Redis: as JSON, so that it ends where its closing quotation mark is. */
export function quoteId(id: string): string {
  return JSON.stringify(id);
}

/** Splits a member of `expiry` or `crowd`. */
export function parseEntry(member: string): Entry {
  const id = /^"(?:[^"\\]|\\.)*"/.exec(member)?.[0] ?? "";
  return { id, ref: member.slice(id.length) };
}

/** The refs in a user's field of `owners`, and whether there are more in `crowd`. */
export function parseUserSessions(field: string | null): { refs: string[]; hasOverflow: boolean } {
  const [mark, ...refs] = (field ?? "\n").split("\n");
  return { refs: refs.slice(0, -1), hasOverflow: mark === "+" };
}

/** The members of `crowd` that belong to a user, as limits for ZRANGE BYLEX. */
export function overflowRange(id: string): { first: string; last: string } {
  return { first: `[${id}`, last: `[${id}\u{10ffff}` };
}
