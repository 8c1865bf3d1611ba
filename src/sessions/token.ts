import { createHmac, hash } from "node:crypto";
import { customAlphabet } from "nanoid";
import type { Created } from "../types.js";
import { BoundedMap } from "../util/bounded-map.js";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

const TOKEN_LENGTH = 64;

/**
 * The number of first characters that all tokens of a family share: 131 bits, so only someone who has had a token of the family
 * knows them.
 */
const FAMILY_LENGTH = 22;

const random = customAlphabet(ALPHABET, TOKEN_LENGTH);

/** Creates the random part of a rotation: 42 characters (250 bits). */
export const createSalt = customAlphabet(ALPHABET, TOKEN_LENGTH - FAMILY_LENGTH);

const HASH_LENGTH = 27;

/** A cache of refs by token: between two commands a hash costs as much as the JSON of a session. */
const refs = new BoundedMap<string>();

/** Up to this number of shards, the first character of a token leads to the shard of its user. */
export const MAX_SHARDS = 32;

/**
 * Creates a token and its ref. The token has 64 characters from the CSPRNG, without modulo bias. The first one is one or two that lead
 * to the user's shard, whatever the number of shards is, so that an app can be sharded later. The others have 375 bits.
 * @param shard of the user among MAX_SHARDS
 */
export function createToken(shard: number): Created {
  const drawn = random();
  // The character that was drawn, one of 62, chooses between the two that lead to the shard. For the last two shards, there is one.
  const isSecond = ALPHABET.indexOf(drawn.charAt(0)) >= ALPHABET.length / 2;
  const first = ALPHABET.charAt(isSecond ? shard + MAX_SHARDS : shard) || ALPHABET.charAt(shard);
  const token = first + drawn.slice(1);
  return { token, ref: computeRef(token) };
}

/** Returns the index of the shard to which the first character of a token, or of a ref of the engine, leads. */
export function shardOfCharacter(text: string, count: number): number {
  // A ref may begin with - or _, which no token does. No session has such a ref.
  return Math.max(ALPHABET.indexOf(text.charAt(0)), 0) % count;
}

/**
 * Creates the token that takes the place of `token`. It is of the same family. The same salt always makes the same token, so a
 * rotation whose answer was lost can be answered again. The salt alone does not lead to the token.
 */
export function createSuccessor(token: string, salt: string): Created {
  let bits = BigInt(`0x${createHmac("sha512", token).update(salt).digest("hex")}`);
  let next = token.slice(0, FAMILY_LENGTH);
  for (; next.length < TOKEN_LENGTH; bits /= 62n) next += ALPHABET[Number(bits % 62n)];
  return { token: next, ref: computeRef(next) };
}

/** Returns the name of a token's family: all tokens that one session has had, one after the other. */
export function familyOf(token: string): string {
  return hashText(token.slice(0, FAMILY_LENGTH));
}

/** Returns the ref of a token that refOf() was called for lately, so that it is no malformed one. */
export function knownRefOf(token: unknown): string | undefined {
  return refs.get(token as string);
}

/** The argument and the result of the last refOf(): a call of the engine asks several times for the same token. */
let lastToken: string | undefined;
let lastRef = "";

/** Returns a token's ref, under which Redis stores the session. */
export function refOf(token: string): string {
  if (token === lastToken) return lastRef;
  let ref = refs.get(token);
  if (ref === undefined) {
    ref = computeRef(token);
    refs.set(token, ref);
  }
  lastToken = token;
  lastRef = ref;
  return ref;
}

/**
 * The token's first character, and 156 bits of the token's hash. With these, guesses and collisions are infeasible, and someone
 * who can read Redis cannot compute the token. The first character is in both, so both can tell in which part of an app the
 * session is.
 */
function computeRef(token: string): string {
  return token.charAt(0) + hashText(token).slice(0, HASH_LENGTH - 1);
}

/** Returns the first 27 characters (162 bits) of a text's SHA-256 as base64url. */
export function hashText(text: string): string {
  // Slicing the base64url text is five times as fast as slicing a buffer.
  return hash("sha256", text, "base64url").slice(0, HASH_LENGTH);
}
