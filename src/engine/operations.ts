import * as scripts from "../lua/index.js";
import { decode, type Mark, parseMark, type Stored } from "./codec.js";
import { tooLarge, tooManyKeys } from "./errors.js";
import { type Entry, type Keys, NOBODY, parseEntry } from "./keys.js";
import { toNumber } from "./reply.js";
import type { Script } from "./script.js";
import type { Page, PageOptions } from "./walk.js";

/**
 * One script: the keys that it declares, its arguments, and what its reply means. Integers pass through toNumber():
 * a client with ioredis's option `stringNumbers` gives them as strings.
 */
export interface Operation<Input, Output> {
  readonly script: Script;
  /**
   * For a script that serves many calls in one run: how many of the arguments come first and hold for all of them. The
   * keys that they have in common are the index; the rest of keys and arguments stand one call's after the other's, and
   * the reply is an array of theirs, unless there is only one.
   */
  readonly common?: number;
  /** An array of its own each time, as are the arguments: a run may add to it. */
  keys(keys: Keys, input: Input): string[];
  args(input: Input): (string | number)[];
  /** What the reply to one call means. */
  reply(reply: never, input: Input): Output;
}

interface ByRef {
  ref: string;
}

export interface Timed extends ByRef {
  /** ms of our clock */
  now: number;
}

/** A session that is written whole. */
export interface NewSession extends Timed {
  /** as JSON, or NOBODY */
  id: string;
  /** seconds */
  ttl: number;
  text: string;
}

/** Whose a session is and how long it may rest from now on, where that changes. */
export interface Belonging {
  /** as JSON, or NOBODY; empty to leave it as it is */
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

interface Marking {
  /** How long a mark is left where a session was, in ms; 0 for none. */
  markFor: number;
}

interface Rotation extends ByRef, Marking {
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

/** What a script replies for a call that it has left undone, so that its run did not take too long: it is made again. */
export const UNDONE = -2;

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
} satisfies Operation<NewSession & Limited, boolean>;

export const get = {
  script: scripts.get,
  common: 1,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, now, gap }) => [gap ?? "", ref, now],
  reply: (reply: string | null | [own: string], { ref }) =>
    Array.isArray(reply) ? new Large(reply[0]) : decode(reply, ref),
} satisfies Operation<Reading, Stored | Mark | Large | null>;

export const set = {
  script: scripts.set,
  common: 2,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, now, changes, maxBytes, maxKeys }) => [maxBytes, maxKeys, ref, now, changes],
  reply: (reply: string | number | null, input) => tooMuchOf(reply, input) ?? decode(reply as string | null, input.ref),
} satisfies Operation<Timed & WithChanges & Bounds, Stored | Mark | typeof TOO_MUCH | null>;

export const replace = {
  script: scripts.replace,
  keys: (keys, { ref, id, staged }) => [
    ...indexAndSessions(keys, ref),
    keys.barred(id),
    keys.barred(NOBODY),
    ...(staged === undefined ? [] : [staged]),
  ],
  args: ({ ref, id, now, ttl, mode, text }) => [ref, id, now, ttl, mode, text],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies Operation<Replacement, boolean>;

export const exchange = {
  script: scripts.exchange,
  keys: (keys, { ref, to }) => [...indexAndSessions(keys, ref), to],
  args: ({ ref, now, use, read, size }) => [ref, now, use, read, size],
  reply: (reply: number | string) => (reply === "" ? null : (parseMark(reply) ?? toNumber(reply) === 1)),
} satisfies Operation<Exchange, boolean | Mark | null>;

export const update = {
  script: scripts.update,
  common: 2,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, id, now, ttl, changes, maxBytes, maxKeys }) => [maxBytes, maxKeys, ref, id, now, ttl ?? "", changes],
  reply: (reply: number, input) => tooMuchOf(reply, input) ?? toNumber(reply) === 1,
} satisfies Operation<Timed & Belonging & WithChanges & Bounds, boolean | typeof TOO_MUCH>;

