import { impersonated, inexact, notAnInteger, tooLarge, tooManyKeys } from "../errors.js";
import * as scripts from "../lua/index.js";
import type { Operation, OperationInput } from "../redis/operation.js";
import { toNumber, toText } from "../redis/reply.js";
import type { Incremented } from "../types.js";
import type { AppState } from "./app-state.js";
import { ANONYMOUS, type Entry, type Keys, parseEntry } from "./keys.js";
import type { Page, PageOptions } from "./paging.js";
import { decode, padNumbers, parseTombstone, StoredSession, type Tombstone } from "./session-text.js";

/** An operation on the sessions of an app. */
type SessionOperation<Input extends OperationInput, Output> = Operation<Keys, Input, Output>;

interface ByRef {
  ref: string;
}

export interface Timed extends ByRef {
  /** ms of this process's clock */
  now: number;
}

/** A session that is written as a whole. */
export interface NewSession extends Timed {
  /** as JSON, or ANONYMOUS */
  id: string;
  /** seconds */
  ttl: number;
  text: string;
}

/** The new user and ttl of a session. */
export interface UserAndTtl {
  /** as JSON, or ANONYMOUS; empty to keep the id */
  id: string;
  /** seconds; null to keep ttl and expiry, allowed only with an empty id */
  ttl: number | null;
  /** How many sessions the new user may have, this one included; undefined for no limit. */
  maxPerUser?: number | undefined;
}

export interface ReadInput extends Timed {
  /** ms after the last use, after which the session is touched again; null to write nothing */
  touchInterval: number | null;
  /** Where the session is used, in the form of encodeOrigin(); undefined to record nothing. */
  origin?: string | undefined;
  /** Whether the reply must tell how long the session lives, for the near cache. */
  tellsLeft?: boolean;
}

export interface Writing extends Timed {
  /** Whether the write is a use of the session, which touches it. */
  touch: boolean;
}

export interface Increment {
  /** The line of the key without its value, in the form of lua/include/search.lua. */
  key: string;
  by: number;
  /** the largest value to reach by adding */
  max: number | undefined;
  /** Names the key, for messages. */
  path: string;
}

export interface Touching extends Timed {
  /** the new ttl, seconds; undefined to keep it */
  ttl: number | undefined;
}

export interface WithLimits {
  /** the absolute lifetime, seconds */
  absolute?: number | undefined;
  maxPerUser?: number | undefined;
}

interface LeavesTombstone {
  /** TTL of the tombstone, ms; 0 for none. */
  tombstoneTtl: number;
}

/** Why a caller ends sessions, for the announcement. */
export type WishedEnd = "killed" | "replaced" | "limit";

interface Ends {
  reason: WishedEnd;
}

interface LeavesMark {
  /** After its grace, how long a late request may still use a ref that was rotated, ms. */
  markTtl: number;
}

interface Rotation extends ByRef, LeavesTombstone, LeavesMark {
  to: string;
  /** TTL of the redirect, ms; 0 to leave a tombstone */
  grace: number;
  /** For a session that has a token. */
  family?: {
    /** See familyOf() in token.ts. */
    name: string;
    /** The salt of the new token if the old one stays valid until the new one is used; otherwise empty. */
    salt: string;
  };
}

interface Sighting extends ByRef, LeavesMark {
  /** The name of the token's family. */
  name: string;
  /** The ref of the token before, if it is known. */
  before: string | undefined;
}

interface Reuse extends ByRef, LeavesTombstone {
  /** The ref of the token that was used again. */
  reused: string;
  familyName: string;
  /** The record of the family that was read. */
  record: string;
}

/**
 * The result of `rotate`: "missing" if there is no session under the ref, "unused" if its token was not used since it took the
 * place of another, "no room" if the header of a large session has no room for a flag, "rotated before" if the token was rotated,
 * but is still valid. `salt` then makes the new token again.
 */
type Rotated = { outcome: "moved" | "missing" | "unused" | "no room" } | { outcome: "rotated before"; salt: string };

export interface Replacement extends NewSession, WithLimits {
  /** Seconds until it ends if nobody uses it; 0 if it never ends. Less than the ttl of `text` if it is not in use now. */
  ttl: number;
  mode: ReplaceMode;
  /** In the mode "absent": the TTL of the mark that the session was taken over, in ms. */
  markTtl?: number | undefined;
  /** The key of the staged text if that is large; `text` is then empty. */
  staged?: string | undefined;
}

