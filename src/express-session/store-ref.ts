import { STORE_REF_PREFIX } from "../sessions/keys.js";
import { refOf } from "../sessions/token.js";

/**
 * The ref of an express-session session: a mark, and the session's id or the hash of that. No ref of the engine begins
 * with the mark, so no id that a visitor sends can name a session of the engine, and no token or ref one of the store.
 */
export function storeRefOf(sid: string, hashed: boolean): string {
  // The index keeps refs as lines.
  return STORE_REF_PREFIX + (hashed ? refOf(sid) : sid.replace(/[\n%]/g, encodeURIComponent));
}

/** The id that a ref was made of without a hash. */
export function idOfStoreRef(ref: string): string {
  return ref.slice(STORE_REF_PREFIX.length).replace(/%0A|%25/g, decodeURIComponent);
}

/** Whether a text is a ref of the store. (An id that begins with the mark is taken for a ref, too.) */
export function isStoreRef(text: string): boolean {
  return String(text).startsWith(STORE_REF_PREFIX);
}
