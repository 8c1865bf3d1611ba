import type { Commands } from "../redis/client.js";
import type { Connection } from "../redis/connection.js";
import { toNumber } from "../redis/reply.js";
import type { ImportCounts, Imported, ImportOptions } from "../types.js";
import { chunks } from "./paging.js";

/** How many sessions are imported at once. More would delay the calls of the app. */
const AT_ONCE = 20;

/** A larger session, in bytes, is imported alone. Several at once could take longer than the deadline of a step. */
const LARGE = 256 * 1024;

/** How long a bar refuses sessions of another package, in ms: no browser keeps a cookie for longer than 400 days. */
export const BAR_TTL = 400 * 86_400_000;

/** How long Redis remembers that sessions of another package are taken over, in ms. */
export const ANNOUNCEMENT_TTL = 30 * 86_400_000;

/** What came of one key of another package: which counter it belongs to. Undefined if it no longer exists, or is no session. */
export type ImportOutcome = keyof ImportCounts | undefined;

/** Where the sessions of another package are. */
interface Source {
  /** What all their keys begin with. */
  readonly prefix: string;
  /** The Redis type of their keys. */
  readonly type: "string" | "hash";
  /** Returns the bytes of a session's data. */
  sizeOf(client: Commands, key: string): Promise<unknown>;
}

/**
 * Imports the sessions of another package, a few at a time.
 * @param importKey imports the session of a key
 */
export async function importAll(
  connection: Connection,
  { prefix, type, sizeOf }: Source,
  { signal, onProgress }: ImportOptions,
  importKey: (key: string) => Promise<ImportOutcome>,
): Promise<Imported> {
  const counts: ImportCounts = { imported: 0, expired: 0, ended: 0, present: 0, damaged: 0 };
  for await (const keys of connection.scan(prefix, type)) {
    // Redis may return a key twice.
    for (const chunk of chunks([...new Set(keys)], AT_ONCE)) {
      if (signal?.aborted) break;
      const sizes = await Promise.all(chunk.map((key) => connection.command((client) => sizeOf(client, key))));
      const isLarge = (_key: string, i: number) => toNumber(sizes[i]) > LARGE;
      const outcomes = await Promise.all(chunk.filter((key, i) => !isLarge(key, i)).map(importKey));
      for (const key of chunk.filter(isLarge)) outcomes.push(await importKey(key));
      for (const outcome of outcomes) if (outcome !== undefined) counts[outcome]++;
      onProgress?.({ ...counts });
    }
    if (signal?.aborted) return { ...counts, complete: false };
  }
  return { ...counts, complete: true };
}