interface Exchange extends Timed {
  /** the key of the new text */
  to: string;
  use: number | "use" | "keep";
  /** Lines 3 to 6 of the text that was read (writes, ttl and flags, creation, id), and its bytes. */
  read: string;
  size: number;
  maxPerUser: number | undefined;
}

/**
 * When `replace` writes: "any" always, "unended" unless the session has ended or was rotated a short time ago, "absent" only if
 * there is neither a tombstone nor a session. "absent" is for sessions of another package, so a bar forbids it, too. It writes only
 * once, even if the session has ended since and has left no tombstone.
 */
export type ReplaceMode = "any" | "unended" | "absent";

/** The result of `replace`: "ended" and "present" say why nothing was written. */
export type Replaced = "written" | "ended" | "present";

interface AppBefore {
  app: string;
  /** ms; an app that was registered at this time or later is kept */
  before: number;
}

interface Registration {
  app: string;
  /** ms */
  now: number;
  /** The app's number of shards, as this process has it. */
  shards: number;
  /** Whether its sessions may be in other shards than their users'. */
  isSpread: boolean;
  /** The number with which this process would begin a new app, if that is another one: the app has moved. Else undefined. */
  own: number | undefined;
}

export interface WithChanges {
  /** Changes of the data, in the form of lua/include/search.lua. */
  changes: string;
}

/** The limits of a session's data. */
export interface Bounds {
  /** bytes, as lua/include/session.lua counts them */
  maxBytes: number;
  maxKeys: number;
}

/** A change of data, user and ttl. */
export type Updating = Timed & UserAndTtl & WithChanges & Bounds;

/** The result of `set` and `update` if the change is too much work for a script; see large-sessions.ts. */
export const TOO_MUCH = Symbol("too much for a script");

/** The result of `update` and `replace` if the session's new user already has the maximum number of sessions. */
export const FULL = Symbol("the user has too many sessions");

/**
 * Returns TOO_MUCH if the script replied that the change is too much work.
 * @throws SessionError `invalidValue` if the session's data would exceed the limits
 */
function tooMuchOf(reply: string | number | null, { maxBytes, maxKeys }: Bounds): typeof TOO_MUCH | undefined {
  // Nearly always the reply is a session's text.
  if (typeof reply === "string" && reply.length > 2) return undefined;
  const number = Number(reply);
  if (number === -1) throw tooLarge("The session's data would be", maxBytes);
  if (number === -4) throw tooManyKeys("The session's data would have", maxKeys);
  return number === -3 ? TOO_MUCH : undefined;
}

/** A session that is larger than a script reads. */
export class LargeSession {
  /** The header lines, as they were before this read. */
  readonly header: string;
  /** When it was read, ms. */
  readonly now: number;
  /** It was touched if its last use was at least this long ago, ms; null if it was not. */
  readonly touchInterval: number | null;
  constructor(header: string, now: number, touchInterval: number | null) {
    this.header = header;
    this.now = now;
    this.touchInterval = touchInterval;
  }
}

/** Parses a reply of `get` and `touch`. */
function foundOf(
  reply: string | null | [header: string],
  ref: string,
  now: number,
  touchInterval: number | null,
): StoredSession | Tombstone | LargeSession | null {
  if (Array.isArray(reply)) return new LargeSession(reply[0], now, touchInterval);
  return touchedIfDue(decode(reply, ref), now, touchInterval);
}

/** `set` touches a session if its last use is at least this long ago, ms. */
const TOUCH_INTERVAL = 1000;

/** Notes in a session, as a script has replied it, whether the script has touched it. */
export function touchedIfDue<Found>(found: Found, now: number, interval: number | null): Found {
  if (interval !== null && found instanceof StoredSession) found.touchIfDue(now, interval);
  return found;
}

/** The sessions that an operation on one session changes. */
function one({ ref }: ByRef): readonly string[] {
  return [ref];
}

function indexAndSession(keys: Keys, ref: string): string[] {
  return [...keys.index, keys.session(ref)];
}

function indexAndSessions(keys: Keys, ...refs: readonly string[]): string[] {
  return [...keys.index, ...refs.map((ref) => keys.session(ref))];
}

function idsAndRefs(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ id, ref }) => [id, ref]);
}

/** Groups consecutive entries of the same user: id, number of refs, refs. */
function groupByUser(entries: readonly Entry[]): (string | number)[] {
  const groups: (string | number)[] = [];
  for (let from = 0, to = 0; from < entries.length; from = to) {
    const { id } = entries[from] as Entry;
    while (entries[to]?.id === id) to++;
    groups.push(id, to - from);
    for (let i = from; i < to; i++) groups.push((entries[i] as Entry).ref);
  }
  return groups;
}

