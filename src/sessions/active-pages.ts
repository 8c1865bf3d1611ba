import { CHUNK } from "../redis/operation.js";
import { PAGE, type Part, prefetch } from "./paging.js";
import type { StoredSession } from "./session-text.js";

/** Where the sessions that were active lately are read from. */
export interface ActiveSource {
  /** Yields the refs in pages of about `size`, latest first. Some may have no session. */
  refs(size: number): AsyncGenerator<string[], void>;
  /** Returns how many of the refs have a session, and removes the entries of the others. */
  countExisting(refs: readonly string[]): Promise<number>;
  /** Yields the sessions of refs in the same order. */
  read(refs: readonly string[]): AsyncGenerator<StoredSession[], void>;
}

/** Yields a part of the active sessions in pages. Sessions before the offset are counted, but not read. */
export async function* activePages(
  source: ActiveSource,
  { offset, limit }: Part,
): AsyncGenerator<StoredSession[], void> {
  let skip = offset;
  let left = limit;
  // Entries without a session are replaced by later ones. There may be many in a row, so later reads are at least a chunk.
  let atOnce = limit;
  const pages = source.refs(Math.min(PAGE, Math.max(CHUNK, offset + limit)));
  for await (const refs of offset + limit > PAGE ? prefetch(pages, "after") : pages) {
    const skipped = await skipExisting(source, refs, skip);
    skip = skipped.left;
    let at = skipped.checked;
    while (left > 0 && at < refs.length) {
      const some = refs.slice(at, at + atOnce);
      at += some.length;
      for await (const found of source.read(some)) {
        const sessions = found.slice(0, left);
        left -= sessions.length;
        yield sessions;
      }
      atOnce = Math.max(left, CHUNK);
    }
    if (left <= 0) return;
  }
}

/** Checks refs until `count` sessions are skipped. Returns how many were checked, and how many sessions are left to skip. */
async function skipExisting(
  source: ActiveSource,
  refs: readonly string[],
  count: number,
): Promise<{ checked: number; left: number }> {
  let checked = 0;
  let left = count;
  while (left > 0 && checked < refs.length) {
    const some = refs.slice(checked, checked + left);
    left -= await source.countExisting(some);
    checked += some.length;
  }
  return { checked, left };
}

/** Returns the sessions of the pages, up to the one that makes the list larger than `bytes`. */
export async function collect(
  pages: AsyncGenerator<StoredSession[], void>,
  bytes = Number.POSITIVE_INFINITY,
): Promise<StoredSession[]> {
  const sessions: StoredSession[] = [];
  let left = bytes;
  for await (const page of pages) {
    for (const session of page) {
      sessions.push(session);
      left -= session.size;
      if (left < 0) return sessions;
    }
  }
  return sessions;
}
