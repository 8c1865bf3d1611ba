import { crc32 } from "node:zlib";
import { type ActiveSource, activePages, collect } from "./active-pages.js";
import type { AppRegistration } from "./app-registry.js";
import type { Entry } from "./keys.js";
import type { ActiveRef } from "./operations.js";
import { chunks, PAGE, type PageOptions, type Part } from "./paging.js";
import {
  type DatedEntry,
  type HeaderPage,
  MAX_READS,
  newestFirst,
  type SessionIndex,
  type Tally,
} from "./session-index.js";
import type { StoredSession } from "./session-text.js";
import type { SessionLists } from "./sessions.js";
import { shardOf, shardOfUser } from "./shard.js";

/** How often the sessions of a user are looked for again after some were ended, at most. */
const MAX_ROUNDS = 10;

/** The most users whose ids are in memory to count each once. If there may be more, they are counted in several rounds. */
const USERS_AT_ONCE = 200_000;

/** The indexes of the shards of an app. */
interface Shards {
  readonly count: number;
  at(index: number): SessionIndex;
}

/** Lists, counts and ends the sessions of an app with several shards. */
export class ShardedIndex implements SessionLists {
  readonly #registration: AppRegistration;
  readonly #shards: Shards;

  constructor(registration: AppRegistration, shards: Shards) {
    this.#registration = registration;
    this.#shards = shards;
  }