function pageOf([cursor = "", ...members]: string[]): Page {
  return { members, cursor };
}

export const create = {
  script: scripts.create,
  common: 2,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, id, now, ttl, absolute = 0, maxPerUser = 0, text }) => [
    absolute * 1000,
    maxPerUser,
    ref,
    id,
    now,
    ttl * 1000,
    padNumbers(text),
  ],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<NewSession & WithLimits, boolean>;

export const get = {
  script: scripts.get,
  common: 1,
  mayLeaveUndone: true,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now, touchInterval, origin, tellsLeft }) => [
    tellsLeft ? `+${touchInterval ?? ""}` : (touchInterval ?? ""),
    origin === undefined ? ref : `${ref}\n${origin}`,
    now,
  ],
  reply: (reply: string | null | [header: string], { ref, now, touchInterval }) =>
    foundOf(reply, ref, now, touchInterval),
} satisfies SessionOperation<ReadInput, StoredSession | Tombstone | LargeSession | null>;

export const confirm = {
  script: scripts.confirm,
  changes: one,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now }) => [ref, now],
  reply: (reply: string | number | null | [header: string], { ref, now }) => {
    if (Number(reply) === -5) throw impersonated("be confirmed");
    return Number(reply) === -3 ? TOO_MUCH : foundOf(reply as string | null | [header: string], ref, now, null);
  },
} satisfies SessionOperation<Timed, StoredSession | Tombstone | LargeSession | typeof TOO_MUCH | null>;

export const set = {
  script: scripts.set,
  changes: one,
  common: 2,
  mayLeaveUndone: true,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now, touch, changes, maxBytes, maxKeys }) => [maxBytes, maxKeys, ref, touch ? now : "", changes],
  reply: (reply: string | number | null, input) =>
    tooMuchOf(reply, input) ??
    touchedIfDue(decode(reply as string | null, input.ref), input.now, input.touch ? TOUCH_INTERVAL : null),
} satisfies SessionOperation<Writing & WithChanges & Bounds, StoredSession | Tombstone | typeof TOO_MUCH | null>;

export const increment = {
  script: scripts.increment,
  changes: one,
  common: 2,
  mayLeaveUndone: true,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now, touch, key, by, max, maxBytes, maxKeys }) => [
    maxBytes,
    maxKeys,
    ref,
    touch ? now : "",
    key,
    by,
    max ?? "",
  ],
  reply: (reply: string | number | null, input) => {
    const sign = String(reply)[0];
    if (sign === "+" || sign === "=") return { value: Number(String(reply).slice(1)), applied: sign === "+" };
    if (Number(reply) === -5) throw notAnInteger(input.path);
    if (Number(reply) === -6) throw inexact(input.path);
    return tooMuchOf(reply, input) ?? parseTombstone(reply ?? "") ?? null;
  },
} satisfies SessionOperation<Writing & Increment & Bounds, Incremented | Tombstone | typeof TOO_MUCH | null>;

export const touch = {
  script: scripts.touch,
  changes: one,
  common: 0,
  mayLeaveUndone: true,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now, ttl }) => [ref, now, ttl ?? ""],
  reply: (reply: string | number | null | [header: string], { ref, now }) => {
    if (Number(reply) === -5) throw impersonated("get another ttl");
    return Number(reply) === -3 ? TOO_MUCH : foundOf(reply as string | null | [header: string], ref, now, 0);
  },
} satisfies SessionOperation<Touching, StoredSession | Tombstone | LargeSession | typeof TOO_MUCH | null>;

const REPLACED: readonly Replaced[] = ["present", "ended", "written"];

export const replace = {
  script: scripts.replace,
  changes: one,
  keys: (keys, { ref, id, mode, staged }) => [
    ...indexAndSessions(keys, ref),
    mode === "absent" ? keys.barred(id) : keys.rotated(ref),
    keys.barred(ANONYMOUS),
    ...(mode === "absent" ? [keys.imported(ref)] : staged === undefined ? [] : [keys.active]),
    ...(staged === undefined ? [] : [staged]),
  ],
  args: ({ ref, id, now, ttl, mode, text, absolute = 0, maxPerUser = 0, markTtl = 0 }) => [
    ref,
    id,
    now,
    ttl,
    mode,
    padNumbers(text),
    ...(absolute === 0 && maxPerUser === 0 && markTtl === 0 ? [] : [absolute * 1000, maxPerUser, markTtl]),
  ],
  reply: (reply: number | string) => {
    if (Number(reply) === -5) return FULL;
    return parseTombstone(reply) ?? REPLACED[toNumber(reply) + 1] ?? "ended";
  },
} satisfies SessionOperation<Replacement, Replaced | typeof FULL | Tombstone>;

