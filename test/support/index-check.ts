import type { Redis } from "ioredis";

/** What Redis holds of one app, read with plain commands and none of the engine's code. */
export interface Stored {
  /** The refs of the sessions. */
  sessions: string[];
  /** The refs that forward to a rotated session. */
  forwards: string[];
  /** How many entries the four indexes have together. */
  entries: number;
  /** Where index and sessions disagree, in words. Empty when all is well. */
  problems: string[];
}

/** Reads a whole app. Nothing else may use it meanwhile. */
export async function readStored(redis: Redis, app: string): Promise<Stored> {
  const base = `rs:{${app}}:`;
  const [keys, active, expiry, owners, users] = await Promise.all([
    redis.keys(`${base}s:*`),
    redis.zrange(`${base}active`, "0", "-1"),
    redis.zrange(`${base}expiry`, "0", "-1"),
    redis.zrange(`${base}owners`, "0", "-1"),
    redis.zrange(`${base}users`, "0", "-1"),
  ]);
  const read = await Promise.all(
    keys.map(async (key) => {
      const [fields, left] = await Promise.all([redis.hgetall(key), redis.pttl(key)]);
      return { ref: key.slice(`${base}s:`.length), fields, left };
    }),
  );

  const forwards = read.filter(({ fields }) => "to" in fields);
  const sessions = read.filter(({ fields }) => !("to" in fields));
  const owned = sessions.filter(({ fields }) => fields.id !== undefined);
  const queued = sessions.map(({ ref, fields }) => (fields.id ?? '""') + ref);
  return {
    sessions: sessions.map(({ ref }) => ref),
    forwards: forwards.map(({ ref }) => ref),
    entries: active.length + expiry.length + owners.length + users.length,
    problems: [
      ...read.filter(({ left }) => left <= 0).map(({ ref }) => `${ref} never ends`),
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
        "owners",
        owners,
        owned.map(({ ref, fields }) => `${fields.id}${ref}`),
      ),
      ...differences("users", users, [...new Set(owned.map(({ fields }) => `${fields.id}`))]),
    ],
  };
}

function differences(name: string, entries: string[], expected: string[]): string[] {
  const [has, wants] = [new Set(entries), new Set(expected)];
  return [
    ...expected.filter((entry) => !has.has(entry)).map((entry) => `${name} lacks ${entry}`),
    ...entries.filter((entry) => !wants.has(entry)).map((entry) => `${name} has ${entry}, whose session is gone`),
  ];
}
