import { CHUNK, chunks } from "./chunks.js";
import { decode, Mark, Stored } from "./codec.js";
import type { Connection } from "./connection.js";
import { type Entry, type Keys, NOBODY, ownerRange, parseEntry, parseOwned } from "./keys.js";
import * as operations from "./operations.js";
import { toList, toNumber, toText } from "./reply.js";
import { ahead, PAGE, walk } from "./walk.js";

/** How long a wiper may take over a chunk that it has claimed, in ms. */
const LEASE = 30_000;

/** The sessions of one app, many at a time, as they stand in the index. Works in chunks; takes checked input. */
export class AppIndex {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #find: (ref: string) => Promise<Stored | null>;

  /** @param find reads one session that may have been rotated, and leaves no trace */
  constructor(connection: Connection, keys: Keys, find: (ref: string) => Promise<Stored | null>) {
    this.#connection = connection;
    this.#keys = keys;
    this.#find = find;
  }

  /** Ends sessions that were met in the index, if they are still there. */
  async kill(entries: readonly Entry[]): Promise<void> {
    await this.#end(entries, undefined, 0);
  }

  /** Ends the sessions of a user until none is left but `spare`. */
  killUser(id: string, spare?: string, markFor = 0): Promise<number> {
    return this.#endAll(() => this.#owned(id), spare, markFor);
  }

  /** Ends the sessions of the app until none is left. */
  killAll(markFor = 0): Promise<number> {
    return this.#endAll(() => this.#queued(), undefined, markFor);
  }

  /** The sessions of a user, newest first. */
  async ofUser(id: string): Promise<Stored[]> {
    // By ref: one that is rotated meanwhile may be met in two places.
    const sessions = new Map<string, Stored>();
    for await (const entries of this.#owned(id)) {
      for (const session of await this.#read(entries)) {
        // One that was given to another user since the index was read is not theirs any more.
        if (session.id === id) sessions.set(session.ref, session);
      }
    }
    return newestFirst([...sessions.values()]);
  }

  /** The sessions that were active since `since` (ms), most recently active first. */
  async active(since: number, offset: number, limit: number): Promise<Stored[]> {
    const sessions: Stored[] = [];
    for await (const page of this.activePages(since, offset + limit)) sessions.push(...page);
    return sessions.slice(offset, offset + limit);
  }

