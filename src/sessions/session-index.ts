import { createHash } from "node:crypto";
import type { Connection } from "../redis/connection.js";
import { CHUNK } from "../redis/operation.js";
import { toList, toNumber, toText } from "../redis/reply.js";
import { sortInSteps } from "../util/time-slice.js";
import { ANONYMOUS, type Entry, type Keys, overflowRange, parseEntry, parseUserSessions } from "./keys.js";
import * as operations from "./operations.js";
import { ahead, chunks, PAGE, type Part, walk } from "./paging.js";
import { decode, StoredSession, Tombstone } from "./session-text.js";

/** How long a wiper may take over a chunk that it has claimed, in ms. */
const LEASE = 30_000;

/** How many bytes of sessions are read at once. A session that is longer is read alone. */
const STEP_BYTES = 256 * 1024;

/** How many of the CHUNK entries of a sample must be dead for the wiper to look at the whole index. */
const MANY_DEAD = 10;

/** A session as it was met in a user's index. */
interface Head extends Entry {
  /** ms */
  created: number;
}

/** The sessions of one app, many at a time, as they stand in the index. Works in chunks; takes checked input. */
export class SessionIndex {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #find: (ref: string) => Promise<StoredSession | null>;
  /** What drops dead entries because memory ran out. */
  #relief: Relief | undefined;

  /** @param find reads one session that may have been rotated, and leaves no trace */
  constructor(connection: Connection, keys: Keys, find: (ref: string) => Promise<StoredSession | null>) {
    this.#connection = connection;
    this.#keys = keys;
    this.#find = find;
  }

  /** Ends sessions that were met in the index, if they are still there. */
  async kill(entries: readonly Entry[]): Promise<void> {
    await this.#end(entries, undefined, 0);
  }

  /**
   * Ends the sessions of a user until none is left but `spare`.
   * @param barFor ms that sessions of connect-redis are barred; undefined for as long as the app's store has said
   */
  async killUser(id: string, spare?: string, tombstoneTtl = 0, barFor?: number): Promise<number> {
    // Before the first look: what is taken over until then is met, and what comes later is refused.
    await this.#connection.run(operations.barLegacy, this.#keys, { id, barFor });
    return this.#endAll(() => this.#owned(id), spare, tombstoneTtl);
  }

  /**
   * Ends the sessions of the app until none is left.
   * @param barFor as for killUser
   */
  async killAll(tombstoneTtl = 0, barFor?: number): Promise<number> {
    await this.#connection.run(operations.barLegacy, this.#keys, { id: ANONYMOUS, barFor });
    return this.#endAll(() => this.#queued(), undefined, tombstoneTtl);
  }

  /**
   * Tells every process that ends sessions of this app that a store takes over sessions of connect-redis.
   * @param barFor ms, as for killUser
   * @param lasts ms that this holds
   */
  async announceLegacy(barFor: number, lasts: number): Promise<void> {
    await this.#connection.command((client) => client.set(this.#keys.legacy, barFor, "PX", lasts));
  }

  /** The sessions of a user, newest first. */
  async ofUser(id: string, part: Part): Promise<StoredSession[]> {
    // By ref: one that is rotated meanwhile may be met in two places.
    const sessions = new Map<string, StoredSession>();
    let { bytes = Number.POSITIVE_INFINITY } = part;
    const isWhole = part.offset === 0 && part.limit === Number.POSITIVE_INFINITY && part.bytes === undefined;
    for await (const found of isWhole ? this.#eachOfUser(id) : this.#newestOfUser(id, part)) {
      for (const session of found) {
        // One that was given to another user since the index was read is not theirs any more.
        if (session.id !== id) continue;
        sessions.set(session.ref, session);
        bytes -= session.size;
        if (sessions.size >= part.limit || bytes < 0) return [...sessions.values()];
      }
    }
    return isWhole ? newestFirst([...sessions.values()]) : [...sessions.values()];
  }

