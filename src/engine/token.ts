import { hash } from "node:crypto";
import { customAlphabet } from "nanoid";

/** A new token: 64 characters (381 bits) from the CSPRNG, without modulo bias. */
export const createToken = customAlphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 64);

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** How many refs are known by heart: to hash a token costs a good part of a call. */
const MOST_REFS = 10_000;

const refs = new Map<string, string>();

/**
 * What Redis knows a token by: the first 20 bytes of its SHA-256 as base64url, 27 characters. 160 bits leave
 * no room for a guess or a collision, and whoever reads Redis cannot go back to the token.
 */
export function refOf(token: string): string {
  let ref = refs.get(token);
  if (ref === undefined) {
    // A string is five times as fast as a buffer. Its 27th character holds four bits of the 20th byte and two of the next.
    const digest = hash("sha256", token, "base64url");
    ref = digest.slice(0, 26) + BASE64URL[BASE64URL.indexOf(digest[26] as string) & ~3];
    if (refs.size >= MOST_REFS) refs.clear();
    refs.set(token, ref);
  }
  return ref;
}
