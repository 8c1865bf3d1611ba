import { setImmediate } from "node:timers/promises";
import { CHUNK } from "../redis/operation.js";

/** A part of a list. */
export interface Part {
  readonly offset: number;
  readonly limit: number;
  /** The list ends with the session that makes it larger than this. Default: no bound. */
  readonly bytes?: number | undefined;
}

/** How many entries of the index are read at once. Their sessions are then under way in chunks, all at the same time. */
export const PAGE = 500;

/** Which page of a zset to read. */
export interface PageOptions {
  /** Where the page before ended; empty for the first page. */
  place: string;
  /** The most members to read. */
  limit: number;
}

/** A page of a zset. */
export interface Page {
  readonly members: string[];
  /** Where it ends, as lua/include/place.lua has it. */
  readonly place: string;
}

/**
 * Walks a zset in the order of its scores, in pages of members. Each page begins behind the member where the last one
 * ended. A rank would be wrong as soon as members come or go.
 */
export async function* walk(
  limit: number,
  read: (options: PageOptions) => Promise<Page>,
): AsyncGenerator<string[], void> {
  for (let place = ""; ; ) {
    const page = await read({ place, limit });
    if (page.members.length > 0) yield page.members;
    if (page.members.length < limit) return;
    place = page.place;
  }
}

/**
 * The same items, each next one begun before the present one is asked for anything; or right after, so that what the
 * present one is asked for is answered first, where that is what takes the reader's time.
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
      next = begin === "before" ? items.next() : setImmediate().then(() => items.next());
      // Whether it failed is asked when its turn has come, or never, when somebody stops early.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await items.return();
  }
}

/** The items in groups of at most CHUNK. */
export function chunks<Item>(items: readonly Item[]): Item[][] {
  const groups: Item[][] = [];
  for (let i = 0; i < items.length; i += CHUNK) groups.push(items.slice(i, i + CHUNK));
  return groups;
}
