import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { slotOf } from "../../src/redis/slot.js";
import { readStored, type StoredSession } from "./index-check.js";

const CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** The shard of a token or a ref, computed as docs/storage-layout.md says. */
export function shardOfRef(ref: string, shards: number): number {
  return (ref.startsWith("~") ? firstByte(ref) : CHARACTERS.indexOf(ref.charAt(0))) % shards;
}

/** The shard of a user, computed as docs/storage-layout.md says. */
export function shardOfId(id: string, shards: number): number {
  return firstByte(JSON.stringify(id)) % shards;
}

function firstByte(text: string): number {
  return createHash("sha256").update(text).digest()[0] as number;
}

const tags = new Map<string, string[]>();

/** The hash tag of a shard, computed as docs/storage-layout.md says. */
export function tagOf(app: string, shard: number, shards: number): string {
  if (shards === 1) return app;
  const name = `${app} ${shards}`;
  let found = tags.get(name);
  if (found === undefined) {
    const candidates = Array.from({ length: 5000 }, (_, i) => `${app}.${shards}.${i}`);
    found = Array.from({ length: shards }, (_, n) => {
      const [first, end] = [((n + 3 / 8) * 16_384) / shards, ((n + 5 / 8) * 16_384) / shards];
      return `${candidates.find((tag) => slotOf(tag) >= first && slotOf(tag) < end)}`;
    });
    tags.set(name, found);
  }
  return found[shard] as string;
}

/** Returns the first of `user0`, `user1` … whose sessions are in a shard. */
export function userIn(shard: number, shards: number): string {
  for (let i = 0; ; i++) if (shardOfId(`user${i}`, shards) === shard) return `user${i}`;
}

/** Returns the first of `sid0`, `sid1` … that RedisStore puts into a shard. */
export function sidIn(shard: number, shards: number, from = 0): string {
  for (let i = from; ; i++) if (shardOfRef(`~sid${i}`, shards) === shard) return `sid${i}`;
}

/** Reads all shards of an app. A session in a shard that is not its own is a problem. */
export async function readShards(redis: Redis, app: string, shards: number): Promise<StoredSession> {
  const all: StoredSession = { sessions: [], redirects: [], entries: 0, problems: [] };
  for (let shard = 0; shard < shards; shard++) {
    const stored = await readStored(redis, tagOf(app, shard, shards));
    all.sessions.push(...stored.sessions);
    all.redirects.push(...stored.redirects);
    all.entries += stored.entries;
    const strays = stored.sessions.filter((ref) => shardOfRef(ref, shards) !== shard);
    all.problems.push(...stored.problems, ...strays.map((ref) => `${ref} is in shard ${shard}`));
  }
  return all;
}
