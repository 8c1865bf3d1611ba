/** How many sessions one command may concern: lists never block Redis or the event loop. */
export const CHUNK = 100;

/**
 * Walks a zset in the order of its scores, in pages. `read` gives members and scores from a score on. Not by rank:
 * entries that come and go meanwhile would shift others out of sight.
 */
export async function* walk(
  start: string,
  read: (from: string, limit: number) => Promise<string[]>,
): AsyncGenerator<string, void> {
  let from = start;
  let met = new Set<string>();
  for (;;) {
    const limit = CHUNK + met.size;
    const page = await read(from, limit);
    for (let i = 0; i < page.length; i += 2) {
      const [member, score] = [page[i] as string, page[i + 1] as string];
      if (score !== from) {
        from = score;
        met = new Set();
      }
      if (met.has(member)) continue;
      met.add(member);
      yield member;
    }
    if (page.length < 2 * limit) return;
  }
}

/** The next items, at most `count`. */
export async function take<Item>(items: AsyncGenerator<Item, void>, count: number): Promise<Item[]> {
  const taken: Item[] = [];
  while (taken.length < count) {
    const next = await items.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}
