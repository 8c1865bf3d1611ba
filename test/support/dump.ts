import type { Redis } from "ioredis";
import { fieldsOf } from "./session-text.js";

/** The content of a key: the fields of a session, or the entries of an index with their scores. */
export type Content = Record<string, string>;

/** The content of all keys, sorted by key. */
export async function dump(db: Redis): Promise<Record<string, Content>> {
  const content: Record<string, Content> = {};
  for (const key of (await db.keys("*")).sort()) content[key] = await read(db, key);
  return content;
}

async function read(db: Redis, key: string): Promise<Content> {
  const type = await db.type(key);
  if (type === "string") return fieldsOf(await db.get(key));
  if (type === "hash") return await db.hgetall(key);
  if (type === "zset") return pairs(await db.zrange(key, "0", "-1", "WITHSCORES"));
  throw new Error(`${key} is a ${type}`);
}

function pairs(flat: string[]): Record<string, string> {
  const content: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) content[flat[i] as string] = flat[i + 1] as string;
  return content;
}
