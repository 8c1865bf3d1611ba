import { STORE_REF_PREFIX } from "../sessions/keys.js";
import { hashText } from "../sessions/token.js";

/**
 * The refs of a store's sessions: `~`, then the session's id, or with `hashIds` the hash of the id.
 *
 * No ref of the engine begins with `~`. So no id that a visitor sends names a session of the engine, and no token or ref
 * of the engine names a session of the store.
 */
export class StoreRefs {
  readonly #hashIds: boolean;

  constructor(hashIds: boolean) {
    this.#hashIds = hashIds;
  }

  /** The ref of an id. As in connect-redis, a value that is not a string is accepted: it names no session. */
  of(sid: string): string {
    const text = String(sid);
    if (this.#hashIds) return STORE_REF_PREFIX + hashText(text);
    // The index stores refs as lines, so a ref must not contain a line feed. Ids of express-session contain neither.
    const isPlain = !text.includes("%") && !text.includes("\n");
    return STORE_REF_PREFIX + (isPlain ? text : text.replace(/[\n%]/g, encodeURIComponent));
  }

  /** The ref of an id or a ref. */
  ofEither(sidOrRef: string): string {
    return isStoreRef(sidOrRef) ? sidOrRef : this.of(sidOrRef);
  }

  /** The id of a ref; with `hashIds`, where Redis does not have the id, the ref itself. */
  sidOrRef(ref: string): string {
    return this.#hashIds ? ref : sidOf(ref);
  }

  /** The id of an id or a ref; undefined for the hash of an id. */
  sidOfEither(sidOrRef: string): string | undefined {
    if (!isStoreRef(sidOrRef)) return String(sidOrRef);
    return this.#hashIds ? undefined : sidOf(sidOrRef);
  }
}

/** Whether a text is a ref of a store. An id that begins with `~` counts as a ref, too. */
export function isStoreRef(text: string): boolean {
  return String(text).startsWith(STORE_REF_PREFIX);
}

function sidOf(ref: string): string {
  return ref.slice(STORE_REF_PREFIX.length).replace(/%0A|%25/g, decodeURIComponent);
}