export const exchange = {
  script: scripts.exchange,
  changes: one,
  keys: (keys, { ref, to }) => [...indexAndSessions(keys, ref), to],
  args: ({ ref, now, use, read, size, maxPerUser }) => [
    ref,
    now,
    use,
    read,
    size,
    ...(maxPerUser === undefined ? [] : [maxPerUser]),
  ],
  reply: (reply: number | string | [line4: string]) => {
    if (Array.isArray(reply)) return reply[0];
    if (Number(reply) === -5) return FULL;
    return reply === "" ? null : (parseTombstone(reply) ?? false);
  },
} satisfies SessionOperation<Exchange, string | false | typeof FULL | Tombstone | null>;

export const update = {
  script: scripts.update,
  changes: one,
  common: 2,
  mayLeaveUndone: true,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, id, now, ttl, changes, maxBytes, maxKeys, maxPerUser }) => [
    maxBytes,
    maxKeys,
    ref,
    maxPerUser === undefined ? id : maxPerUser + id,
    now,
    ttl ?? "",
    changes,
  ],
  reply: (reply: number | string, input) => {
    const number = Number(reply);
    if (number === 1) return true;
    return tooMuchOf(reply, input) ?? (number === -5 ? FULL : (parseTombstone(reply) ?? null));
  },
} satisfies SessionOperation<Updating, true | typeof TOO_MUCH | typeof FULL | Tombstone | null>;

export const kill = {
  script: scripts.kill,
  changes: one,
  common: 1,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, tombstoneTtl }) => [tombstoneTtl, ref],
  reply: (reply: number | string) => parseTombstone(reply) ?? toNumber(reply),
} satisfies SessionOperation<ByRef & LeavesTombstone & Ends, number | Tombstone>;

export const rotate = {
  script: scripts.rotate,
  changes: ({ ref, to }) => [ref, to],
  keys: (keys, { ref, to, family }) => [
    ...indexAndSessions(keys, ref, to),
    keys.rotated(ref),
    ...(family === undefined ? [] : [keys.family(family.name)]),
  ],
  args: ({ ref, to, grace, tombstoneTtl, markTtl, family }) => [
    ref,
    to,
    grace,
    tombstoneTtl,
    markTtl,
    ...(family === undefined ? [] : [family.salt]),
  ],
  reply: (reply: string | number | null): Rotated => {
    // With ioredis's option `stringNumbers` a number is a string, too.
    const text = String(reply ?? "");
    if (text.length > 2) return { outcome: "rotated before", salt: text };
    const outcomes = { "1": "moved", "0": "unused", "-3": "no room" } as const;
    return { outcome: outcomes[text as keyof typeof outcomes] ?? "missing" };
  },
} satisfies SessionOperation<Rotation, Rotated>;

export const see = {
  script: scripts.see,
  changes: one,
  keys: (keys, { ref, name, before }) => [
    keys.session(ref),
    keys.family(name),
    ...(before === undefined ? [] : [keys.session(before), keys.rotated(before)]),
  ],
  args: ({ ref, markTtl }) => [ref, markTtl],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<Sighting, boolean>;

export const endReused = {
  script: scripts.endReused,
  changes: one,
  keys: (keys, { ref, familyName, reused }) => [
    ...indexAndSessions(keys, ref),
    keys.family(familyName),
    keys.rotated(reused),
  ],
  args: ({ ref, record, tombstoneTtl }) => [ref, record, tombstoneTtl],
  reply: (reply: unknown) => (["changed", "kept", "ended"] as const)[toNumber(reply) + 1],
} satisfies SessionOperation<Reuse, "changed" | "kept" | "ended" | undefined>;

export const killMany = {
  script: scripts.killMany,
  changes: ({ entries }) => entries.map(({ ref }) => ref),
  keys: (keys, { entries, except }) => [
    ...keys.index,
    except === undefined ? keys.active : keys.session(except),
    ...entries.map(({ ref }) => keys.session(ref)),
  ],
  args: ({ entries, tombstoneTtl }) => [tombstoneTtl, ...groupByUser(entries)],
  reply: toNumber,
} satisfies SessionOperation<
  LeavesTombstone & Ends & { entries: readonly Entry[]; except: string | undefined },
  number
>;

export const barLegacy = {
  script: scripts.barLegacy,
  keys: (keys, { id }) => [keys.legacy, keys.barred(id), keys.userSessions],
  args: ({ id, barFor }) => [barFor ?? "", id],
  reply: (reply: string) => toText(reply) ?? "",
} satisfies SessionOperation<{ /** as JSON, or ANONYMOUS */ id: string /** ms */; barFor: number | undefined }, string>;

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
  args: ({ cursor, since, limit }) => [cursor, since, limit],
  reply: (reply: string[]) => {
    const { members, cursor } = pageOf(reply);
    return { members: members.reverse(), cursor };
  },
} satisfies SessionOperation<PageOptions & { /** ms */ since: number }, Page>;

