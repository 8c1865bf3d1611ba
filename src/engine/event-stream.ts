import { isOutage } from "../errors.js";

/** How many entries of a stream are read at once. */
const PAGE = 100;

/** The position before the oldest entry of a stream. */
export const START = "0";

/** An entry of a stream: its id, and its fields and their values, one after the other. */
export type StreamEntry = readonly [id: string, fields: string[]];

/** How far the stream of one shard was read. */
interface ShardStream {
  /** The id of the last entry that `next` returned, or START. */
  last: string;
  /** Entries that were read and that `next` has not returned. */
  waiting: StreamEntry[];
  /** Whether the last read has found no more entries than those. */
  isAtEnd: boolean;
}

/** Reads the streams of an app, one for each shard, as one: those of a shard in their order, those of several shards by time. */
export class EventStream {
  readonly #shards: readonly ShardStream[];
  readonly #read: (shard: number, from: string, limit: number) => Promise<StreamEntry[]>;
  #hasMissed = false;

  /**
   * @param positions where to begin in each shard: after an entry, or at START
   * @param read reads the entries of a shard from an id on
   */
  constructor(
    positions: readonly string[],
    read: (shard: number, from: string, limit: number) => Promise<StreamEntry[]>,
  ) {
    this.#shards = positions.map((last) => ({ last, waiting: [], isAtEnd: false }));
    this.#read = read;
  }

  /** The number of shards. */
  get shards(): number {
    return this.#shards.length;
  }

  /** Where `next` continues. Another stream that is opened there returns what this one has not returned. */
  get position(): string {
    return this.#shards.map(({ last }) => last).join(",");
  }

  /**
   * Returns the next entry, or undefined if there is none at the moment. Returns "missed" before the entries of a shard that do not
   * follow the last one: the entries between were trimmed, or the stream was lost.
   */
  async next(): Promise<StreamEntry | "missed" | undefined> {
    const isDrained = ({ waiting, isAtEnd }: ShardStream) => waiting.length === 0 && !isAtEnd;
    if (this.#shards.some(isDrained)) {
      await Promise.all(this.#shards.map((shard, i) => (isDrained(shard) ? this.#fill(shard, i) : undefined)));
    }
    if (this.#hasMissed) {
      this.#hasMissed = false;
      return "missed";
    }
    let first: ShardStream | undefined;
    for (const shard of this.#shards)
      if (timeOf(shard) < (first === undefined ? Infinity : timeOf(first))) first = shard;
    const entry = first?.waiting.shift();
    if (first === undefined || entry === undefined) {
      // Look again at the next call.
      for (const shard of this.#shards) shard.isAtEnd = false;
      return undefined;
    }
    first.last = entry[0];
    return entry;
  }

  async #fill(shard: ShardStream, index: number): Promise<void> {
    const { last } = shard;
    shard.isAtEnd = true;
    try {
      // The last entry is read again: as long as it exists, none after it was trimmed.
      const page = await this.#read(index, last, PAGE + 1);
      shard.isAtEnd = page.length <= PAGE;
      if (last !== START) {
        if (page[0]?.[0] === last) page.shift();
        else {
          this.#hasMissed = true;
          if (page.length === 0) shard.last = START;
        }
      }
      shard.waiting = page;
    } catch (error) {
      // A later look finds what an outage has delayed. The other shards may be on other nodes.
      if (!isOutage(error)) throw error;
    }
  }
}

/** Returns the time of the next waiting entry, ms; Infinity if there is none. The first part of an entry's id is the time of Redis. */
function timeOf({ waiting: [first] }: ShardStream): number {
  return first === undefined ? Infinity : Number.parseInt(first[0], 10);
}
