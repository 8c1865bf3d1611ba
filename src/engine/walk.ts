import { setImmediate } from "node:timers/promises";

/** How many entries of the index are read at once. Their sessions are then under way in chunks, all at the same time. */
export const PAGE = 500;

/** A page of a zset. */
export interface Page {
  readonly members: string[];
  /** The score of the last one. */
  readonly score: string;
  /** How many members of the zset have that score. */
  readonly ties: number;
}

/**
 * Walks a zset in the order of its scores, in pages of members. `read` gives a page from a score on. Not by rank:
 * entries that come and go meanwhile would shift others out of sight.
 */
export async function* walk(
  start: string,
  size: number,
  read: (from: string, limit: number) => Promise<Page>,
): AsyncGenerator<string[], void> {
  let from = start;
  let limit = size;
  // The last page. Those of it that have the score where it ended come again.
  let met = new Set<string>();
  for (;;) {
    const { members, score, ties } = await read(from, limit);
    const others = met.size > 0 ? members.filter((member) => !met.has(member)) : members;
    if (others.length > 0) yield others;
    if (members.length < limit) return;
    from = score;
    limit = size + ties;
    met = new Set(members);
  }
}

/**
 * The same items, each next one begun before the present one is asked for anything; or right after, so that what the
 * present one is asked for is answered first, where that is what takes the reader's time.
 */
export async function* ahead<Item>(
  items: AsyncGenerator<Item, void>,
  begin: "before" | "after",
): AsyncGenerator<Item, void> {
  let next = items.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = begin === "before" ? items.next() : setImmediate().then(() => items.next());
      // Whether it failed is asked when its turn has come, or never, when somebody stops early.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await items.return();
  }
}