/** A session in `active`. */
export interface ActiveRef {
  readonly ref: string;
  /** time of its last activity, ms */
  readonly time: number;
}

/** The same as `pageActive`, with the times of the last activity. */
export const pageActiveTimes = {
  script: scripts.pageActive,
  keys: (keys) => [keys.active],
  args: ({ cursor, since, limit }) => [cursor, since, limit, "1"],
  reply: ([cursor = "", ...found]: string[]) => {
    const members: ActiveRef[] = [];
    for (let i = found.length - 2; i >= 0; i -= 2)
      members.push({ ref: found[i] as string, time: Number(found[i + 1]) });
    return { members, cursor };
  },
} satisfies SessionOperation<PageOptions & { /** ms */ since: number }, Page<ActiveRef>>;

export const pageExpiry = {
  script: scripts.pageExpiry,
  keys: (keys) => [keys.expiry],
  args: ({ cursor, limit }) => [cursor, limit],
  reply: pageOf,
} satisfies SessionOperation<PageOptions, Page>;

/** The users of the app by last activity, earliest first. */
export const pageUsers = {
  script: scripts.pageExpiry,
  keys: (keys) => [keys.users],
  // The cursor of the first page is the place before all members with this score.
  args: ({ cursor, since, limit }) => [cursor || `${since} `, limit],
  reply: pageOf,
} satisfies SessionOperation<PageOptions & { /** ms */ since: number }, Page>;

