import { CHUNK } from "../redis/operation.js";
import { endOfRound } from "../util/real-timers.js";

/** A part of a list. */
export interface Part {
  readonly offset: number;
  readonly limit: number;
  /** The list ends with the session that makes it larger than this many bytes. Default: no limit. */
  readonly bytes?: number | undefined;
}

/** The number of index entries that are read at once. Their sessions are then read in chunks, all at the same time. */
export const PAGE = 500;

/** Selects a page of a zset. */
export interface PageOptions {
  /** The cursor of the previous page; empty for the first page. */
  cursor: string;
  /** The maximum number of members. */
  limit: number;
}

/** A page of a zset. */
export interface Page<Member = string> {
  readonly members: Member[];
  /** The end of the page, see lua/include/cursor.lua. */
  readonly cursor: string;
}

/** Returns the cursor after all members whose score is `score` or more. No member sorts before the empty one. */
export function cursorBefore(score: number): string {
  return `${score} `;
}

/**
 * Walks a zset in the order of its scores, in pages of members. Each page begins at the cursor of the previous one. Ranks would
 * skip or repeat members when others are added or removed meanwhile.
 */
export async function* walk<Member>(
  limit: number,
  read: (options: PageOptions) => Promise<Page<Member>>,
): AsyncGenerator<Member[], void> {
  for (let cursor = ""; ; ) {
    const page = await read({ cursor, limit });
    if (page.members.length > 0) yield page.members;
    if (page.members.length < limit) return;
    cursor = page.cursor;
  }
}

/**
 * Yields the same items, but requests the next item while the caller works on the present one.
 * @param begin "before" requests the next item before the present one is yielded. "after" requests it one round of the event
 *   loop later, so that Redis receives the caller's own commands for the present item first.
 */
export async function* prefetch<Item>(
  items: AsyncGenerator<Item, void>,
  begin: "before" | "after",
): AsyncGenerator<Item, void> {
  let next = items.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = begin === "before" ? items.next() : endOfRound().then(() => items.next());
      // A failure is thrown when the item is awaited. Until then, or if the caller stops early, it must not be unhandled.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await items.return();
  }
}

/** Splits the items into groups of at most `size`. */
export function chunks<Item>(items: readonly Item[], size = CHUNK): Item[][] {
  const groups: Item[][] = [];
  for (let i = 0; i < items.length; i += size) groups.push(items.slice(i, i + size));
  return groups;
}