  /**
   * The sessions of a user that are not among the newest `most`, as they are found: at most a page at a time, so that who
   * ends them makes progress however many there are.
   */
  async *surplusOfUser(id: string, most: number): AsyncGenerator<Entry[], void> {
    let newest: Head[] = [];
    for await (const entries of ahead(this.#owned(id), "before")) {
      newest = await newestFirst([...newest, ...(await this.#heads(id, entries))]);
      yield newest.slice(most);
      // newestFirst expects the order of the index.
      newest = newest.slice(0, most).reverse();
    }
  }

  /** The sessions of a user that live, without their data, in the order of the index. */
  async *livingOfUser(id: string): AsyncGenerator<Entry[], void> {
    for await (const entries of this.#owned(id)) yield await this.#heads(id, entries);
  }

  /** The sessions that were active since `since` (ms), most recently active first. */
  async active(since: number, part: Part): Promise<StoredSession[]> {
    const sessions: StoredSession[] = [];
    let { bytes = Number.POSITIVE_INFINITY } = part;
    for await (const page of this.activePages(since, part)) {
      for (const session of page) {
        sessions.push(session);
        bytes -= session.size;
        if (bytes < 0) return sessions;
      }
    }
    return sessions;
  }

  /** The same, in pages. Sessions before the offset are counted, but not read. */
  async *activePages(
    since: number,
    { offset, limit }: Part = { offset: 0, limit: Number.POSITIVE_INFINITY },
  ): AsyncGenerator<StoredSession[], void> {
    let skip = offset;
    let left = limit;
    // Those that are gone make room for others. There may be many in a row: after the first look more are read at once.
    let atOnce = limit;
    const pages = this.#recent(since, Math.min(PAGE, Math.max(CHUNK, offset + limit)));
    for await (const refs of offset + limit > PAGE ? ahead(pages, "after") : pages) {
      let at = 0;
      while (skip > 0 && at < refs.length) {
        const some = refs.slice(at, at + skip);
        skip -= await this.#countLiving(some);
        at += some.length;
      }
      while (left > 0 && at < refs.length) {
        const some = refs.slice(at, at + atOnce);
        at += some.length;
        for await (const found of this.#read(some.map((ref) => ({ id: "", ref })))) {
          const sessions = found.slice(0, left);
          left -= sessions.length;
          yield sessions;
        }
        atOnce = Math.max(left, CHUNK);
      }
      if (left <= 0) return;
    }
  }

  /** How many users were active since `since` (ms). */
  async countUsers(since: number): Promise<number> {
    return toNumber(await this.#connection.command((client) => client.zcount(this.#keys.users, since, "+inf")));
  }

  /** All sessions, those that end first first, in pages. */
  async *pages(): AsyncGenerator<StoredSession[], void> {
    for await (const entries of this.#queued()) yield* this.#read(entries);
  }

  /** How many sessions there are. What stands in the queue after the wiper's visit has not ended. */
  async count(): Promise<number> {
    await this.wipe();
    return toNumber(await this.#connection.command((client) => client.zcard(this.#keys.expiry)));
  }

  /** The refs of all sessions. */
  async refs(): Promise<string[]> {
    await this.wipe();
    const refs = new Set<string>();
    for await (const entries of this.#queued()) for (const { ref } of entries) refs.add(ref);
    return [...refs];
  }

  /** Drops the entries of sessions that have expired, or that Redis has evicted. Returns how many sessions those were. */
  async wipe(): Promise<number> {
    let wiped = 0;
    for await (const gone of this.#wipeInSteps()) wiped += gone;
    return wiped;
  }

  /**
   * Makes room in a Redis that is out of memory: wipes, in the background, one at a time. Resolves as soon as something was
   * dropped, with true; with false when there was nothing to drop.
   */
  relieve(): Promise<boolean> {
    this.#relief ??= new Relief(this.#wipeInSteps(), () => {
      this.#relief = undefined;
    });
    return this.#relief.progress();
  }

  /** Spares the wipers an app that has no session and was last registered before `before` (ms). */
  async retire(before: number): Promise<void> {
    const { app, expiry } = this.#keys;
    if (toNumber(await this.#connection.command((client) => client.zcard(expiry))) > 0) return;
    // With a deadline of its own it goes by itself: its key lies in another slot than the app's.
    await this.#connection.run(operations.dropApp, this.#keys, { app, before }, this.#connection.deadline());
  }

  /** Sessions whose time is over; and of the others a sample, for an eviction ends sessions before their time. */
  async *#wipeInSteps(): AsyncGenerator<number, void> {
    for (;;) {
      const entries = await this.#connection.run(operations.claimExpired, this.#keys, { lease: LEASE, limit: CHUNK });
      if (entries.length > 0) yield await this.#sweep(entries);
      if (entries.length < CHUNK) break;
    }
    const shares = Array.from({ length: CHUNK }, () => Math.random());
    const sample = await this.#connection.run(operations.sample, this.#keys, { shares });
    if (sample.length === 0) return;
    const dead = sample.length - (await this.#countExisting(sample));
    if (dead >= MANY_DEAD) {
      for await (const entries of ahead(this.#queued(), "before")) {
        for (const chunk of chunks(entries)) {
          if ((await this.#countExisting(chunk)) < chunk.length) yield await this.#sweep(chunk);
        }
      }
    } else if (dead > 0) {
      yield await this.#sweep([...new Map(sample.map((entry) => [entry.id + entry.ref, entry])).values()]);
    }
  }

  #sweep(entries: readonly Entry[]): Promise<number> {
    return this.#connection.run(operations.sweep, this.#keys, { entries });
  }

  /** How many of these keys exist. Something else than a session, such as a mark, counts as well. */
  async #countExisting(entries: readonly { ref: string }[]): Promise<number> {
    const keys = entries.map(({ ref }) => this.#keys.session(ref));
    return Number(await this.#connection.command((client) => client.exists(...keys)));
  }

  /** How many of the sessions that were met in `active` live. Drops the entries of the others. */
  async #countLiving(refs: readonly string[]): Promise<number> {
    const entries = refs.map((ref) => ({ id: "", ref }));
    const living = await this.#countExisting(entries);
    if (living < refs.length) await Promise.all(chunks(entries).map((chunk) => this.#sweep(chunk)));
    return living;
  }

  /** What stands under a user, in pages. */
  async *#owned(id: string): AsyncGenerator<Entry[], void> {
    const { userSessions, userSessionsOverflow } = this.#keys;
    const { refs, hasOverflow } = parseUserSessions(
      toText(await this.#connection.command((client) => client.hget(userSessions, id))),
    );
    if (!hasOverflow) {
      yield refs.map((ref) => ({ id, ref }));
      return;
    }
    const { first, last } = overflowRange(id);
    // One more than a page holds, to know whether and where there are more.
    const limit = PAGE + 1;
    // Field and crowd at one moment: from one look to the next a session can go from the one to the other.
    const { field, members } = await this.#connection.run(operations.pageUserSessions, this.#keys, {
      id,
      first,
      last,
      limit,
    });
    const listed = parseUserSessions(field).refs.map((ref) => ({ id, ref }));
    yield [...listed, ...members.slice(0, PAGE).map(parseEntry)];
    for (let next = members[PAGE]; next !== undefined; ) {
      const from = `[${next}`;
      const page = toList(
        await this.#connection.command((client) =>
          client.zrangebylex(userSessionsOverflow, from, last, "LIMIT", 0, limit),
        ),
      );
      yield page.slice(0, PAGE).map(parseEntry);
      // Members that are no UTF-8 are read as others than they are, so a page of them may end where it began.
      next = page[PAGE] === next ? undefined : page[PAGE];
    }
  }

  /** What stands in `expiry`, earliest first, in pages. One that is put off meanwhile comes again. */
  async *#queued(): AsyncGenerator<Entry[], void> {
    const pages = walk(PAGE, (page) => this.#connection.run(operations.pageExpiry, this.#keys, page));
    for await (const members of pages) yield members.map(parseEntry);
  }

  /** The refs in `active` since `since`, latest first. */
  #recent(since: number, size: number): AsyncGenerator<string[], void> {
    return walk(size, (page) => this.#connection.run(operations.pageActive, this.#keys, { ...page, since }));
  }

  /**
   * Ends the sessions that `pages` shows until none is left but `spare`. When all were on one page and each was ended,
   * that is done: to wait for an empty index would take for ever where sessions are created all the time. When fewer
   * were ended, one was rotated meanwhile (or was gone), and behind the first of many pages one may have appeared: so it
   * looks again. A look that ends nothing and shows the same entries as the look before has met what cannot be removed.
   */
  async #endAll(
    pages: () => AsyncGenerator<Entry[], void>,
    spare: string | undefined,
    tombstoneTtl: number,
  ): Promise<number> {
    let spared = spare;
    let killed = 0;
    let lastLook = "";
    for (;;) {
      let [seen, met, ended] = [0, 0, 0];
      const look = createHash("sha1");
      for await (const page of ahead(pages(), "before")) {
        const entries = page.filter(({ ref }) => ref !== spared);
        const result = await this.#end(entries, spared, tombstoneTtl);
        // Where it is now. One that has ended needs no sparing.
        if (result.spareMoved) spared = (await this.#find(spared as string))?.ref;
        seen++;
        met += entries.length;
        ended += result.ended;
        if (ended === 0) look.update(JSON.stringify([entries, spared]));
      }
      killed += ended;
      const thisLook = ended === 0 ? look.digest("hex") : "";
      if ((seen <= 1 && ended === met) || (ended === 0 && thisLook === lastLook)) return killed;
      lastLook = thisLook;
    }
  }

  async #end(
    entries: readonly Entry[],
    spare: string | undefined,
    tombstoneTtl: number,
  ): Promise<{ ended: number; spareMoved: boolean }> {
    const counts = await Promise.all(
      chunks(entries).map((chunk) =>
        this.#connection.run(operations.killMany, this.#keys, { entries: chunk, spare, tombstoneTtl }),
      ),
    );
    const ended = counts.reduce((sum, count) => sum + Math.max(count, 0), 0);
    return { ended, spareMoved: counts.includes(-1) };
  }

  /** All sessions of a user, in the order of the index. */
  async *#eachOfUser(id: string): AsyncGenerator<StoredSession[], void> {
    for await (const entries of this.#owned(id)) yield* this.#read(entries);
  }

  /** The sessions of a user from an offset on, newest first. Those before and behind the part are not read. */
  async *#newestOfUser(id: string, { offset, limit }: Part): AsyncGenerator<StoredSession[], void> {
    const heads: Head[] = [];
    for await (const entries of this.#owned(id)) for (const head of await this.#heads(id, entries)) heads.push(head);
    const newest = await newestFirst(heads);
    // A session may end before it is read, and makes room for another.
    for (let at = offset; at < newest.length; ) {
      const entries = newest.slice(at, at + Math.min(PAGE, Math.max(CHUNK, limit)));
      at += entries.length;
      yield* this.#read(entries);
    }
  }

  /** Reads when the sessions were created that were met in a user's index, and drops the entries of those that are gone. */
  async #heads(id: string, entries: readonly Entry[]): Promise<Head[]> {
    const read = async (chunk: readonly Entry[]): Promise<Head[]> => {
      const refs = chunk.map(({ ref }) => ref);
      const created = await this.#connection.run(operations.readCreated, this.#keys, { id, refs });
      const stale = chunk.filter((_, i) => !created[i]);
      if (stale.length > 0) await this.#sweep(stale);
      return chunk.flatMap(({ ref }, i) => (created[i] ? { id, ref, created: Number(created[i]) } : []));
    };
    return (await Promise.all(chunks(entries).map(read))).flat();
  }

  /**
   * Reads sessions that were met in the index, in their order, and drops the entries of those that are gone, or another
   * user's. In steps of STEP_BYTES, so that neither Redis nor the event loop is held up by long ones.
   */
  async *#read(entries: readonly Entry[]): AsyncGenerator<StoredSession[], void> {
    const begun = chunks(entries).map((chunk) => {
      const texts = this.#readTexts(chunk);
      // Whether it failed is asked when its turn has come, or never.
      texts.catch(() => {});
      return { chunk, texts };
    });
    for (const { chunk, texts: first } of begun) {
      let texts = await first;
      for (let at = 0; ; texts = await this.#readTexts(chunk.slice(at))) {
        yield await this.#takeIn(chunk.slice(at, at + texts.length), texts);
        at += texts.length;
        if (at >= chunk.length) break;
      }
    }
  }

  /** The texts of the first of these sessions, at least one. */
  async #readTexts(entries: readonly Entry[]): Promise<(string | null)[]> {
    const refs = entries.map(({ ref }) => ref);
    const texts = await this.#connection.run(operations.readTexts, this.#keys, { refs, bytes: STEP_BYTES });
    if (texts.length > 0) return texts;
    return toList(await this.#connection.command((client) => client.mget(this.#keys.session(refs[0] as string))));
  }

  async #takeIn(entries: readonly Entry[], texts: readonly (string | null)[]): Promise<StoredSession[]> {
    const found = texts.map((text, i) => decode(text, (entries[i] as Entry).ref));

    const stale = entries.filter(({ id }, i) => isStale(id, found[i] ?? null));
    if (stale.length > 0) await this.#sweep(stale);

    const sessions: StoredSession[] = [];
    for (const one of found) {
      const session = one instanceof Tombstone ? await this.#find(one.to) : one;
      if (session !== null) sessions.push(session);
    }
    return sessions;
  }
}

/** A wipe in the background, and those who wait for it to drop something. */
class Relief {
  #waiting: ((progress: boolean) => void)[] = [];

  constructor(steps: AsyncGenerator<number, void>, onEnd: () => void) {
    const work = async () => {
      for await (const gone of steps) if (gone > 0) this.#tell(true);
    };
    // Its error is the same that those who wait have met, or will meet.
    work()
      .catch(() => {})
      .finally(() => {
        onEnd();
        this.#tell(false);
      });
  }

  /** Whether something is dropped from now on. */
  progress(): Promise<boolean> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #tell(progress: boolean): void {
    for (const resolve of this.#waiting.splice(0)) resolve(progress);
  }
}

/**
 * Whether an index entry does not fit what was found. (Where only `active` was read its id is empty, and fits all.) At a
 * mark there is no session: a rotated one has its entry elsewhere.
 */
function isStale(id: string, found: StoredSession | Tombstone | null): boolean {
  return !(found instanceof StoredSession) || (id !== "" && id !== (found.id || ANONYMOUS));
}

/** Sorts sessions that come in the order of the index: of two that were created in the same ms, the later one is newer. */
function newestFirst<Session extends { created: number }>(sessions: Session[]): Promise<Session[]> {
  return sortInSteps(sessions.reverse(), (a, b) => b.created - a.created);
}