export const kill = {
  script: scripts.kill,
  common: 1,
  keys: (keys, { ref }) => indexAndSessions(keys, ref),
  args: ({ ref, markFor }) => [markFor, ref],
  reply: (reply: number | string) => parseMark(reply) ?? toNumber(reply),
} satisfies Operation<ByRef & Marking, number | Mark>;

export const rotate = {
  script: scripts.rotate,
  keys: (keys, { ref, to }) => indexAndSessions(keys, ref, to),
  args: ({ ref, to, grace, markFor }) => [ref, to, grace, markFor],
  reply: (reply: unknown) => toNumber(reply ?? 0) === 1,
} satisfies Operation<Rotation, boolean>;

export const killMany = {
  script: scripts.killMany,
  keys: (keys, { entries, spare }) => [
    ...keys.index,
    spare === undefined ? keys.active : keys.session(spare),
    ...entries.map(({ ref }) => keys.session(ref)),
  ],
  args: ({ entries, markFor }) => [markFor, ...byUser(entries)],
  reply: toNumber,
} satisfies Operation<Marking & { entries: readonly Entry[]; spare: string | undefined }, number>;

export const barLegacy = {
  script: scripts.barLegacy,
  keys: (keys, { id }) => [keys.legacy, keys.barred(id)],
  args: ({ barFor }) => [barFor ?? ""],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies Operation<{ /** or NOBODY */ id: string /** ms */; barFor: number | undefined }, boolean>;

export const owned = {
  script: scripts.owned,
  keys: (keys) => [keys.owners, keys.crowd],
  args: ({ id, first, last, limit }) => [id, first, last, limit],
  reply: ([field = "", ...members]: string[]) => ({ field, members }),
} satisfies Operation<{ id: string; first: string; last: string; limit: number }, { field: string; members: string[] }>;

export const recent = {
  script: scripts.recent,
  keys: (keys) => [keys.active],
  args: ({ place, since, limit }) => [place, since, limit],
  reply: (reply: string[]) => {
    const { members, place } = pageOf(reply);
    return { members: members.reverse(), place };
  },
} satisfies Operation<PageOptions & { /** ms */ since: number }, Page>;

export const queue = {
  script: scripts.queue,
  keys: (keys) => [keys.expiry],
  args: ({ place, limit }) => [place, limit],
  reply: pageOf,
} satisfies Operation<PageOptions, Page>;

export const sample = {
  script: scripts.sample,
  keys: (keys) => [keys.expiry],
  args: ({ shares }) => shares,
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies Operation<{ /** from 0 to 1, where in the queue */ shares: number[] }, Entry[]>;

export const readTexts = {
  script: scripts.readTexts,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: ({ bytes }) => [bytes],
  reply: (reply: string[]) => reply,
} satisfies Operation<{ refs: readonly string[]; bytes: number }, string[]>;

export const readCreated = {
  script: scripts.readCreated,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: ({ id }) => [id],
  reply: (reply: string) => reply.split("\n"),
} satisfies Operation<{ id: string; refs: readonly string[] }, string[]>;

export const due = {
  script: scripts.due,
  keys: (keys) => [keys.expiry],
  args: ({ lease, limit }) => [lease, limit],
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies Operation<{ /** ms */ lease: number; limit: number }, Entry[]>;

/** Its key lies in another slot than those of the app: it is to be run by itself. */
export const dropApp = {
  script: scripts.dropApp,
  keys: (keys) => [keys.apps],
  args: ({ app, before }) => [app, before],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies Operation<AppBefore, boolean>;

export const sweep = {
  script: scripts.sweep,
  keys: (keys, { entries }) => indexAndSessions(keys, ...entries.map(({ ref }) => ref)),
  args: ({ entries }) => idsAndRefs(entries),
  reply: toNumber,
} satisfies Operation<{ entries: readonly Entry[] }, number>;
