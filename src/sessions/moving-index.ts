import { type ActiveSource, activePages, collect } from "./active-pages.js";
import type { Mover } from "./mover.js";
import type { ActiveRef } from "./operations.js";
import type { PageOptions, Part } from "./paging.js";
import { type HeaderPage, MAX_READS } from "./session-index.js";
import type { StoredSession } from "./session-text.js";
import type { IndexArgs, SessionLists } from "./sessions.js";
import { countOnce, pageOf, type ShardedIndex, sum } from "./sharded-index.js";

/**
 * Lists, counts and ends the sessions of an app that moves to another number of shards.
 *
 * A session is written in the new shard before it is removed from the former one. So a list asks the former shards first, and then the
 * new ones: no session is missed, but some may be found twice. What a list shows is moved before it is read.
 */
export class MovingIndex implements SessionLists {
  readonly #mover: Mover;
  readonly #from: ShardedIndex;
  readonly #to: ShardedIndex;

  constructor(mover: Mover, from: ShardedIndex, to: ShardedIndex) {
    this.#mover = mover;
    this.#from = from;
    this.#to = to;
  }

  active(since: number, part: Part): Promise<StoredSession[]> {
    return collect(this.activePages(since, part), part.bytes);
  }

  activePages(
    since: number,
    part: Part = { offset: 0, limit: Number.POSITIVE_INFINITY },
  ): AsyncGenerator<StoredSession[], void> {
    const { countExisting, read } = this.#to.activeSource(since);
    const source: ActiveSource = {
      refs: (size) => this.#activeRefs(since, size),
      countExisting: async (refs) => {
        await this.#mover.refs(refs);
        return countExisting(refs);
      },
      read: (refs) => this.#read(refs, read),
    };
    return activePages(source, part);
  }

  async activeHeaders(cursor: string, limit: number): Promise<HeaderPage> {
    const sessions: StoredSession[] = [];
    let next = cursor;
    for (let reads = 0; reads < MAX_READS && sessions.length < limit; reads++) {
      const missing = limit - sessions.length;
      const page = pageOf(await this.#activeRefsFrom({ cursor: next, limit: missing }, 0), missing);
      await this.#mover.refs(page.refs);
      sessions.push(...(await this.#to.headersOf(page.refs)));
      if (page.next === undefined) return { sessions, next: undefined };
      next = page.next;
    }
    return { sessions, next };
  }

  async announceLegacy(...args: IndexArgs<"announceLegacy">): Promise<void> {
    await this.#to.announceLegacy(...args);
  }

  async count(): Promise<number> {
    return (await this.refs()).length;
  }

  /** A session that moves at this moment may be counted twice. */
  async countSessions(since: number): Promise<number> {
    return (await this.#from.countSessions(since)) + (await this.#to.countSessions(since));
  }

  async countUsers(since: number): Promise<number> {
    const indexes = [...this.#from.all(), ...this.#to.all()];
    return countOnce(indexes, since, await sum(indexes.map((index) => index.countUsers(since))));
  }

  async header(ref: string): Promise<StoredSession | null> {
    await this.#mover.ref(ref);
    return this.#to.header(ref);
  }

  async headersOfUser(...args: IndexArgs<"headersOfUser">) {
    await this.#mover.user(args[0]);
    return this.#to.headersOfUser(...args);
  }

  async isEmpty(): Promise<boolean> {
    return (await this.#from.isEmpty()) && (await this.#to.isEmpty());
  }

  async killAll(...args: IndexArgs<"killAll">): Promise<number> {
    await this.moveListed();
    return this.#to.killAll(...args);
  }

  async killUser(...args: IndexArgs<"killUser">): Promise<number> {
    const [id, except] = args;
    if (except !== undefined) await this.#mover.ref(except);
    await this.#mover.user(id);
    return this.#to.killUser(...args);
  }

  async ofUser(...args: IndexArgs<"ofUser">): Promise<StoredSession[]> {
    await this.#mover.user(args[0]);
    return this.#to.ofUser(...args);
  }

  async *pages(): AsyncGenerator<StoredSession[], void> {
    await this.moveListed();
    yield* this.#to.pages();
  }

  async reach(deadline: number): Promise<void> {
    await Promise.all([this.#from.reach(deadline), this.#to.reach(deadline)]);
  }

  async refs(): Promise<string[]> {
    const former = await this.#from.refs();
    return [...new Set([...former, ...(await this.#to.refs())])];
  }

  async wipe(): Promise<number> {
    return (await this.#from.wipe()) + (await this.#to.wipe());
  }

  async wipeExpired(): Promise<void> {
    await Promise.all([this.#from.wipeExpired(), this.#to.wipeExpired()]);
  }

  /**
   * Moves all sessions in the indexes of the former shards, and removes the entries of expired ones.
   * @param onPage is called with the number of sessions that were moved, and returns whether to go on
   */
  async moveListed(onPage: (moved: number) => boolean = () => true): Promise<void> {
    for (const index of this.#from.all()) {
      for await (const entries of index.entries()) {
        const moved = await this.#mover.refs(entries.map(({ ref }) => ref));
        await this.#mover.drop(
          index,
          entries.filter(({ ref }) => !moved.has(ref)),
        );
        if (!onPage(moved.size)) return;
      }
    }
  }

  async *#activeRefs(since: number, limit: number): AsyncGenerator<string[], void> {
    for (let cursor = ""; ; ) {
      const page = pageOf(await this.#activeRefsFrom({ cursor, limit }, since), limit);
      if (page.refs.length > 0) yield page.refs;
      if (page.next === undefined) return;
      cursor = page.next;
    }
  }

  async #activeRefsFrom(page: PageOptions, since: number): Promise<ActiveRef[]> {
    const former = await this.#from.activeRefsFrom(page, since);
    return [...former, ...(await this.#to.activeRefsFrom(page, since))];
  }

  async *#read(refs: readonly string[], read: ActiveSource["read"]): AsyncGenerator<StoredSession[], void> {
    await this.#mover.refs(refs);
    yield* read(refs);
  }
}
