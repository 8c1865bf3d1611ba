/** How many sessions one command may concern: lists never block Redis or the event loop. */
export const CHUNK = 100;

/** How many entries of the index are read at once. Their sessions are then under way in chunks, all at the same time. */
export const PAGE = 500;

/**
 * Walks a zset in the order of its scores, in pages of members. `read` gives members and scores from a score on. Not by
 * rank: entries that come and go meanwhile would shift others out of sight.
 */
export async function* walk(
  start: string,
  size: number,
  read: (from: string, limit: number) => Promise<string[]>,
): AsyncGenerator<string[], void> {
  let from = start;
  // Members at the score where the last page ended.
  let met = new Set<string>();
  for (;;) {
    const limit = size + met.size;
    const page = await read(from, limit);
    const members: string[] = [];
    for (let i = 0; i < page.length; i += 2) {
      const [member, score] = [page[i] as string, page[i + 1] as string];
      if (score !== from) {
        from = score;
        met = new Set();
      }
      if (met.has(member)) continue;
      met.add(member);
      members.push(member);
    }
    if (members.length > 0) yield members;
    if (page.length < 2 * limit) return;
  }
}

/** The same items, each next one begun before the present one is asked for anything. */
export async function* ahead<Item>(items: AsyncGenerator<Item, void>): AsyncGenerator<Item, void> {
  let next = items.next();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = items.next();
      yield value;
    }
  } finally {
    // Whoever stops early does not hear what became of it.
    next.catch(() => {});
    await items.return();
  }
}

/** The items in groups of at most CHUNK. */
export function chunks<Item>(items: readonly Item[]): Item[][] {
  const groups: Item[][] = [];
  for (let i = 0; i < items.length; i += CHUNK) groups.push(items.slice(i, i + CHUNK));
  return groups;
}
