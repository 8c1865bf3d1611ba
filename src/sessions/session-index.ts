import { createHash, type Hash } from "node:crypto";
import { CHUNK } from "../redis/operation.js";
import { toList, toNumber, toText } from "../redis/reply.js";
import { sortInSteps } from "../util/time-slice.js";
import { type ActiveSource, activePages, collect } from "./active-pages.js";
import type { AppConnection } from "./app-connection.js";
import {
  ANONYMOUS,
  type Entry,
  type Keys,
  overflowRange,
  parseEntry,
  parseUserSessions,
  STORE_REF_PREFIX,
  tombstoneTtlOf,
} from "./keys.js";
import * as operations from "./operations.js";
import { chunks, PAGE, type Page, type PageOptions, type Part, prefetch, walk } from "./paging.js";
import { decode, StoredSession, Tombstone } from "./session-text.js";

/** How long a wiper may work on a chunk that it has claimed, in ms. */
const LEASE = 30_000;

/** The same if somebody waits for the events: the end of a session may be told that late if a wiper crashes. */
const SHORT_LEASE = 5000;

/** The maximum number of bytes of sessions that are read at once. A larger session is read alone. */
export const STEP_BYTES = 256 * 1024;

/** How many sessions of a user are changed at once. Large ones are read into memory. */
const CHANGED_AT_ONCE = 10;

/** How often a change of all sessions of a user reads the index again, at most. */
const MAX_PASSES = 10;

/** How many reads of the index one page of headers takes, at most. More follow only if entries without a session were met. */
export const MAX_READS = 10;

/** If this many of the CHUNK entries of a sample have no session, the wiper checks the whole index. */
const MANY_DEAD = 10;

/** A user's session, as it was found in the index. */
export interface DatedEntry extends Entry {
  /** time of creation, ms */
  created: number;
  /** time of the last use, ms */
  la: number;
}

/** A page of sessions without their data. */
export interface HeaderPage {
  readonly sessions: StoredSession[];
  /** Where the next page begins. Undefined if there are no more sessions. */
  readonly next: string | undefined;
}

/** How many sessions a call has ended, up to now. */
export interface Tally {
  ended: number;
}

/** The result of ending all sessions that the index lists at one time. */
interface Pass {
  pages: number;
  entries: number;
  ended: number;
  /** The ref of the excepted session, which may have been rotated; undefined if there is none or if it has ended. */
  except: string | undefined;
  readonly tally: Tally;
  /** Identifies the entries that were found if none could be ended; else empty. */
  fingerprint: string;
}

/** Lists, counts and ends an app's sessions through its index, in chunks. The input must have been validated. */
export class SessionIndex {
  readonly #connection: AppConnection;
  readonly #keys: Keys;
  readonly #find: (ref: string) => Promise<StoredSession | null>;
  /** The wipe that runs because Redis is out of memory. */
  #backgroundWipe: BackgroundWipe | undefined;

  /** @param find reads one session without touching it, and follows redirects */
  constructor(connection: AppConnection, keys: Keys, find: (ref: string) => Promise<StoredSession | null>) {
    this.#connection = connection;
    this.#keys = keys;
    this.#find = find;
  }

  /** Ends sessions that were found in the index. Sessions that no longer exist are skipped. */
  async kill(entries: readonly Entry[], reason: operations.WishedEnd): Promise<void> {
    await this.#end(entries, undefined, reason);
  }

  /**
   * Ends the sessions of a user until none is left but `except`. Returns the number of ended sessions.
   * @param barFor ms that sessions of connect-redis are barred; default: as the app's store has announced
   * @param tally counts the ended sessions, also if the call fails
   */
  async killUser(id: string, except?: string, barFor?: number, tally?: Tally): Promise<number> {
    // The bar comes first: a session that is taken over before it is in the index, and later ones are refused.
    let field: string | undefined = await this.#connection.run(operations.barLegacy, this.#keys, { id, barFor });
    const entries = () => {
      // The first pass begins with the field that was read together with the bar.
      const pages = this.#userEntries(id, field);
      field = undefined;
      return pages;
    };
    return this.#endAll(entries, except, tally);
  }

