import { endOfRound } from "./real-timers.js";

/** How long a loop may block the event loop, in ms. */
const MAX_SLICE = 8;

/** Lets a long loop yield to other work on the event loop at intervals. */
export class TimeSlice {
  #since = performance.now();

  /** Whether the loop must call `yield` now. Check this first, because even an empty `await` takes time. */
  get isOver(): boolean {
    return performance.now() - this.#since >= MAX_SLICE;
  }

  /** Lets the event loop run other work, then begins the next slice. */
  async yield(): Promise<void> {
    await endOfRound();
    this.#since = performance.now();
  }
}

/** How many items are sorted without yielding. */
const RUN = 2048;

/** A stable sort like Array.prototype.sort, which yields to the event loop at intervals. */
export async function sortInSteps<Item>(
  items: readonly Item[],
  compare: (a: Item, b: Item) => number,
): Promise<Item[]> {
  if (items.length <= RUN) return [...items].sort(compare);
  const slice = new TimeSlice();
  let runs: Item[][] = [];
  for (let at = 0; at < items.length; at += RUN) {
    runs.push(items.slice(at, at + RUN).sort(compare));
    if (slice.isOver) await slice.yield();
  }
  while (runs.length > 1) {
    const merged: Item[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      merged.push(await merge(runs[i] as Item[], runs[i + 1] ?? [], compare, slice));
    }
    runs = merged;
  }
  return runs[0] as Item[];
}

async function merge<Item>(
  left: readonly Item[],
  right: readonly Item[],
  compare: (a: Item, b: Item) => number,
  slice: TimeSlice,
): Promise<Item[]> {
  const merged: Item[] = [];
  let l = 0;
  let r = 0;
  while (l < left.length && r < right.length) {
    const [a, b] = [left[l] as Item, right[r] as Item];
    if (compare(a, b) <= 0) {
      merged.push(a);
      l++;
    } else {
      merged.push(b);
      r++;
    }
    if (merged.length % RUN === 0 && slice.isOver) await slice.yield();
  }
  return merged.concat(left.slice(l), right.slice(r));
}
