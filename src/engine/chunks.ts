/** How many sessions one command may concern: lists never block Redis or the event loop. */
export const CHUNK = 100;

/** The items in groups of at most CHUNK. */
export function chunks<Item>(items: readonly Item[]): Item[][] {
  const groups: Item[][] = [];
  for (let i = 0; i < items.length; i += CHUNK) groups.push(items.slice(i, i + CHUNK));
  return groups;
}
