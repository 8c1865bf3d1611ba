import { Stored } from "../engine/codec.js";
import type { Snapshot } from "./serialize.js";

/** What is known of a session that was handed out or written. */
export interface Known {
  sid: string;
  /** whose it is in the index; undefined when nobody knows whether the last write took effect */
  id: string | undefined;
  /** its data; as it came, until somebody wants to know more than the cookie */
  fields: Snapshot | Stored;
  /** when it was last prolonged, ms */
  prolonged: number;
  /** seconds that it may rest since then */
  ttl: number;
  /** until the texts of all saves so far are ready, where a serializer makes them */
  texts?: Promise<unknown>;
}

export function fieldsOf({ fields }: Known): Snapshot {
  return fields instanceof Stored ? fields.data() : fields;
}

/** The JSON of one key of its data, by the key as quoteKey has it. */
export function jsonOf({ fields }: Known, quotedKey: string): string | undefined {
  return fields instanceof Stored ? fields.value(quotedKey) : fields.get(quotedKey);
}

/** The text of a save when it is ready, and those of the saves before: they are sent in the order in which they were made. */
export async function inTurn(known: Known, text: Promise<string>): Promise<string> {
  const both = Promise.all([text, known.texts]);
  known.texts = both.catch(() => {});
  return (await both)[0];
}
