import type { Redis } from "ioredis";
import { readFields } from "./session-text.js";

/** The stored data of one app. It is read with plain Redis commands, without the engine's code. */
export interface StoredSession {
  /** The refs of the sessions. */
  sessions: string[];
  /** The refs whose keys are redirects to a rotated session. */
  redirects: string[];
  /** The number of entries in all indexes together. */
  entries: number;
  /** The differences between the indexes and the sessions. Empty if there are none. */
  problems: string[];
}

/** Reads a whole app. No other code may use the app at the same time. */
export async function readStored(redis: Redis, app: string): Promise<StoredSession> {
  const base = `rs:{${app}}:`;
  const [keys, active, expiry, lists, overflow, users] = await Promise.all([
    redis.keys(`${base}s:*`),
    redis.zrange(`${base}active`, "0", "-1"),
    redis.zrange(`${base}expiry`, "0", "-1"),
    redis.hgetall(`${base}user-sessions`),
    redis.zrange(`${base}user-sessions-overflow`, "0", "-1"),
    redis.zrange(`${base}users`, "0", "-1"),
  ]);
  const looks = keys.map(async (key) => {
    const [fields, left] = await Promise.all([readFields(redis, key), redis.pttl(key)]);
    return { ref: key.slice(`${base}s:`.length), fields, left };
  });
  // A tombstone or redirect may expire (-2) during the check.
  const read = (await Promise.all(looks)).filter(({ left }) => left !== -2);

  const userSessions = [...Object.entries(lists).flatMap(listed), ...overflow];
  const empty = Object.entries(lists).filter((field) => listed(field).length === 0);
  const redirects = read.filter(({ fields }) => "to" in fields);
  const sessions = read.filter(({ fields }) => !("to" in fields));
  const owned = sessions.filter(({ fields }) => fields.id !== undefined);
  const queued = sessions.map(({ ref, fields }) => (fields.id ?? '""') + ref);
  return {
    sessions: sessions.map(({ ref }) => ref),
    redirects: redirects.map(({ ref }) => ref),
    entries: active.length + expiry.length + userSessions.length + empty.length + users.length,
    problems: [
      ...read.filter(({ left }) => left === -1).map(({ ref }) => `${ref} never ends`),
      ...sessions
        .filter(({ fields }) => !(Number(fields.ttl) > 0) || fields.created === undefined)
        .map(({ ref }) => `${ref} is a ghost`),
      ...differences(
        "active",
        active,
        sessions.map(({ ref }) => ref),
      ),
      ...differences("expiry", expiry, queued),
      ...differences(
        "user-sessions",
        userSessions,
        owned.map(({ ref, fields }) => `${fields.id}${ref}`),
      ),
      ...disorder(lists, overflow),
      ...differences("users", users, [...new Set(owned.map(({ fields }) => `${fields.id}`))]),
    ],
  };
}

/** The user sessions in the hash and in the overflow. Each entry is the id followed by the ref. */
export async function readUserSessions(redis: Redis, base: string): Promise<string[]> {
  const [fields, overflow] = await Promise.all([
    redis.hgetall(`${base}user-sessions`),
    redis.zrange(`${base}user-sessions-overflow`, "0", "-1"),
  ]);
  return [...Object.entries(fields).flatMap(listed), ...overflow];
}

/** The entries of one field of `user-sessions`. */
function listed([id, list]: [string, string]): string[] {
  const refs = list.split("\n").slice(1, -1);
  return refs.map((ref) => id + ref);
}

/** The format errors in `user-sessions` and its overflow. */
function disorder(lists: Record<string, string>, overflow: string[]): string[] {
  const fields = Object.entries(lists);
  const all = [...fields.flatMap(listed), ...overflow];
  const hasOverflow = (id: string) => overflow.some((entry) => entry.startsWith(id));
  const flagged = fields.filter(([, list]) => list.startsWith("+")).map(([id]) => id);
  return [
    ...fields
      .filter(([, list]) => !/^\+?\n(?:[^\n]+\n)*$/.test(list))
      .map(([id]) => `user-sessions has no valid list for ${id}`),
    ...fields
      .filter(([id, list]) => /^\+?\n$/.test(list) && !hasOverflow(id))
      .map(([id]) => `user-sessions has an empty list for ${id}`),
    ...all
      .filter((entry, i) => all.indexOf(entry) !== i)
      .map((entry) => `user-sessions and its overflow have ${entry} twice`),
    ...overflow
      .filter((entry) => !flagged.some((id) => entry.startsWith(id)))
      .map((entry) => `user-sessions does not flag the overflow entry ${entry}`),
  ];
}

function differences(name: string, entries: string[], expected: string[]): string[] {
  const [has, wants] = [new Set(entries), new Set(expected)];
  return [
    ...expected.filter((entry) => !has.has(entry)).map((entry) => `${name} lacks ${entry}`),
    ...entries.filter((entry) => !wants.has(entry)).map((entry) => `${name} has ${entry}, whose session is gone`),
  ];
}
