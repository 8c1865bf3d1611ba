import { tooLarge, tooManyKeys } from "../errors.js";
import * as scripts from "../lua/index.js";
import type { Operation } from "../redis/operation.js";
import { toNumber } from "../redis/reply.js";
import { ANONYMOUS, type Entry, type Keys, parseEntry } from "./keys.js";
import type { Page, PageOptions } from "./paging.js";
import { decode, parseTombstone, type StoredSession, type Tombstone } from "./session-text.js";

/** An operation on the sessions of an app. */
type SessionOperation<Input, Output> = Operation<Keys, Input, Output>;

interface ByRef {
  ref: string;
}

export interface Timed extends ByRef {
  /** ms of our clock */
  now: number;
}

/** A session that is written whole. */
export interface NewSession extends Timed {
  /** as JSON, or ANONYMOUS */
  id: string;
  /** seconds */
  ttl: number;
  text: string;
}

/** Whose a session is and how long it may rest from now on, where that changes. */
export interface Belonging {
  /** as JSON, or ANONYMOUS; empty to leave it as it is */
  id: string;
  /** seconds; null, which goes with an empty id, to leave it as it is */
  ttl: number | null;
}

interface Reading extends Timed {
  /** ms after its last use that reading prolongs the session again; null to leave no trace */
  gap: number | null;
}

export interface Limited {
  /** seconds */
  absolute?: number | undefined;
  maxPerUser?: number | undefined;
}

interface LeavesTombstone {
  /** How long a mark is left where a session was, in ms; 0 for none. */
  tombstoneTtl: number;
}

interface Rotation extends ByRef, LeavesTombstone {
  to: string;
  /** ms; with 0 a mark is left */
  grace: number;
}

export interface Replacement extends NewSession {
  mode: ReplaceMode;
  /** Where the text lies, when it is large: then `text` is empty. */
  staged?: string | undefined;
}

interface Exchange extends Timed {
  /** the key of the new text */
  to: string;
  use: number | "use" | "keep";
  /** What is known of the text that was read: its lines from how often it was written to its id, and its bytes. */
  read: string;
  size: number;
}

/**
 * Over what `replace` writes: anything, anything but a session that was ended just now, or nothing. The last is for what
 * connect-redis left, so a bar forbids it, too.
 */
export type ReplaceMode = "any" | "unended" | "absent";

interface AppBefore {
  app: string;
  /** ms; what was registered since then stays */
  before: number;
}

/** What changes in a session's data, as lua/include/merge.lua takes it. */
export interface WithChanges {
  changes: string;
}

/** How large a session's data may become. */
export interface Bounds {
  /** bytes, as lua/include/session.lua counts them */
  maxBytes: number;
  maxKeys: number;
}

/** What `set` and `update` answer where one run of a script would take too long; see large-sessions.ts. */
export const TOO_MUCH = Symbol("too much for a script");

/**
 * What a number means that is replied in the place of a text.
 * @throws SessionError `invalidValue` where the session's data would be too large
 */
function tooMuchOf(reply: string | number | null, { maxBytes, maxKeys }: Bounds): typeof TOO_MUCH | undefined {
  // Nearly always it is a session's text.
  if (typeof reply === "string" && reply.length > 2) return undefined;
  const number = Number(reply);
  if (number === -1) throw tooLarge("The session's data would be", maxBytes);
  if (number === -4) throw tooManyKeys("The session's data would have", maxKeys);
  return number === -3 ? TOO_MUCH : undefined;
}

/** A session that is larger than a script takes in: the lines before its data, as they were before it was read. */
export class Large {
  readonly own: string;
  constructor(own: string) {
    this.own = own;
  }
}

function indexAndSessions(keys: Keys, ...refs: readonly string[]): string[] {
  return [...keys.index, ...refs.map((ref) => keys.session(ref))];
}

function idsAndRefs(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ id, ref }) => [id, ref]);
}

/** Entries as runs of one user's: id, how many they are, their refs. */
function byUser(entries: readonly Entry[]): (string | number)[] {
  const runs: (string | number)[] = [];
  for (let from = 0, to = 0; from < entries.length; from = to) {
    const { id } = entries[from] as Entry;
    while (entries[to]?.id === id) to++;
    runs.push(id, to - from);
    for (let i = from; i < to; i++) runs.push((entries[i] as Entry).ref);
  }
  return runs;
}

function pageOf([place = "", ...members]: string[]): Page {
  return { members, place };
}

export const create = {
  script: scripts.create,
  common: 2,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, id, now, ttl, absolute = 0, maxPerUser = 0, text }) => [
    absolute * 1000,
    maxPerUser,
    ref,
    id,
    now,
    ttl * 1000,
    text,
  ],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<NewSession & Limited, boolean>;

export const get = {
  script: scripts.get,
  common: 1,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, now, gap }) => [gap ?? "", ref, now],
  reply: (reply: string | null | [own: string], { ref }) =>
    Array.isArray(reply) ? new Large(reply[0]) : decode(reply, ref),
} satisfies SessionOperation<Reading, StoredSession | Tombstone | Large | null>;

export const set = {
  script: scripts.set,
  common: 2,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, now, changes, maxBytes, maxKeys }) => [maxBytes, maxKeys, ref, now, changes],
  reply: (reply: string | number | null, input) => tooMuchOf(reply, input) ?? decode(reply as string | null, input.ref),
} satisfies SessionOperation<Timed & WithChanges & Bounds, StoredSession | Tombstone | typeof TOO_MUCH | null>;

