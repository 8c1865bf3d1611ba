import { hash } from "node:crypto";
import { customAlphabet } from "nanoid";
import type { Created } from "../types.js";
import { BoundedMap } from "../util/bounded-map.js";

const random = customAlphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 64);

const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Refs that are known by heart: between two commands a hash costs as much as the JSON of a session. */
const refs = new BoundedMap<string>();

/** A new token, 64 characters (381 bits) from the CSPRNG, without modulo bias; and its ref. */
export function createToken(): Created {
  const token = random();
  return { token, ref: digest(token) };
}

/** What Redis knows a token by. */
export function refOf(token: string): string {
  let ref = refs.get(token);
  if (ref === undefined) {
    ref = digest(token);
    refs.set(token, ref);
  }
  return ref;
}

/**
 * The first 20 bytes of the SHA-256 as base64url, 27 characters. 160 bits leave no room for a guess or a collision, and
 * whoever reads Redis cannot go back to the token.
 */
function digest(token: string): string {
  // A string is five times as fast as a buffer. Its 27th character holds four bits of the 20th byte and two of the next.
  const all = hash("sha256", token, "base64url");
  return all.slice(0, 26) + BASE64URL[BASE64URL.indexOf(all[26] as string) & ~3];
}
