import { Stored } from "../engine/codec.js";
import type { Snapshot } from "./serialize.js";

/** What is known of a session that was handed out or written. */
export interface Known {
  sid: string;
  /** whose it is in the index; undefined when nobody knows whether the last write took effect */
  id: string | undefined;
  /** its data; as it came, until somebody wants to know more than the cookie */
  fields: Snapshot | Stored;
  /** when it was last prolonged, ms; 0 when nobody knows, as with `id` */
  prolonged: number;
  /** seconds that it may rest since then */
  ttl: number;
  /** the write that is under way: what has nothing to add to it must not be answered before it */
  writing?: Promise<unknown>;
  /** what comes of the session's first save: if that fails, there may be nothing to change */
  isSaved?: Promise<boolean>;
}

export function fieldsOf(known: Known): Snapshot {
  if (known.fields instanceof Stored) known.fields = known.fields.data();
  return known.fields;
}

/** The JSON of one key of its data, by the key as quoteKey has it. */
export function jsonOf({ fields }: Known, quotedKey: string): string | undefined {
  return fields instanceof Stored ? fields.value(quotedKey) : fields.get(quotedKey);
}
