import { hash } from "node:crypto";
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
