import { hash } from "node:crypto";
import { customAlphabet } from "nanoid";

/** A new token: 64 characters (381 bits) from the CSPRNG, without modulo bias. */
export const createToken = customAlphabet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 64);

/**
 * What Redis knows a token by: the first 20 bytes of its SHA-256 as base64url, 27 characters. 160 bits leave
 * no room for a guess or a collision, and whoever reads Redis cannot go back to the token.
 */
export function refOf(token: string): string {
  return hash("sha256", token, "buffer").subarray(0, 20).toString("base64url");
}
