import { hash } from "node:crypto";
import { SLOTS, slotOf } from "../redis/slot.js";
import { STORE_REF_PREFIX } from "./keys.js";
import { shardOfCharacter } from "./token.js";

/** The numbers of shards that an app may have. Powers of two, so that a shard is split evenly when the number is doubled. */
export const SHARD_COUNTS: readonly number[] = [1, 2, 4, 8, 16, 32];

/**
 * Returns the index of the shard of a session, by its token or ref. The engine's sessions are in the shard of their user. Those of a
 * RedisStore are spread by their ref, because a session's user may change, and its id is not ours to choose.
 */
export function shardOf(tokenOrRef: string, count: number): number {
  return tokenOrRef.startsWith(STORE_REF_PREFIX) ? shardOfText(tokenOrRef, count) : shardOfCharacter(tokenOrRef, count);
}

/**
 * Returns the index of the shard of a user's sessions that the engine creates.
 * @param id as JSON
 */
export function shardOfUser(id: string, count: number): number {
  return shardOfText(id, count);
}

/** The first byte of the text's SHA-256, modulo the number of shards. */
function shardOfText(text: string, count: number): number {
  return Number.parseInt(hash("sha256", text, "hex").slice(0, 2), 16) % count;
}

/**
 * Returns the hash tags of the shards of an app. With 16, the n-th is the first of `app.16.0`, `app.16.1` … whose slot is near the middle of the n-th of
 * `count` equal parts of the slots: in the fourth or fifth eighth of it. The nodes of a Cluster usually have equal parts, too. So each has
 * about as many shards as the others. An app with one shard has its name as the tag. No tag belongs to two numbers of
 * shards, so that sessions can move from one number to another.
 */
export function tagsOf(app: string, count: number): string[] {
  if (count === 1) return [app];
  const tags: string[] = [];
  for (let left = count, i = 0; left > 0; i++) {
    const tag = `${app}.${count}.${i}`;
    const eighth = Math.floor((slotOf(tag) * 8 * count) / SLOTS);
    const part = Math.floor(eighth / 8);
    const isInMiddle = eighth % 8 === 3 || eighth % 8 === 4;
    if (!isInMiddle || tags[part] !== undefined) continue;
    tags[part] = tag;
    left--;
  }
  return tags;
}