  /**
   * Ends the sessions of a user in all shards that may have some, as SessionIndex does. A session never moves to another shard. But
   * an application may copy one that is about to end, so all shards are asked again until none was ended.
   */
  async killUser(id: string, except?: string, barFor?: number, tally?: Tally): Promise<number> {
    // With `barFor` the caller is a RedisStore.
    const shards = barFor === undefined ? await this.#shardsOfUser(id) : this.all();
    let killed = 0;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const ended = await sum(shards.map((shard) => shard.killUser(id, except, barFor, tally)));
      killed += ended;
      if (ended === 0 || shards.length === 1) break;
    }
    return killed;
  }

  killAll(barFor?: number, tally?: Tally): Promise<number> {
    return sum(this.all().map((shard) => shard.killAll(barFor, tally)));
  }

  async announceLegacy(barFor: number, ttl: number): Promise<void> {
    // From now on a logout by the engine must set the user's bar in all shards.
    await this.#registration.register(true);
    await Promise.all(this.all().map((shard) => shard.announceLegacy(barFor, ttl)));
  }

  /** Returns the sessions of a user, newest first. */
  async ofUser(id: string, part: Part): Promise<StoredSession[]> {
    const shards = await this.#shardsOfUser(id);
    const [only, ...others] = shards;
    if (only !== undefined && others.length === 0) return only.ofUser(id, part);
    return collect(this.#ofEntries(id, await this.#newestOfUser(id, shards), part), part.bytes);
  }

  active(since: number, part: Part): Promise<StoredSession[]> {
    return collect(this.activePages(since, part), part.bytes);
  }

  activePages(
    since: number,
    part: Part = { offset: 0, limit: Number.POSITIVE_INFINITY },
  ): AsyncGenerator<StoredSession[], void> {
    return activePages(this.activeSource(since), part);
  }

  activeSource(since: number): ActiveSource {
    return {
      refs: (size) => this.#activeRefs(since, size),
      countExisting: (refs) => {
        const groups = this.#group(refs, (ref) => ref);
        return sum(groups.map(([shard, some]) => shard.countExisting(some)));
      },
      read: (refs) => this.#read(refs.map((ref) => ({ id: "", ref }))),
    };
  }

  /** The cursors are the same as in an app with one shard: a place in the order of all members, whichever shard they are in. */
  async activeHeaders(cursor: string, limit: number): Promise<HeaderPage> {
    const sessions: StoredSession[] = [];
    let next = cursor;
    for (let reads = 0; reads < MAX_READS && sessions.length < limit; reads++) {
      const missing = limit - sessions.length;
      const page = pageOf(await this.activeRefsFrom({ cursor: next, limit: missing }, 0), missing);
      sessions.push(...(await this.headersOf(page.refs)));
      if (page.next === undefined) return { sessions, next: undefined };
      next = page.next;
    }
    return { sessions, next };
  }

  /** Reads a page of each shard. All begin at the same cursor. */
  async activeRefsFrom(page: PageOptions, since: number): Promise<ActiveRef[]> {
    const pages = this.all().map((shard) => shard.activeRefsFrom(page, since));
    return (await Promise.all(pages)).flatMap(({ members }) => members);
  }

  /** Returns the sessions of refs without their data, in the same order. */
  headersOf(refs: readonly string[]): Promise<StoredSession[]> {
    return this.#headers(refs.map((ref) => ({ id: "", ref })));
  }

  async header(ref: string): Promise<StoredSession | null> {
    return this.#shards.at(shardOf(ref, this.#shards.count)).header(ref);
  }

  async headersOfUser(id: string, part: Part): Promise<{ sessions: StoredSession[]; total: number }> {
    const entries = await this.#newestOfUser(id);
    const sessions = await this.#headers(entries.slice(part.offset, part.offset + part.limit));
    return { sessions: sessions.filter((session) => session.id === id), total: entries.length };
  }

  countSessions(since: number): Promise<number> {
    return sum(this.all().map((shard) => shard.countSessions(since)));
  }

  /** Returns the number of users. Each is counted once, also if sessions of the user are in several shards. */
  async countUsers(since: number): Promise<number> {
    const isSpread = await this.#registration.isSpread();
    const count = await sum(this.all().map((shard) => shard.countUsers(since)));
    if (!isSpread) return count;
    return countOnce(this.all(), since, count);
  }

  async *pages(): AsyncGenerator<StoredSession[], void> {
    for (const shard of this.all()) yield* shard.pages();
  }

  count(): Promise<number> {
    return sum(this.all().map((shard) => shard.count()));
  }

  async refs(): Promise<string[]> {
    return (await Promise.all(this.all().map((shard) => shard.refs()))).flat();
  }

  wipe(): Promise<number> {
    return sum(this.all().map((shard) => shard.wipe()));
  }

  async wipeExpired(): Promise<void> {
    await Promise.all(this.all().map((shard) => shard.wipeExpired()));
  }

  async isEmpty(): Promise<boolean> {
    return (await Promise.all(this.all().map((shard) => shard.isEmpty()))).every(Boolean);
  }

  async reach(deadline: number): Promise<void> {
    await Promise.all(this.all().map((shard) => shard.reach(deadline)));
  }

  /** The indexes of all shards. */
  all(): SessionIndex[] {
    return Array.from({ length: this.#shards.count }, (_, index) => this.#shards.at(index));
  }

  /**
   * Returns the indexes of the shards that may have sessions of a user: one, unless sessions may be in another shard than their user's.
   */
  async indexesOfUser(id: string): Promise<number[]> {
    const { count } = this.#shards;
    if (!(await this.#registration.isSpread())) return [shardOfUser(id, count)];
    return Array.from({ length: count }, (_, index) => index);
  }

  async #shardsOfUser(id: string): Promise<SessionIndex[]> {
    return (await this.indexesOfUser(id)).map((index) => this.#shards.at(index));
  }

  /** Returns the existing sessions of a user, newest first. */
  async #newestOfUser(id: string, shards?: readonly SessionIndex[]): Promise<DatedEntry[]> {
    const asked = shards ?? (await this.#shardsOfUser(id));
    const listed = await Promise.all(asked.map((shard) => allOf(shard.existingOfUser(id))));
    return newestFirst(listed.flat());
  }

  /** Reads the sessions of entries without their data, in the same order. */
  async #headers(entries: readonly Entry[]): Promise<StoredSession[]> {
    const found = new Map<Entry, StoredSession | null>();
    const reads = this.#group(entries, ({ ref }) => ref).map(async ([shard, some]) => {
      const headers = await shard.headers(some);
      for (const [i, entry] of some.entries()) found.set(entry, headers[i] ?? null);
    });
    await Promise.all(reads);
    return entries.map((entry) => found.get(entry) ?? null).filter((session) => session !== null);
  }

  /** Groups items by the shards of their refs. */
  #group<Item>(items: readonly Item[], refOf: (item: Item) => string): [shard: SessionIndex, items: Item[]][] {
    const groups = new Map<number, Item[]>();
    for (const item of items) {
      const index = shardOf(refOf(item), this.#shards.count);
      const group = groups.get(index);
      if (group === undefined) groups.set(index, [item]);
      else group.push(item);
    }
    return [...groups].map(([index, group]) => [this.#shards.at(index), group]);
  }

  /** Yields the sessions of a user's entries from an offset on. Sessions before it are not read. */
  async *#ofEntries(
    id: string,
    entries: readonly DatedEntry[],
    { offset, limit }: Part,
  ): AsyncGenerator<StoredSession[], void> {
    let left = limit;
    for (const some of chunks(entries.slice(offset), Math.min(PAGE, limit))) {
      for await (const found of this.#read(some)) {
        // After the index was read, the session may have been assigned to another user.
        const sessions = found.filter((session) => session.id === id).slice(0, left);
        left -= sessions.length;
        yield sessions;
        if (left <= 0) return;
      }
    }
  }

  /** Yields the refs of all shards in pages, latest first. One page of each shard is in memory. */
  async *#activeRefs(since: number, size: number): AsyncGenerator<string[], void> {
    const heads = this.all().map((shard) => new Head(shard.activeRefs(since, size)));
    try {
      await Promise.all(heads.map((head) => head.fill()));
      for (let page: string[] = []; ; ) {
        let latest: Head<ActiveRef> | undefined;
        for (const head of heads) {
          if (head.item !== undefined && (latest?.item === undefined || head.item.time > latest.item.time))
            latest = head;
        }
        if (latest?.item !== undefined) page.push(latest.item.ref);
        if (page.length >= size || latest === undefined) {
          if (page.length > 0) yield page;
          if (latest === undefined) return;
          page = [];
        }
        latest.advance();
        if (latest.isUsedUp) await latest.fill();
      }
    } finally {
      await Promise.all(heads.map((head) => head.close()));
    }
  }

  /** Yields the sessions of entries of several shards in the order of the entries. */
  async *#read(entries: readonly Entry[]): AsyncGenerator<StoredSession[], void> {
    const { count } = this.#shards;
    const shards = entries.map(({ ref }) => shardOf(ref, count));
    const heads = new Map<number, Head<StoredSession | null>>();
    for (const shard of new Set(shards)) {
      const some = entries.filter((_, i) => shards[i] === shard);
      heads.set(shard, new Head(this.#shards.at(shard).read(some)));
    }
    try {
      await Promise.all([...heads.values()].map((head) => head.fill()));
      let found: StoredSession[] = [];
      for (const shard of shards) {
        const head = heads.get(shard) as Head<StoredSession | null>;
        if (head.isUsedUp) {
          // The caller uses these, so that they do not fill the memory.
          yield found;
          found = [];
          await head.fill();
        }
        if (head.item) found.push(head.item);
        head.advance();
      }
      yield found;
    } finally {
      await Promise.all([...heads.values()].map((head) => head.close()));
    }
  }
}

/** The first items of a shard that are not used yet. */
class Head<Item> {
  readonly #pages: AsyncGenerator<Item[], void>;
  #page: readonly Item[] = [];
  #at = 0;

  constructor(pages: AsyncGenerator<Item[], void>) {
    this.#pages = pages;
  }

  /** The first item. Undefined if there are no more. */
  get item(): Item | undefined {
    return this.#page[this.#at];
  }

  /** Whether fill() must be called to get the next item. */
  get isUsedUp(): boolean {
    return this.#at >= this.#page.length;
  }

  advance(): void {
    this.#at++;
  }

  async fill(): Promise<void> {
    this.#at = 0;
    do {
      const next = await this.#pages.next();
      this.#page = next.done ? [] : next.value;
      if (next.done) return;
    } while (this.#page.length === 0);
  }

  async close(): Promise<void> {
    await this.#pages.return();
  }
}

/**
 * Returns the first refs of several pages that begin at the same cursor, and the cursor after them; undefined if there are no more.
 * @param found may have a ref twice, if its session is moving to another shard
 */
export function pageOf(found: ActiveRef[], limit: number): { refs: string[]; next: string | undefined } {
  const refs = new Map<string, ActiveRef>();
  for (const one of found.sort(byTime)) {
    if (refs.size >= limit) break;
    if (!refs.has(one.ref)) refs.set(one.ref, one);
  }
  const last = [...refs.values()].at(-1);
  return { refs: [...refs.keys()], next: refs.size < limit || last === undefined ? undefined : cursorOf(last) };
}

/** The order of pages by last activity. Redis sorts members of the same score by their bytes. */
function byTime(a: ActiveRef, b: ActiveRef): number {
  return b.time - a.time || Buffer.compare(Buffer.from(b.ref), Buffer.from(a.ref));
}

/** The cursor of an entry, as lua/include/cursor.lua makes it. */
function cursorOf({ ref, time }: ActiveRef): string {
  const encode = (character: string) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
  return `${time} ${ref.replace(/[%\u0080-\u{10ffff}]/gu, encode)}`;
}

/**
 * Counts the users of several indexes, each once.
 * @param atMost the number of users, if none is counted twice
 */
export async function countOnce(indexes: readonly SessionIndex[], since: number, atMost: number): Promise<number> {
  const rounds = Math.ceil(atMost / USERS_AT_ONCE);
  let total = 0;
  for (let round = 0; round < rounds; round++) {
    const ids = new Set<string>();
    for (const index of indexes) {
      for await (const page of index.activeUsers(since)) {
        for (const id of page) if (rounds === 1 || roundOf(id, rounds) === round) ids.add(id);
      }
    }
    total += ids.size;
  }
  return total;
}

/** The round, of several, in which a user is counted. */
function roundOf(id: string, rounds: number): number {
  return crc32(id) % rounds;
}

/** Adds up what the shards return. */
export async function sum(counts: readonly Promise<number>[]): Promise<number> {
  return (await Promise.all(counts)).reduce((total, count) => total + count, 0);
}

async function allOf<Item>(pages: AsyncGenerator<Item[], void>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const page of pages) for (const item of page) items.push(item);
  return items;
}