  /** The same, in pages: as many sessions as there are, or `most`. */
  async *activePages(since: number, most = Number.POSITIVE_INFINITY): AsyncGenerator<Stored[], void> {
    let left = most;
    // Those that are gone make room for others. There may be many in a row: after the first look more are read at once.
    let atOnce = most;
    const pages = this.#recent(since, Math.min(PAGE, Math.max(CHUNK, most)));
    for await (const refs of most > PAGE ? ahead(pages, "after") : pages) {
      for (let at = 0; at < refs.length && left > 0; ) {
        const some = refs.slice(at, at + atOnce);
        const sessions = (await this.#read(some.map((ref) => ({ id: "", ref })))).slice(0, left);
        at += some.length;
        left -= sessions.length;
        atOnce = Math.max(left, CHUNK);
        yield sessions;
      }
      if (left <= 0) return;
    }
  }

  /** How many users were active since `since` (ms). */
  async countUsers(since: number): Promise<number> {
    return toNumber(await this.#connection.command((client) => client.zcount(this.#keys.users, since, "+inf")));
  }

  /** All sessions, those that end first first, in pages. */
  async *pages(): AsyncGenerator<Stored[], void> {
    for await (const entries of this.#queued()) yield await this.#read(entries);
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

  /** Drops what expired sessions have left in the index. */
  async wipe(): Promise<number> {
    let wiped = 0;
    for (;;) {
      const entries = await this.#connection.run(operations.due, this.#keys, { lease: LEASE, limit: CHUNK });
      if (entries.length > 0) wiped += await this.#connection.run(operations.sweep, this.#keys, { entries });
      if (entries.length < CHUNK) return wiped;
    }
  }

  /** Spares the wipers an app that has no session and was last registered before `before` (ms). */
  async retire(before: number): Promise<void> {
    const { app, expiry } = this.#keys;
    if (toNumber(await this.#connection.command((client) => client.zcard(expiry))) > 0) return;
    // With a deadline of its own it goes by itself: its key lies in another slot than the app's.
    await this.#connection.run(operations.dropApp, this.#keys, { app, before }, this.#connection.deadline());
  }

  /** What stands under a user, in pages. */
  async *#owned(id: string): AsyncGenerator<Entry[], void> {
    const { owners, crowd } = this.#keys;
    const { refs, crowded } = parseOwned(toText(await this.#connection.command((client) => client.hget(owners, id))));
    if (!crowded) {
      yield refs.map((ref) => ({ id, ref }));
      return;
    }
    const { first, last } = ownerRange(id);
    // One more than a page holds, to know whether and where there are more.
    const limit = PAGE + 1;
    // Field and crowd at one moment: from one look to the next a session can go from the one to the other.
    const { field, members } = await this.#connection.run(operations.owned, this.#keys, { id, first, last, limit });
    const listed = parseOwned(field).refs.map((ref) => ({ id, ref }));
    yield [...listed, ...members.slice(0, PAGE).map(parseEntry)];
    for (let next = members[PAGE]; next !== undefined; ) {
      const from = `[${next}`;
      const page = toList(
        await this.#connection.command((client) => client.zrangebylex(crowd, from, last, "LIMIT", 0, limit)),
      );
      yield page.slice(0, PAGE).map(parseEntry);
      next = page[PAGE];
    }
  }

  /** What stands in `expiry`, earliest first, in pages. One that is put off meanwhile comes again. */
  async *#queued(): AsyncGenerator<Entry[], void> {
    const pages = walk("-inf", PAGE, (min, limit) =>
      this.#connection.run(operations.queue, this.#keys, { min, limit }),
    );
    for await (const members of pages) yield members.map(parseEntry);
  }

  /**
   * The refs in `active` since `since`, latest first. Pages go on at the millisecond where the last one ended and
   * pass over what was met there by name: a count would be wrong as soon as one of them is dropped or used.
   */
  #recent(since: number, size: number): AsyncGenerator<string[], void> {
    return walk("+inf", size, (max, limit) =>
      this.#connection.run(operations.recent, this.#keys, { max, min: since, limit }),
    );
  }

  /**
   * Ends the sessions that `pages` shows until none is left but `spare`. When all were on one page and each was ended,
   * that is done: to wait for an empty index would take for ever where sessions are created all the time. When fewer
   * were ended, one was rotated meanwhile (or was gone), and behind the first of many pages one may have appeared: so it
   * looks again.
   */
  async #endAll(
    pages: () => AsyncGenerator<Entry[], void>,
    spare: string | undefined,
    markFor: number,
  ): Promise<number> {
    let spared = spare;
    let killed = 0;
    for (;;) {
      let [seen, met, ended] = [0, 0, 0];
      for await (const page of ahead(pages(), "before")) {
        const entries = page.filter(({ ref }) => ref !== spared);
        const result = await this.#end(entries, spared, markFor);
        // Where it is now. One that has ended needs no sparing.
        if (result.spareMoved) spared = (await this.#find(spared as string))?.ref;
        seen++;
        met += entries.length;
        ended += result.ended;
      }
      killed += ended;
      if (seen <= 1 && ended === met) return killed;
    }
  }

  async #end(
    entries: readonly Entry[],
    spare: string | undefined,
    markFor: number,
  ): Promise<{ ended: number; spareMoved: boolean }> {
    const counts = await Promise.all(
      chunks(entries).map((chunk) =>
        this.#connection.run(operations.killMany, this.#keys, { entries: chunk, spare, markFor }),
      ),
    );
    const ended = counts.reduce((sum, count) => sum + Math.max(count, 0), 0);
    return { ended, spareMoved: counts.includes(-1) };
  }

  /** Reads sessions that were met in the index, and drops the entries of those that are gone, or another user's. */
  async #read(entries: readonly Entry[]): Promise<Stored[]> {
    return (await Promise.all(chunks(entries).map((chunk) => this.#readChunk(chunk)))).flat();
  }

  async #readChunk(entries: readonly Entry[]): Promise<Stored[]> {
    const keys = entries.map(({ ref }) => this.#keys.session(ref));
    const texts = toList(await this.#connection.command((client) => client.mget(keys)));
    const found = texts.map((text, i) => decode(text, (entries[i] as Entry).ref));

    const stale = entries.filter(({ id }, i) => isStale(id, found[i] ?? null));
    if (stale.length > 0) await this.#connection.run(operations.sweep, this.#keys, { entries: stale });

    const sessions: Stored[] = [];
    for (const one of found) {
      const session = one instanceof Mark ? await this.#find(one.to) : one;
      if (session !== null) sessions.push(session);
    }
    return sessions;
  }
}

/**
 * Whether an index entry does not fit what was found. (Where only `active` was read its id is empty, and fits all.) At a
 * mark there is no session: a rotated one has its entry elsewhere.
 */
function isStale(id: string, found: Stored | Mark | null): boolean {
  return !(found instanceof Stored) || (id !== "" && id !== (found.id || NOBODY));
}

/** Of those that were created in the same ms, what stands later in the index is newer. */
function newestFirst(sessions: Stored[]): Stored[] {
  return sessions.reverse().sort((a, b) => b.created - a.created);
}