export const replace = {
  script: scripts.replace,
  keys: (keys, { ref, id, staged }) => [
    ...indexAndSessions(keys, ref),
    keys.barred(id),
    keys.barred(ANONYMOUS),
    ...(staged === undefined ? [] : [staged]),
  ],
  args: ({ ref, id, now, ttl, mode, text }) => [ref, id, now, ttl, mode, text],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<Replacement, boolean>;

export const exchange = {
  script: scripts.exchange,
  keys: (keys, { ref, to }) => [...indexAndSessions(keys, ref), to],
  args: ({ ref, now, use, read, size }) => [ref, now, use, read, size],
  reply: (reply: number | string) => (reply === "" ? null : (parseTombstone(reply) ?? toNumber(reply) === 1)),
} satisfies SessionOperation<Exchange, boolean | Tombstone | null>;

export const update = {
  script: scripts.update,
  common: 2,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, id, now, ttl, changes, maxBytes, maxKeys }) => [maxBytes, maxKeys, ref, id, now, ttl ?? "", changes],
  reply: (reply: number, input) => tooMuchOf(reply, input) ?? toNumber(reply) === 1,
} satisfies SessionOperation<Timed & Belonging & WithChanges & Bounds, boolean | typeof TOO_MUCH>;

export const kill = {
  script: scripts.kill,
  common: 1,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, tombstoneTtl }) => [tombstoneTtl, ref],
  reply: (reply: number | string) => parseTombstone(reply) ?? toNumber(reply),
} satisfies SessionOperation<ByRef & LeavesTombstone, number | Tombstone>;

export const rotate = {
  script: scripts.rotate,
  keys: (keys, { ref, to }) => indexAndSessions(keys, ref, to),
  args: ({ ref, to, grace, tombstoneTtl }) => [ref, to, grace, tombstoneTtl],
  reply: (reply: unknown) => toNumber(reply ?? 0) === 1,
} satisfies SessionOperation<Rotation, boolean>;

export const killMany = {
  script: scripts.killMany,
  keys: (keys, { entries, spare }) => [
    ...keys.index,
    spare === undefined ? keys.active : keys.session(spare),
    ...entries.map(({ ref }) => keys.session(ref)),
  ],
  args: ({ entries, tombstoneTtl }) => [tombstoneTtl, ...byUser(entries)],
  reply: toNumber,
} satisfies SessionOperation<LeavesTombstone & { entries: readonly Entry[]; spare: string | undefined }, number>;

export const barLegacy = {
  script: scripts.barLegacy,
  keys: (keys, { id }) => [keys.legacy, keys.barred(id)],
  args: ({ barFor }) => [barFor ?? ""],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<{ /** or ANONYMOUS */ id: string /** ms */; barFor: number | undefined }, boolean>;

export const pageUserSessions = {
  script: scripts.pageUserSessions,
  keys: (keys) => [keys.userSessions, keys.userSessionsOverflow],
  args: ({ id, first, last, limit }) => [id, first, last, limit],
  reply: ([field = "", ...members]: string[]) => ({ field, members }),
} satisfies SessionOperation<
  { id: string; first: string; last: string; limit: number },
  { field: string; members: string[] }
>;

export const pageActive = {
  script: scripts.pageActive,
  keys: (keys) => [keys.active],
  args: ({ place, since, limit }) => [place, since, limit],
  reply: (reply: string[]) => {
    const { members, place } = pageOf(reply);
    return { members: members.reverse(), place };
  },
} satisfies SessionOperation<PageOptions & { /** ms */ since: number }, Page>;

export const pageExpiry = {
  script: scripts.pageExpiry,
  keys: (keys) => [keys.expiry],
  args: ({ place, limit }) => [place, limit],
  reply: pageOf,
} satisfies SessionOperation<PageOptions, Page>;

export const sample = {
  script: scripts.sample,
  keys: (keys) => [keys.expiry],
  args: ({ shares }) => shares,
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies SessionOperation<{ /** from 0 to 1, where in the queue */ shares: number[] }, Entry[]>;

export const readTexts = {
  script: scripts.readTexts,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: ({ bytes }) => [bytes],
  reply: (reply: string[]) => reply,
} satisfies SessionOperation<{ refs: readonly string[]; bytes: number }, string[]>;

export const readCreated = {
  script: scripts.readCreated,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: ({ id }) => [id],
  reply: (reply: string) => reply.split("\n"),
} satisfies SessionOperation<{ id: string; refs: readonly string[] }, string[]>;

export const claimExpired = {
  script: scripts.claimExpired,
  keys: (keys) => [keys.expiry],
  args: ({ lease, limit }) => [lease, limit],
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies SessionOperation<{ /** ms */ lease: number; limit: number }, Entry[]>;

/** Its key lies in another slot than those of the app: it is to be run by itself. */
export const dropApp = {
  script: scripts.dropApp,
  keys: (keys) => [keys.apps],
  args: ({ app, before }) => [app, before],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<AppBefore, boolean>;

export const sweep = {
  script: scripts.sweep,
  keys: (keys, { entries }) => indexAndSessions(keys, ...entries.map(({ ref }) => ref)),
  args: ({ entries }) => idsAndRefs(entries),
  reply: toNumber,
} satisfies SessionOperation<{ entries: readonly Entry[] }, number>;
