import { Moved, type Stored } from "./codec.js";
import type { Connection } from "./connection.js";
import { type Entry, type Keys, ownerRange, parseEntry } from "./keys.js";
import * as operations from "./operations.js";
import { CHUNK, take, walk } from "./walk.js";

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
    for (let i = 0; i < entries.length; i += CHUNK) {
      const chunk = entries.slice(i, i + CHUNK);
      await this.#connection.run(operations.killMany, this.#keys, { entries: chunk, spare: undefined, grave: 0 });
    }
  }

  /**
   * Ends the sessions of a user until none is left but `spare`. When all entries were read at once and each was
   * ended, that is done: to wait for an empty index would take for ever where sessions are created all the time.
   * When fewer were ended, one was rotated meanwhile (or was gone), so it looks again.
   */
  async killUser(id: string, spare?: string, grave = 0): Promise<number> {
    let spared = spare;
    let killed = 0;
    for (;;) {
      const owned = await this.#owned(id, ownerRange(id).first, CHUNK + 1);
      const entries = owned.filter(({ ref }) => ref !== spared);
      if (entries.length === 0) return killed;
      const ended = await this.#connection.run(operations.killMany, this.#keys, { entries, spare: spared, grave });
      if (ended < 0) {
        // Where it is now. One that has ended needs no sparing.
        spared = (await this.#find(spared as string))?.ref;
        continue;
      }
      killed += ended;
      if (ended === entries.length && owned.length <= CHUNK) return killed;
    }
  }

  /** Ends the sessions of the app until none is left; as `killUser` does. */
  async killAll(grave = 0): Promise<number> {
    let killed = 0;
    for (;;) {
      const entries = (await take(this.#queue(), CHUNK)).map(parseEntry);
      if (entries.length === 0) return killed;
      const ended = await this.#connection.run(operations.killMany, this.#keys, { entries, spare: undefined, grave });
      killed += ended;
      if (ended === entries.length && entries.length < CHUNK) return killed;
    }
  }

  /** The sessions of a user, newest first. */
  async ofUser(id: string): Promise<Stored[]> {
    const sessions: Stored[] = [];
    let from = ownerRange(id).first;
    for (;;) {
      // One more than is read, to know whether there are more.
      const entries = await this.#owned(id, from, CHUNK + 1);
      const next = entries[CHUNK];
      // One that was given to another user since the index was read is not theirs any more.
      const read = await this.#read(entries.slice(0, CHUNK));
      sessions.push(...read.filter((session) => session.own("id") === id));
      if (next === undefined) return newestFirst(sessions);
      from = `[${next.id}${next.ref}`;
    }
  }

  /** The sessions that were active since `since` (ms), most recently active first. */
  async active(since: number, offset: number, limit: number): Promise<Stored[]> {
    const sessions: Stored[] = [];
    for await (const chunk of this.activeChunks(since, offset + limit)) sessions.push(...chunk);
    return sessions.slice(offset, offset + limit);
  }

  /** The same, in chunks: as many sessions as there are, or `most`. */
  async *activeChunks(since: number, most = Number.POSITIVE_INFINITY): AsyncGenerator<Stored[], void> {
    const refs = this.#recent(since);
    for (let left = most; left > 0; ) {
      const met = await take(refs, Math.min(CHUNK, left));
      if (met.length === 0) return;
      const sessions = await this.#read(met.map((ref) => ({ id: "", ref })));
      left -= sessions.length;
      yield sessions;
    }
  }

  /** How many users were active since `since` (ms). */
  async countUsers(since: number): Promise<number> {
    return Number(await this.#connection.command((client) => client.zcount(this.#keys.users, since, "+inf")));
  }

  /** All sessions, those that end first first. */
  async *all(): AsyncGenerator<Stored, void> {
    const members = this.#queue();
    for (;;) {
      const chunk = await take(members, CHUNK);
      if (chunk.length === 0) return;
      yield* await this.#read(chunk.map(parseEntry));
    }
  }

  /** How many sessions there are. What stands in the queue after the wiper's visit has not ended. */
  async count(): Promise<number> {
    await this.wipe();
    return Number(await this.#connection.command((client) => client.zcard(this.#keys.expiry)));
  }

  /** The refs of all sessions. */
  async refs(): Promise<string[]> {
    await this.wipe();
    const refs = new Set<string>();
    for await (const member of this.#queue()) refs.add(parseEntry(member).ref);
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

  async #owned(id: string, from: string, limit: number): Promise<Entry[]> {
    const members = await this.#connection.command((client) =>
      client.zrangebylex(this.#keys.owners, from, ownerRange(id).last, "LIMIT", 0, limit),
    );
    return members.map(parseEntry);
  }

  /**
   * The refs in `active` since `since`, latest first. Pages go on at the millisecond where the last one ended and
   * pass over what was met there by name: a count would be wrong as soon as one of them is dropped or used.
   */
  #recent(since: number): AsyncGenerator<string, void> {
    return walk("+inf", (max, limit) =>
      this.#connection.run(operations.recent, this.#keys, { max, min: since, limit }),
    );
  }

  /** The members of `expiry`, earliest first. One that is put off meanwhile comes again. */
  #queue(): AsyncGenerator<string, void> {
    return walk("-inf", (min, limit) => this.#connection.run(operations.queue, this.#keys, { min, limit }));
  }

  /** Reads sessions that were met in the index, and drops the entries of those that are gone. */
  async #read(entries: readonly Entry[]): Promise<Stored[]> {
    if (entries.length === 0) return [];
    const refs = entries.map(({ ref }) => ref);
    const found = await this.#connection.run(operations.list, this.#keys, { refs });

    const gone = entries.filter((_, i) => found[i] === null);
    if (gone.length > 0) await this.#connection.run(operations.sweep, this.#keys, { entries: gone });

    const sessions = await Promise.all(found.map((one) => (one instanceof Moved ? this.#find(one.to) : one)));
    return sessions.filter((session) => session !== null);
  }
}

function newestFirst(sessions: Stored[]): Stored[] {
  return sessions
    .map((session) => ({ session, created: Number(session.own("created")) }))
    .sort((a, b) => b.created - a.created)
    .map(({ session }) => session);
}
