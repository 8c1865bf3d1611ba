import type { Redis } from "ioredis";
import { readFields } from "./session-text.js";

/** What Redis holds of one app, read with plain commands and none of the engine's code. */
export interface StoredSession {
  /** The refs of the sessions. */
  sessions: string[];
  /** The refs that forward to a rotated session. */
  forwards: string[];
  /** How many entries the indexes have together: of users, of sessions, and of users' sessions. */
  entries: number;
  /** Where index and sessions disagree, in words. Empty when all is well. */
  problems: string[];
}

/** Reads a whole app. Nothing else may use it meanwhile. */
export async function readStored(redis: Redis, app: string): Promise<StoredSession> {
  const base = `rs:{${app}}:`;
  const [keys, active, expiry, lists, crowd, users] = await Promise.all([
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
  // A mark may come to its end (-2) while we look.
  const read = (await Promise.all(looks)).filter(({ left }) => left !== -2);

  const owners = [...Object.entries(lists).flatMap(listed), ...crowd];
  const empty = Object.entries(lists).filter((field) => listed(field).length === 0);
  const forwards = read.filter(({ fields }) => "to" in fields);
  const sessions = read.filter(({ fields }) => !("to" in fields));
  const owned = sessions.filter(({ fields }) => fields.id !== undefined);
  const queued = sessions.map(({ ref, fields }) => (fields.id ?? '""') + ref);
  return {
    sessions: sessions.map(({ ref }) => ref),
    forwards: forwards.map(({ ref }) => ref),
    entries: active.length + expiry.length + owners.length + empty.length + users.length,
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
        owners,
        owned.map(({ ref, fields }) => `${fields.id}${ref}`),
      ),
      ...disorder(lists, crowd),
      ...differences("users", users, [...new Set(owned.map(({ fields }) => `${fields.id}`))]),
    ],
  };
}

/** Which sessions each user has, be it in `owners` or in `crowd`, as id and ref. */
export async function readOwners(redis: Redis, base: string): Promise<string[]> {
  const [fields, crowd] = await Promise.all([
    redis.hgetall(`${base}user-sessions`),
    redis.zrange(`${base}user-sessions-overflow`, "0", "-1"),
  ]);
  return [...Object.entries(fields).flatMap(listed), ...crowd];
}

/** The members that a field of `owners` stands for. */
function listed([id, list]: [string, string]): string[] {
  const refs = list.split("\n").slice(1, -1);
  return refs.map((ref) => id + ref);
}

/** What is wrong with the form of `owners` and `crowd`, whatever sessions there are. */
function disorder(lists: Record<string, string>, crowd: string[]): string[] {
  const fields = Object.entries(lists);
  const all = [...fields.flatMap(listed), ...crowd];
  const crowded = (id: string) => crowd.some((entry) => entry.startsWith(id));
  const marked = fields.filter(([, list]) => list.startsWith("+")).map(([id]) => id);
  return [
    ...fields.filter(([, list]) => !/^\+?\n(?:[^\n]+\n)*$/.test(list)).map(([id]) => `owners has no list of ${id}`),
    ...fields
      .filter(([id, list]) => /^\+?\n$/.test(list) && !crowded(id))
      .map(([id]) => `owners keeps ${id} for nothing`),
    ...all.filter((entry, i) => all.indexOf(entry) !== i).map((entry) => `owners and crowd have ${entry} twice`),
    ...crowd
      .filter((entry) => !marked.some((id) => entry.startsWith(id)))
      .map((entry) => `owners does not tell that crowd has ${entry}`),
  ];
}

function differences(name: string, entries: string[], expected: string[]): string[] {
  const [has, wants] = [new Set(entries), new Set(expected)];
  return [
    ...expected.filter((entry) => !has.has(entry)).map((entry) => `${name} lacks ${entry}`),
    ...entries.filter((entry) => !wants.has(entry)).map((entry) => `${name} has ${entry}, whose session is gone`),
  ];
}