export const sample = {
  script: scripts.sample,
  keys: (keys) => [keys.expiry],
  args: ({ count, seed }) => [count, seed],
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies SessionOperation<{ /** an integer, for random numbers */ seed: number; count: number }, Entry[]>;

export const readTexts = {
  script: scripts.readTexts,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: ({ bytes }) => [bytes],
  reply: (reply: string[]) => reply,
} satisfies SessionOperation<{ refs: readonly string[]; bytes: number }, string[]>;

export const readHeaders = {
  script: scripts.readHeaders,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  // No header is longer than 8 KiB: the lengths of its texts are limited.
  args: () => [8191],
  reply: (reply: string[]) => reply,
} satisfies SessionOperation<{ refs: readonly string[] }, string[]>;

export const readTimes = {
  script: scripts.readTimes,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: ({ id }) => [id],
  reply: (reply: string) =>
    reply.split("\n").map((line) => {
      const [created, la] = line.split(" ").map(Number);
      return la === undefined ? undefined : { created: created as number, la };
    }),
} satisfies SessionOperation<
  { id: string; refs: readonly string[] },
  /** ms; undefined if the session does not exist */ ({ created: number; la: number } | undefined)[]
>;

export const claimExpired = {
  script: scripts.claimExpired,
  keys: (keys) => [keys.expiry],
  args: ({ lease, limit }) => [lease, limit],
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies SessionOperation<{ /** ms */ lease: number; limit: number }, Entry[]>;

/** Its key is in another slot than those of the app, so it must not share a batch with them. */
export const dropApp = {
  script: scripts.dropApp,
  keys: (keys) => [keys.apps],
  args: ({ app, before }) => [app, before],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<AppBefore, boolean>;

/** What the list of apps says of an app. */
export interface AppRecord {
  /** Undefined if the app is not registered. */
  readonly state: AppState | undefined;
  /** Whether its sessions may be in other shards than their users'. */
  readonly isSpread: boolean;
}

/** As with `dropApp`, its key is in another slot. */
export const registerApp = {
  script: scripts.registerApp,
  keys: (keys) => [keys.apps],
  args: ({ app, now, shards, isSpread, own }) => [
    ...[app, now, shards, isSpread ? "1" : ""],
    ...(own === undefined ? [] : [own]),
  ],
  reply: toNumber,
} satisfies SessionOperation<Registration, number>;

/** As with `dropApp`, its key is in another slot. */
export const readApps = {
  script: scripts.readApps,
  keys: (keys) => [keys.apps],
  args: ({ apps }) => [...apps],
  reply: (reply: string, { apps }) => {
    const records = reply.split("\n");
    return apps.map((_, i) => {
      const [isSpread, shards = 0, next, former, isMoving, plan = 0] = (records[i] ?? "").split(" ").map(Number);
      const state = { shards, next: next || undefined, former: former || undefined, isMoving: isMoving === 1, plan };
      return { state: shards === 0 ? undefined : state, isSpread: isSpread === 1 };
    });
  },
} satisfies SessionOperation<{ apps: readonly string[] }, AppRecord[]>;

/** As with `dropApp`, its key is in another slot. */
export const changeApp = {
  script: scripts.changeApp,
  keys: (keys) => [keys.apps],
  args: ({ app, before, after }) => [app, before, after],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<{ app: string /** as the script takes it */; before: string; after: string }, boolean>;

export const sweep = {
  script: scripts.sweep,
  keys: (keys, { entries }) => indexAndSessions(keys, ...entries.map(({ ref }) => ref)),
  args: ({ entries }) => idsAndRefs(entries),
  reply: toNumber,
} satisfies SessionOperation<{ entries: readonly Entry[] }, number>;

/** What is stored under a ref, and its index entries. */
export interface Movable {
  /** The text or the tombstone, or its beginning if it is larger than a script reads. */
  readonly text: string;
  /** ms; -1 if it has no TTL */
  readonly ttl: number;
  /** The scores in `active` and `expiry`, and the user's in `users`; empty if there is none. */
  readonly scores: readonly string[];
}

/** The number of values that read-to-move.lua replies for each session. */
const MOVABLE_VALUES = 5;

/** Returns undefined for a ref under which nothing is stored. It may return fewer results than there are refs, but at least one. */
export const readToMove = {
  script: scripts.readToMove,
  keys: (keys, { refs }) => indexAndSessions(keys, ...refs),
  args: ({ refs, bytes }) => [bytes, ...refs],
  reply: (reply: (string | number)[]) => {
    const found: (Movable | undefined)[] = [];
    for (let at = 0; at < reply.length; at += MOVABLE_VALUES) {
      const [text = "", ttl, ...scores] = reply.slice(at, at + MOVABLE_VALUES).map(String);
      found.push(text === "" ? undefined : { text, ttl: Number(ttl), scores });
    }
    return found;
  },
} satisfies SessionOperation<{ refs: readonly string[]; bytes: number }, (Movable | undefined)[]>;

/** A session that is written in another shard. */
export interface MovedIn extends ByRef, Movable {
  /** The key of the staged text if that is large; `text` is then empty. */
  readonly staged: string | undefined;
}

/** Returns how many were written. */
export const moveIn = {
  script: scripts.moveIn,
  keys: (keys, { sessions }) => [
    ...keys.index,
    ...sessions.flatMap(({ ref, staged }) => [keys.session(ref), keys.moved(ref), staged ?? keys.session(ref)]),
  ],
  args: ({ sessions, markTtl }) => [
    markTtl,
    ...sessions.flatMap(({ ref, text, ttl, scores }) => [ref, text, ttl, ...scores]),
  ],
  reply: toNumber,
} satisfies SessionOperation<LeavesMark & { sessions: readonly MovedIn[] }, number>;

export const moveOut = {
  script: scripts.moveOut,
  keys: (keys, { entries }) => [...keys.index, ...entries.flatMap(({ ref }) => [keys.session(ref), keys.moved(ref)])],
  args: ({ entries }) => idsAndRefs(entries),
  reply: toNumber,
} satisfies SessionOperation<{ /** with an empty id for a tombstone */ entries: readonly Entry[] }, number>;

export const putAbsent = {
  script: scripts.putAbsent,
  keys: (_keys, { key }) => [key],
  args: ({ text, ttl }) => [text, ttl],
  reply: (reply: unknown) => toNumber(reply) === 1,
} satisfies SessionOperation<{ key: string; text: string /** ms; -1 for none */; ttl: number }, boolean>;