  /**
   * Ends the sessions of the app until none is left. Returns the number of ended sessions.
   * @param barFor as for killUser
   * @param tally as for killUser
   */
  async killAll(barFor?: number, tally?: Tally): Promise<number> {
    await this.#connection.run(operations.barLegacy, this.#keys, { id: ANONYMOUS, barFor });
    // No call is overtaken: the script above was sent after all that were waiting.
    return this.#endAll(() => this.#expiryEntries(true), undefined, tally);
  }

  /**
   * Announces to all processes of this app that a store takes over sessions of connect-redis, so that a logout bars them.
   * @param barFor ms, the duration of these bars
   * @param ttl ms, how long the announcement is valid
   */
  async announceLegacy(barFor: number, ttl: number): Promise<void> {
    await this.#connection.command((client) => client.set(this.#keys.legacy, barFor, "PX", ttl));
  }

  /**
   * Changes all sessions of a user. Returns how many were changed; one that is rotated meanwhile may count twice.
   *
   * A session that is rotated before it is changed is not found under its old ref, and has a new entry. So the index is read again
   * if a session was not found, or if a new entry may be on a page that was read already. The number of passes is limited, because
   * sessions may be created all the time.
   * @param ofStore whether to change the sessions of a RedisStore, or those of the engine; the others are left alone
   * @param change changes a session, and returns whether it exists
   */
  async changeUser(id: string, ofStore: boolean, change: (ref: string) => Promise<boolean>): Promise<number> {
    const tried = new Set<string>();
    let changed = 0;
    let isComplete = false;
    for (let pass = 0; pass < MAX_PASSES && !isComplete; pass++) {
      let pages = 0;
      const missing: Entry[] = [];
      const triedBefore = tried.size;
      for await (const page of this.#userEntries(id)) {
        pages++;
        const entries = page.filter(({ ref }) => ref.startsWith(STORE_REF_PREFIX) === ofStore && !tried.has(ref));
        for (const chunk of chunks(entries, CHANGED_AT_ONCE)) {
          const found = await Promise.all(chunk.map(({ ref }) => change(ref)));
          for (const [i, entry] of chunk.entries()) {
            tried.add(entry.ref);
            if (found[i]) changed++;
            else missing.push(entry);
          }
        }
      }
      await this.drop(missing);
      isComplete = tried.size === triedBefore || (pages === 1 && missing.length === 0);
    }
    return changed;
  }

  /** Returns the sessions of a user, newest first. */
  async ofUser(id: string, part: Part): Promise<StoredSession[]> {
    // By ref, because a session that is rotated meanwhile may be found twice.
    const sessions = new Map<string, StoredSession>();
    let { bytes = Number.POSITIVE_INFINITY } = part;
    const isWhole = part.offset === 0 && part.limit === Number.POSITIVE_INFINITY && part.bytes === undefined;
    for await (const found of isWhole ? this.#readUser(id) : this.#readNewestOfUser(id, part)) {
      for (const session of found) {
        // After the index was read, the session may have been assigned to another user.
        if (session.id !== id) continue;
        sessions.set(session.ref, session);
        bytes -= session.size;
        if (sessions.size >= part.limit || bytes < 0) return [...sessions.values()];
      }
    }
    return isWhole ? newestFirst([...sessions.values()]) : [...sessions.values()];
  }

