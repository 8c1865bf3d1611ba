import * as scripts from "../lua/index.js";
import { decodeSession, Moved } from "./codec.js";
import { type Entry, type Keys, parseEntry } from "./keys.js";
import type { Script } from "./script.js";
import type { Session } from "./types.js";

/** One script: the keys that it declares, its arguments, and what its reply means. */
export interface Operation<Input, Output> {
  readonly script: Script;
  keys(keys: Keys, input: Input): readonly string[];
  args(input: Input): readonly (string | number)[];
  reply(reply: never, input: Input): Output;
}

interface One {
  ref: string;
}

interface Timed extends One {
  /** ms of our clock */
  now: number;
}

function indexAndSession(keys: Keys, ref: string): string[] {
  return [...keys.index, keys.session(ref)];
}

function idsAndRefs(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ id, ref }) => [id, ref]);
}

export const create = {
  script: scripts.create,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, id, now, ttl, fields }) => [ref, id, now, ttl, ...fields],
  reply: () => undefined,
} satisfies Operation<Timed & { id: string; ttl: number; fields: readonly (string | number)[] }, void>;

export const get = {
  script: scripts.get,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now, touch }) => [ref, now, touch ? 1 : 0],
  reply: (reply: string | null, { ref, now }) => decodeSession(reply, ref, now),
} satisfies Operation<Timed & { touch: boolean }, Session<unknown> | Moved | null>;

export const set = {
  script: scripts.set,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref, now, write, remove }) => [ref, now, write.length, ...write, ...remove],
  reply: (reply: string | null, { ref, now }) => decodeSession(reply, ref, now),
} satisfies Operation<Timed & { write: readonly string[]; remove: readonly string[] }, Session<unknown> | Moved | null>;

export const kill = {
  script: scripts.kill,
  keys: (keys, { ref }) => indexAndSession(keys, ref),
  args: ({ ref }) => [ref],
  reply: (reply: number | string) => (typeof reply === "string" ? new Moved(reply) : reply),
} satisfies Operation<One, number | Moved>;

export const rotate = {
  script: scripts.rotate,
  keys: (keys, { ref, to }) => [...keys.index, keys.session(ref), keys.session(to)],
  args: ({ ref, to, grace }) => [ref, to, grace],
  reply: (reply: number | null) => reply === 1,
} satisfies Operation<One & { to: string /** ms */; grace: number }, boolean>;

export const killMany = {
  script: scripts.killMany,
  keys: (keys, { entries, spare }) => [
    ...keys.index,
    spare === undefined ? keys.active : keys.session(spare),
    ...entries.map(({ ref }) => keys.session(ref)),
  ],
  args: ({ entries }) => idsAndRefs(entries),
  reply: (reply: number) => reply,
} satisfies Operation<{ entries: readonly Entry[]; spare: string | undefined }, number>;

export const list = {
  script: scripts.list,
  keys: (keys, { refs }) => refs.map((ref) => keys.session(ref)),
  args: () => [],
  reply: (reply: string[], { refs, now }) => reply.map((one, i) => decodeSession(one, refs[i] as string, now)),
} satisfies Operation<{ refs: readonly string[]; now: number }, (Session<unknown> | Moved | null)[]>;

export const recent = {
  script: scripts.recent,
  keys: (keys) => [keys.active],
  args: ({ max, min, limit }) => [max, min, limit],
  reply: (reply: string[]) => reply,
} satisfies Operation<{ max: string; min: number; limit: number }, string[]>;

export const first = {
  script: scripts.first,
  keys: (keys) => [keys.expiry],
  args: ({ limit }) => [limit],
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies Operation<{ limit: number }, Entry[]>;

export const due = {
  script: scripts.due,
  keys: (keys) => [keys.expiry],
  args: ({ lease, limit }) => [lease, limit],
  reply: (reply: string[]) => reply.map(parseEntry),
} satisfies Operation<{ /** ms */ lease: number; limit: number }, Entry[]>;

export const sweep = {
  script: scripts.sweep,
  keys: (keys, { entries }) => [...keys.index, ...entries.map(({ ref }) => keys.session(ref))],
  args: ({ entries }) => idsAndRefs(entries),
  reply: (reply: number) => reply,
} satisfies Operation<{ entries: readonly Entry[] }, number>;
