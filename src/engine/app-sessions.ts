import { Moved } from "./codec.js";
import type { Connection } from "./connection.js";
import { type Entry, type Keys, ownerRange, parseEntry } from "./keys.js";
import * as operations from "./operations.js";
import type { Session } from "./types.js";

/** How many sessions one command may concern: lists never block Redis or the event loop. */
const CHUNK = 100;

/** How often a session can have been rotated while an old token still has grace; a longer chain is not followed. */
const MOST_MOVES = 16;

/** How long a wiper may take over a chunk that it has claimed, in ms. */
const LEASE = 30_000;

/** The sessions of one app, by ref. Takes checked input; the doors and the engine check. */
export class AppSessions {
  readonly #connection: Connection;
  readonly #keys: Keys;

  constructor(connection: Connection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  create(session: { ref: string; id: string; now: number; ttl: number; fields: (string | number)[] }): Promise<void> {
    return this.#connection.run(operations.create, this.#keys, session);
  }

  get(ref: string, touch: boolean): Promise<Session<unknown> | null> {
    return this.#follow(ref, (at, deadline) =>
      this.#connection.run(operations.get, this.#keys, { ref: at, now: Date.now(), touch }, deadline),
    );
  }

  set(ref: string, changes: { write: string[]; remove: string[] }): Promise<Session<unknown> | null> {
    return this.#follow(ref, (at, deadline) =>
      this.#connection.run(operations.set, this.#keys, { ref: at, now: Date.now(), ...changes }, deadline),
    );
  }

  async kill(ref: string): Promise<number> {
    const killed = await this.#follow(ref, (at, deadline) =>
      this.#connection.run(operations.kill, this.#keys, { ref: at }, deadline),
    );
    return killed ?? 0;
  }

  /** @param grace ms */
  rotate(ref: string, to: string, grace: number): Promise<boolean> {
    return this.#connection.run(operations.rotate, this.#keys, { ref, to, grace });
  }

  /**
   * Ends the sessions of a user until none is left but `spare`. When all entries were read at once and each was
   * ended, that is done: to wait for an empty index would take for ever where sessions are created all the time.
   * When fewer were ended, one was rotated meanwhile (or was gone), so it looks again.
   */
  async killUser(id: string, spare?: string): Promise<number> {
    let spared = spare;
    let killed = 0;
    for (;;) {
      const owned = await this.#owned(id, ownerRange(id).first, CHUNK + 1);
      const entries = owned.filter(({ ref }) => ref !== spared);
      if (entries.length === 0) return killed;
      const ended = await this.#connection.run(operations.killMany, this.#keys, { entries, spare: spared });
      if (ended < 0) {
        // Where it is now. One that has ended needs no sparing.
        spared = (await this.get(spared as string, false))?.ref;
        continue;
      }
      killed += ended;
      if (ended === entries.length && owned.length <= CHUNK) return killed;
    }
  }

  /** Ends the sessions of the app until none is left; as `killUser` does. */
  async killAll(): Promise<number> {
    let killed = 0;
    for (;;) {
      const entries = await this.#connection.run(operations.first, this.#keys, { limit: CHUNK });
      if (entries.length === 0) return killed;
      const ended = await this.#connection.run(operations.killMany, this.#keys, { entries, spare: undefined });
      killed += ended;
      if (ended === entries.length && entries.length < CHUNK) return killed;
    }
  }

  /** The sessions of a user, newest first. */
  async ofUser(id: string): Promise<Session<unknown>[]> {
    const sessions: Session<unknown>[] = [];
    let from = ownerRange(id).first;
    for (;;) {
      const entries = await this.#owned(id, from, CHUNK);
      sessions.push(...(await this.#read(entries)));
      const last = entries[CHUNK - 1];
      if (last === undefined) return sessions.sort((a, b) => b.created - a.created);
      from = `(${last.id}${last.ref}`;
    }
  }

  /** The sessions that were active since `since` (ms), most recently active first. */
  async active(since: number, offset: number, limit: number): Promise<Session<unknown>[]> {
    const sessions: Session<unknown>[] = [];
    const end = offset + limit;
    const refs = this.#recent(since);
    while (sessions.length < end) {
      const chunk = await take(refs, Math.min(CHUNK, end - sessions.length));
      if (chunk.length === 0) break;
      sessions.push(...(await this.#read(chunk.map((ref) => ({ id: "", ref })))));
    }
    return sessions.slice(offset, end);
  }

  /** How many users were active since `since` (ms). */
  countUsers(since: number): Promise<number> {
    return this.#connection.command((client) => client.zcount(this.#keys.users, since, "+inf"));
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

  /** Calls with `ref`, and again with the ref that the session was rotated to. One deadline spans it all. */
  async #follow<Result>(
    ref: string,
    call: (ref: string, deadline: number) => Promise<Result | Moved>,
  ): Promise<Result | null> {
    const deadline = this.#connection.deadline();
    let at = ref;
    for (let moves = 0; moves <= MOST_MOVES; moves++) {
      const result = await call(at, deadline);
      if (!(result instanceof Moved)) return result;
      at = result.to;
    }
    return null;
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
  async *#recent(since: number): AsyncGenerator<string, void> {
    let max = "+inf";
    let met = new Set<string>();
    for (;;) {
      const limit = CHUNK + met.size;
      const page = await this.#connection.run(operations.recent, this.#keys, { max, min: since, limit });
      for (let i = 0; i < page.length; i += 2) {
        const [ref, score] = [page[i] as string, page[i + 1] as string];
        if (score !== max) {
          max = score;
          met = new Set();
        }
        if (met.has(ref)) continue;
        met.add(ref);
        yield ref;
      }
      if (page.length < 2 * limit) return;
    }
  }

  /** Reads sessions that were met in the index, and drops the entries of those that are gone. */
  async #read(entries: readonly Entry[]): Promise<Session<unknown>[]> {
    if (entries.length === 0) return [];
    const refs = entries.map(({ ref }) => ref);
    const found = await this.#connection.run(operations.list, this.#keys, { refs, now: Date.now() });

    const gone = entries.filter((_, i) => found[i] === null);
    if (gone.length > 0) await this.#connection.run(operations.sweep, this.#keys, { entries: gone });

    const sessions = await Promise.all(found.map((one) => (one instanceof Moved ? this.get(one.to, false) : one)));
    return sessions.filter((session) => session !== null);
  }
}

async function take<Item>(items: AsyncGenerator<Item, void>, count: number): Promise<Item[]> {
  const taken: Item[] = [];
  while (taken.length < count) {
    const next = await items.next();
    if (next.done === true) break;
    taken.push(next.value);
  }
  return taken;
}