  /**
   * Yields the sessions of a user that are not among the latest `max` by a time. They are yielded page by page, so that a caller
   * who ends them makes progress even if there are very many.
   */
  async *surplusOfUser(id: string, max: number, by: "created" | "la"): AsyncGenerator<Entry[], void> {
    let latest: DatedEntry[] = [];
    for await (const entries of prefetch(this.#userEntries(id), "before")) {
      latest = await latestFirst([...latest, ...(await this.#dateEntries(id, entries))], by);
      yield latest.slice(max);
      // latestFirst() expects the order of the index.
      latest = latest.slice(0, max).reverse();
    }
  }

  /** Yields the existing sessions of a user, without their data, in the order of the index. */
  async *existingOfUser(id: string): AsyncGenerator<DatedEntry[], void> {
    for await (const entries of this.#userEntries(id)) yield await this.#dateEntries(id, entries);
  }

  /** Returns the sessions that were active since `since` (ms), last active first. */
  active(since: number, part: Part): Promise<StoredSession[]> {
    return collect(this.activePages(since, part), part.bytes);
  }

  /** Yields the same sessions in pages. Sessions before the offset are counted, but not read. */
  async *activePages(
    since: number,
    part: Part = { offset: 0, limit: Number.POSITIVE_INFINITY },
  ): AsyncGenerator<StoredSession[], void> {
    const source: ActiveSource = {
      refs: (size) => walk(size, (page) => this.#connection.run(operations.pageActive, this.#keys, { ...page, since })),
      countExisting: (refs) => this.countExisting(refs),
      read: (refs) => this.#read(refs.map((ref) => ({ id: "", ref }))),
    };
    yield* activePages(source, part);
  }

  /** Yields the entries of `active` since `since` (ms) in pages, latest first. */
  activeRefs(since: number, size: number): AsyncGenerator<operations.ActiveRef[], void> {
    return walk(size, (page) => this.activeRefsFrom(page, since));
  }

  /** Reads a page of these entries. The cursor may be that of another shard. */
  activeRefsFrom(page: PageOptions, since: number): Promise<Page<operations.ActiveRef>> {
    return this.#connection.run(operations.pageActiveTimes, this.#keys, { ...page, since });
  }

  /** Returns how many refs of `active` have a session, and removes the entries of the others. */
  async countExisting(refs: readonly string[]): Promise<number> {
    const entries = refs.map((ref) => ({ id: "", ref }));
    const existing = await this.#countExisting(entries);
    if (existing < entries.length) await this.drop(entries);
    return existing;
  }

  /**
   * Returns a page of all sessions without their data, last active first. It takes the same time at any depth, because it begins at a
   * cursor. It may have fewer sessions than `limit` if the index has many entries without a session.
   * @param cursor `next` of the previous page, a cursor of `cursorBefore`, or "" for the first page
   */
  async activeHeaders(cursor: string, limit: number): Promise<HeaderPage> {
    const sessions: StoredSession[] = [];
    let next = cursor;
    for (let reads = 0; reads < MAX_READS && sessions.length < limit; reads++) {
      const missing = limit - sessions.length;
      const page = await this.#connection.run(operations.pageActive, this.#keys, {
        cursor: next,
        limit: missing,
        since: 0,
      });
      sessions.push(...(await this.#readHeaders(page.members.map((ref) => ({ id: "", ref })))));
      if (page.members.length < missing) return { sessions, next: undefined };
      next = page.cursor;
    }
    return { sessions, next };
  }

  /** Returns a session without its data, and without touching it. Returns null if it does not exist. */
  async header(ref: string): Promise<StoredSession | null> {
    return (await this.#readHeaders([{ id: "", ref }]))[0] ?? null;
  }

  /** Returns sessions of a user without their data, newest first, and the number of the user's sessions. */
  async headersOfUser(id: string, { offset, limit }: Part): Promise<{ sessions: StoredSession[]; total: number }> {
    const found = await this.#datedEntriesOfUser(id);
    const newest = await newestFirst(found);
    const sessions = await this.#readHeaders(newest.slice(offset, offset + limit));
    return { sessions: sessions.filter((session) => session.id === id), total: found.length };
  }

  /** Returns the number of sessions that were active since `since` (ms). */
  async countSessions(since: number): Promise<number> {
    return toNumber(await this.#connection.command((client) => client.zcount(this.#keys.active, since, "+inf")));
  }

  /** Returns the number of users who were active since `since` (ms). */
  async countUsers(since: number): Promise<number> {
    return toNumber(await this.#connection.command((client) => client.zcount(this.#keys.users, since, "+inf")));
  }

  /** Yields the users who were active since `since` (ms) in pages, earliest first. A user who is active meanwhile may be repeated. */
  activeUsers(since: number): AsyncGenerator<string[], void> {
    return walk(PAGE, (page) => this.#connection.run(operations.pageUsers, this.#keys, { ...page, since }));
  }

  /** Yields all sessions in pages, in the order in which they expire. */
  async *pages(): AsyncGenerator<StoredSession[], void> {
    for await (const entries of this.#expiryEntries()) yield* this.#read(entries);
  }

  /** Returns the number of sessions. Wipes first, so that expired sessions are not counted. */
  async count(): Promise<number> {
    await this.wipe();
    return toNumber(await this.#connection.command((client) => client.zcard(this.#keys.expiry)));
  }

  /** Returns the refs of all sessions. Wipes first. */
  async refs(): Promise<string[]> {
    await this.wipe();
    const refs = new Set<string>();
    for await (const entries of this.#expiryEntries()) for (const { ref } of entries) refs.add(ref);
    return [...refs];
  }

  /** Removes the entries of sessions that have expired or that Redis has evicted. Returns the number of these sessions. */
  async wipe(): Promise<number> {
    let wiped = 0;
    for await (const gone of this.#wipeInSteps()) wiped += gone;
    return wiped;
  }

  /** Removes the entries of expired sessions that are due, and no more, so that it may be called each second. */
  async wipeExpired(): Promise<void> {
    for await (const _ of this.#wipeExpired(SHORT_LEASE));
  }

  /**
   * Frees memory in a Redis that is out of memory: wipes in the background, unless such a wipe is running. Resolves to true as
   * soon as an entry was removed, and to false if there was none to remove.
   */
  freeMemory(): Promise<boolean> {
    this.#backgroundWipe ??= new BackgroundWipe(this.#wipeInSteps(), () => {
      this.#backgroundWipe = undefined;
    });
    return this.#backgroundWipe.progress();
  }

  /** Whether there is neither a session nor an entry of one. */
  async isEmpty(): Promise<boolean> {
    return toNumber(await this.#connection.command((client) => client.zcard(this.#keys.expiry))) === 0;
  }

  /** Reads a key. Rejects if the slot cannot be reached. */
  async reach(deadline: number): Promise<void> {
    await this.#connection.command((client) => client.exists(this.#keys.active), deadline);
  }

  /** Yields the number of sessions that each step has found gone. */
  async *#wipeInSteps(): AsyncGenerator<number, void> {
    yield* this.#wipeExpired(LEASE);
    yield* this.#wipeEvicted();
  }

  async *#wipeExpired(lease: number): AsyncGenerator<number, void> {
    for (;;) {
      const entries = await this.#connection.run(operations.claimExpired, this.#keys, { lease, limit: CHUNK });
      if (entries.length > 0) yield await this.#sweep(entries);
      if (entries.length < CHUNK) return;
    }
  }

  /** Evictions remove sessions before they expire. A random sample shows whether the whole index must be checked. */
  async *#wipeEvicted(): AsyncGenerator<number, void> {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const sample = await this.#connection.run(operations.sample, this.#keys, { count: CHUNK, seed });
    if (sample.length === 0) return;
    const dead = sample.length - (await this.#countExisting(sample));
    if (dead >= MANY_DEAD) {
      yield* this.#wipeWholeIndex();
    } else if (dead > 0) {
      yield await this.#sweep([...new Map(sample.map((entry) => [entry.id + entry.ref, entry])).values()]);
    }
  }

  async *#wipeWholeIndex(): AsyncGenerator<number, void> {
    for await (const entries of prefetch(this.#expiryEntries(), "before")) {
      for (const chunk of chunks(entries)) {
        if ((await this.#countExisting(chunk)) < chunk.length) yield await this.#sweep(chunk);
      }
    }
  }

  #sweep(entries: readonly Entry[]): Promise<number> {
    return this.#connection.run(operations.sweep, this.#keys, { entries });
  }

  /** Returns how many of the sessions' keys exist. Tombstones are counted, too. */
  async #countExisting(entries: readonly { ref: string }[]): Promise<number> {
    const keys = entries.map(({ ref }) => this.#keys.session(ref));
    return Number(await this.#connection.command((client) => client.exists(...keys)));
  }

  /**
   * Yields the index entries of a user in pages.
   * @param knownField the user's field of `userSessions`, if it was just read
   */
  async *#userEntries(id: string, knownField?: string): AsyncGenerator<Entry[], void> {
    const { userSessions } = this.#keys;
    const field = knownField ?? toText(await this.#connection.command((client) => client.hget(userSessions, id)));
    const { refs, hasOverflow } = parseUserSessions(field);
    if (hasOverflow) yield* this.#userEntriesWithOverflow(id);
    else yield refs.map((ref) => ({ id, ref }));
  }

  async *#userEntriesWithOverflow(id: string): AsyncGenerator<Entry[], void> {
    const { first, last } = overflowRange(id);
    // The additional member shows whether and where there is a next page.
    const limit = PAGE + 1;
    // The script reads the field and the first members of the overflow at the same moment. With two commands a session that
    // moves from one to the other in between would be missed.
    const { field, members } = await this.#connection.run(operations.pageUserSessions, this.#keys, {
      id,
      first,
      last,
      limit,
    });
    const listed = parseUserSessions(field).refs.map((ref) => ({ id, ref }));
    yield [...listed, ...members.slice(0, PAGE).map(parseEntry)];
    for (let next = members[PAGE]; next !== undefined; ) {
      const page = await this.#readOverflow(`[${next}`, last, limit);
      yield page.slice(0, PAGE).map(parseEntry);
      // Members that are not UTF-8 change when they are decoded, so a page of them may begin and end with the same text.
      next = page[PAGE] === next ? undefined : page[PAGE];
    }
  }

  async #readOverflow(first: string, last: string, limit: number): Promise<string[]> {
    const { userSessionsOverflow } = this.#keys;
    return toList(
      await this.#connection.command((client) =>
        client.zrangebylex(userSessionsOverflow, first, last, "LIMIT", 0, limit),
      ),
    );
  }

  /** Yields the index entries of all sessions in pages. Some may have no session. */
  entries(): AsyncGenerator<Entry[], void> {
    return this.#expiryEntries();
  }

  /** Removes the entries among these whose sessions no longer exist. */
  async drop(entries: readonly Entry[]): Promise<void> {
    await Promise.all(chunks(entries).map((chunk) => this.#sweep(chunk)));
  }

  /**
   * Yields the entries of `expiry` in pages, earliest first. An entry that is postponed meanwhile is yielded again.
   * @param isAlone whether each request is sent by itself, so that its reply does not wait for the scripts of the caller. It may then
   *   overtake calls that wait to be sent.
   */
  async *#expiryEntries(isAlone = false): AsyncGenerator<Entry[], void> {
    const pages = walk(PAGE, (page) =>
      this.#connection.run(operations.pageExpiry, this.#keys, page, isAlone ? this.#connection.deadline() : undefined),
    );
    for await (const members of pages) yield members.map(parseEntry);
  }

  /**
   * Ends the listed sessions until none is left but `except`. Returns the number of ended sessions.
   *
   * One pass is enough if all entries were on one page and all sessions were ended. To wait for an empty index would never end
   * if sessions are created all the time. Otherwise a session may have been rotated, or may have appeared on a page that was read
   * already, so another pass follows. Two passes that find the same entries and end none have found only what cannot be removed.
   */
  async #endAll(
    pages: () => AsyncGenerator<Entry[], void>,
    except: string | undefined,
    tally: Tally = { ended: 0 },
  ): Promise<number> {
    let killed = 0;
    let last: Pass | undefined;
    for (;;) {
      const pass: Pass = await this.#endOnce(pages(), last === undefined ? except : last.except, tally);
      killed += pass.ended;
      const isComplete = pass.pages <= 1 && pass.ended === pass.entries;
      const isStuck = pass.ended === 0 && pass.fingerprint === last?.fingerprint;
      if (isComplete || isStuck) return killed;
      last = pass;
    }
  }

  async #endOnce(pages: AsyncGenerator<Entry[], void>, except: string | undefined, tally: Tally): Promise<Pass> {
    const pass: Pass = { pages: 0, entries: 0, ended: 0, except, tally, fingerprint: "" };
    const hash = createHash("sha1");
    // Redis ends the sessions of one page while the next page is prepared.
    let previous = Promise.resolve();
    for await (const page of prefetch(pages, "before")) {
      const ending = this.#endPage(page, pass, hash, previous);
      // A failure is thrown when the page is awaited. Until then, or if the previous page fails, it must not be unhandled.
      ending.catch(() => {});
      await previous;
      previous = ending;
    }
    await previous;
    if (pass.ended === 0) pass.fingerprint = hash.digest("hex");
    return pass;
  }

  /** Ends the sessions of a page, and notes the result in `pass` after that of the previous page. */
  async #endPage(page: Entry[], pass: Pass, hash: Hash, previous: Promise<void>): Promise<void> {
    const { except, tally } = pass;
    const entries = page.filter(({ ref }) => ref !== except);
    const { ended, exceptMoved } = await this.#end(entries, except, "killed", tally);
    await previous;
    if (exceptMoved) pass.except = (await this.#find(except as string))?.ref;
    pass.pages++;
    pass.entries += entries.length;
    pass.ended += ended;
    if (pass.ended === 0) hash.update(JSON.stringify([entries, pass.except]));
  }

  /** Ends sessions. Those of a RedisStore leave a tombstone, those of the engine do not, so they go in separate chunks. */
  async #end(
    entries: readonly Entry[],
    except: string | undefined,
    reason: operations.WishedEnd,
    tally?: Tally,
  ): Promise<{ ended: number; exceptMoved: boolean }> {
    const ofStore = entries.filter(({ ref }) => tombstoneTtlOf(ref) > 0);
    const ofEngine = ofStore.length === 0 ? entries : entries.filter(({ ref }) => tombstoneTtlOf(ref) === 0);
    const counts = await Promise.all(
      [...chunks(ofStore), ...chunks(ofEngine)].map(async (chunk) => {
        const tombstoneTtl = tombstoneTtlOf(chunk[0]?.ref ?? "");
        const input = { entries: chunk, except, tombstoneTtl, reason };
        const count = await this.#connection.run(operations.killMany, this.#keys, input);
        if (tally !== undefined) tally.ended += Math.max(count, 0);
        return count;
      }),
    );
    const ended = counts.reduce((sum, count) => sum + Math.max(count, 0), 0);
    return { ended, exceptMoved: counts.includes(-1) };
  }

  /** Yields all sessions of a user, in the order of the index. */
  async *#readUser(id: string): AsyncGenerator<StoredSession[], void> {
    for await (const entries of this.#userEntries(id)) yield* this.#read(entries);
  }

  /** Yields the sessions of a user from an offset on, newest first. Data outside the part is not read. */
  async *#readNewestOfUser(id: string, { offset, limit }: Part): AsyncGenerator<StoredSession[], void> {
    const newest = await newestFirst(await this.#datedEntriesOfUser(id));
    // The loop goes on after the limit, because a session that ends before it is read is replaced by a later one.
    for (let at = offset; at < newest.length; ) {
      const entries = newest.slice(at, at + Math.min(PAGE, Math.max(CHUNK, limit)));
      at += entries.length;
      yield* this.#read(entries);
    }
  }

  /** Returns the existing sessions of a user, without their data, in the order of the index. */
  async #datedEntriesOfUser(id: string): Promise<DatedEntry[]> {
    const found: DatedEntry[] = [];
    for await (const entries of this.#userEntries(id)) {
      for (const entry of await this.#dateEntries(id, entries)) found.push(entry);
    }
    return found;
  }

  /** Reads when the sessions of a user's entries were created and last used, and removes the entries without a session. */
  async #dateEntries(id: string, entries: readonly Entry[]): Promise<DatedEntry[]> {
    return (await Promise.all(chunks(entries).map((chunk) => this.#dateChunk(id, chunk)))).flat();
  }

  async #dateChunk(id: string, entries: readonly Entry[]): Promise<DatedEntry[]> {
    const refs = entries.map(({ ref }) => ref);
    const times = await this.#connection.run(operations.readTimes, this.#keys, { id, refs });
    const stale = entries.filter((_, i) => times[i] === undefined);
    if (stale.length > 0) await this.#sweep(stale);
    return entries.flatMap(({ ref }, i) => {
      const found = times[i];
      return found === undefined ? [] : { id, ref, ...found };
    });
  }

  /** Reads the sessions of index entries in steps, in the same order. */
  async *#read(entries: readonly Entry[]): AsyncGenerator<StoredSession[], void> {
    for await (const found of this.read(entries)) yield found.filter((session) => session !== null);
  }

  /**
   * Reads the sessions of index entries, in the same order, and removes the stale entries. Yields null for an entry without a session.
   * Sessions are yielded in steps of STEP_BYTES, so that large ones block neither Redis nor the event loop.
   */
  async *read(entries: readonly Entry[]): AsyncGenerator<(StoredSession | null)[], void> {
    const begun = chunks(entries).map((chunk) => {
      const texts = this.#readTexts(chunk);
      // A failure is thrown when the chunk is awaited. Until then, or if the caller stops early, it must not be unhandled.
      texts.catch(() => {});
      return { chunk, texts };
    });
    for (const { chunk, texts: first } of begun) {
      let texts = await first;
      for (let at = 0; ; texts = await this.#readTexts(chunk.slice(at))) {
        yield await this.#decodeTexts(chunk.slice(at, at + texts.length), texts);
        at += texts.length;
        if (at >= chunk.length) break;
      }
    }
  }

  async #readHeaders(entries: readonly Entry[]): Promise<StoredSession[]> {
    return (await this.headers(entries)).filter((session) => session !== null);
  }

  /**
   * Reads the sessions of index entries without their data, in the same order, and removes the stale entries. Returns null for an
   * entry without a session.
   */
  async headers(entries: readonly Entry[]): Promise<(StoredSession | null)[]> {
    const found = chunks(entries).map(async (chunk) => {
      const refs = chunk.map(({ ref }) => ref);
      return this.#decodeTexts(chunk, await this.#connection.run(operations.readHeaders, this.#keys, { refs }));
    });
    return (await Promise.all(found)).flat();
  }

  /** Reads the texts of the first of these sessions, at least one. */
  async #readTexts(entries: readonly Entry[]): Promise<(string | null)[]> {
    const refs = entries.map(({ ref }) => ref);
    const texts = await this.#connection.run(operations.readTexts, this.#keys, { refs, bytes: STEP_BYTES });
    if (texts.length > 0) return texts;
    return toList(await this.#connection.command((client) => client.mget(this.#keys.session(refs[0] as string))));
  }

  /** Decodes texts, follows redirects and removes stale entries. */
  async #decodeTexts(entries: readonly Entry[], texts: readonly (string | null)[]): Promise<(StoredSession | null)[]> {
    const found = texts.map((text, i) => decode(text, (entries[i] as Entry).ref));

    const stale = entries.filter(({ id }, i) => isStale(id, found[i] ?? null));
    if (stale.length > 0) await this.#sweep(stale);

    const sessions: (StoredSession | null)[] = [];
    for (const one of found) sessions.push(one instanceof Tombstone ? await this.#find(one.redirect) : one);
    return sessions;
  }
}

/** A wipe in the background, and the calls that wait until it has removed an entry. */
class BackgroundWipe {
  #waiting: ((progress: boolean) => void)[] = [];

  constructor(steps: AsyncGenerator<number, void>, onEnd: () => void) {
    const work = async () => {
      for await (const gone of steps) if (gone > 0) this.#notify(true);
    };
    // The waiting calls throw their own errors.
    work()
      .catch(() => {})
      .finally(() => {
        onEnd();
        this.#notify(false);
      });
  }

  /** Resolves to whether an entry is removed after this call. */
  progress(): Promise<boolean> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #notify(progress: boolean): void {
    for (const resolve of this.#waiting.splice(0)) resolve(progress);
  }
}

/**
 * Returns whether an index entry does not match the session that was found. Entries of `active` have an empty id, which matches
 * every user. A tombstone makes the entry stale, because a rotated session has an entry under its new ref.
 */
function isStale(id: string, found: StoredSession | Tombstone | null): boolean {
  return !(found instanceof StoredSession) || (id !== "" && id !== (found.id || ANONYMOUS));
}

export function newestFirst<Session extends { created: number }>(sessions: Session[]): Promise<Session[]> {
  return latestFirst(sessions, "created");
}

/** Sorts sessions that are in the order of the index by a time. Of two with the same ms, the later entry is the later one. */
function latestFirst<By extends string, Session extends Record<By, number>>(
  sessions: Session[],
  by: By,
): Promise<Session[]> {
  return sortInSteps(sessions.reverse(), (a, b) => b[by] - a[by]);
}
