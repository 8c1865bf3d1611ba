import { SessionError } from "../errors.js";
import { CHUNK } from "../redis/operation.js";
import { toNumber } from "../redis/reply.js";
import { BoundedMap } from "../util/bounded-map.js";
import type { AppConnection } from "./app-connection.js";
import type { AppRegistration } from "./app-registry.js";
import type { AppSessions } from "./app-sessions.js";
import { ANONYMOUS, type Entry } from "./keys.js";
import { isLarge, LargeSessions } from "./large-sessions.js";
import * as operations from "./operations.js";
import { chunks } from "./paging.js";
import type { Plan } from "./plan.js";
import { type SessionIndex, STEP_BYTES } from "./session-index.js";
import { parseTombstone, StoredSession } from "./session-text.js";
import { shardOf, shardOfUser } from "./shard.js";
import type { ShardedSessions } from "./sharded-sessions.js";
import { familyOf, refOf } from "./token.js";

/** The least TTL of the mark that something was moved, in ms. It must be longer than a move takes. */
const MARK_TTL = 60_000;

/** How many steps of a move may take as long as the timeout. */
const STEPS = 4;

/** What is stored under a ref. */
interface Found extends operations.Movable {
  readonly ref: string;
}

/**
 * Moves sessions from the former shards of an app to its new ones.
 *
 * No call changes a former shard any more, so what is there can be read, written in the new shard, and then removed, in that order.
 * Any process may repeat any of these steps at any time. If something is stored in the new shard, it is the later state. Writing it
 * there sets a mark, so that a process that is late does not bring back a session that has ended meanwhile.
 *
 * What leads to a session moves after it: a redirect after its target, the record of a family after its current session. So whoever
 * finds one of them in the new shard finds the session there, too.
 *
 * All methods that move something throw PlanIsOver once the move has ended.
 */
export class Mover {
  readonly #connection: AppConnection;
  readonly #from: ShardedSessions;
  readonly #to: ShardedSessions;
  readonly #registration: AppRegistration;
  readonly #plan: Plan;
  readonly #beforeRemoval: () => Promise<void>;
  /** Refs and names of families of which the former shards have nothing left. Nothing is ever added there. */
  readonly #cleared = new BoundedMap<true>();

  /** @param beforeRemoval is awaited when something was written in a new shard, before it is removed from the former one */
  constructor(
    connection: AppConnection,
    from: ShardedSessions,
    to: ShardedSessions,
    registration: AppRegistration,
    plan: Plan,
    beforeRemoval: () => Promise<void> = async () => {},
  ) {
    this.#connection = connection;
    this.#from = from;
    this.#to = to;
    this.#registration = registration;
    this.#plan = plan;
    this.#beforeRemoval = beforeRemoval;
  }

  /** Moves what a call on a session needs. Returns undefined if it was moved before. */
  ref(ref: string): Promise<void> | undefined {
    return this.#cleared.has(ref) ? undefined : this.#moveRef(ref);
  }

  /** Moves what a call by token needs: the session, to which earlier tokens may have led, and the record of these tokens. */
  token(token: string): Promise<void> | undefined {
    const [ref, family] = [refOf(token), familyOf(token)];
    if (this.#cleared.has(ref) && this.#cleared.has(family)) return undefined;
    return Promise.all([this.#moveRef(ref), this.moveFamily(this.#from.of(ref).keys.family(family), family)]).then(
      () => {},
    );
  }

  /** Moves all sessions of a user. */
  async user(id: string): Promise<void> {
    const { count } = this.#from;
    const isSpread = count > 1 && (await this.#registration.isSpread());
    const shards = isSpread ? this.#from.all() : [this.#from.at(shardOfUser(id, count))];
    const move = async ({ index }: AppSessions) => {
      for await (const page of index.existingOfUser(id)) await this.refs(page.map(({ ref }) => ref));
    };
    await Promise.all(shards.map(move));
  }

  /** Copies what may refuse the session of another package: bars, and the mark that it was imported before. */
  async bars(ref: string, id: string): Promise<void> {
    const [from, to] = [this.#from.of(ref).keys, this.#to.of(ref).keys];
    await Promise.all([
      this.copy(from.barred(id), [to.barred(id)]),
      this.copy(from.barred(ANONYMOUS), [to.barred(ANONYMOUS)]),
      this.copy(from.imported(ref), [to.imported(ref)]),
    ]);
  }

  /** Moves what is stored under refs: sessions, tombstones, redirects. Returns the refs that were found. */
  async refs(refs: readonly string[], visited: ReadonlySet<string> = new Set()): Promise<Set<string>> {
    const groups = grouped(refs, (ref) => shardOf(ref, this.#from.count));
    const moved = new Set<string>();
    const move = async (shard: number, group: readonly string[]) => {
      for (const chunk of chunks(group, CHUNK)) {
        for (const ref of await this.#moveChunk(this.#from.at(shard), chunk, visited)) moved.add(ref);
      }
    };
    await Promise.all([...groups].map(([shard, group]) => move(shard, group)));
    return moved;
  }

  /** Moves the record of a family, after what it leads to. Returns whether there was one. */
  async moveFamily(key: string, name: string): Promise<boolean> {
    const record = await this.#connection.command((client) => client.get(key));
    if (record !== null) {
      const [current = "", before] = record.split(" ");
      await Promise.all([current, ...(before === undefined ? [] : [before])].map((ref) => this.#moveRef(ref)));
      await this.move(key, [this.#to.of(current).keys.family(name)]);
    }
    this.#cleared.set(name, true);
    return record !== null;
  }

  /** Copies a text to other keys, unless they exist, and then removes it. Returns whether there was one. */
  async move(from: string, to: readonly string[]): Promise<boolean> {
    const found = await this.copy(from, to);
    if (found) {
      await this.#beforeRemoval();
      await this.#connection.command((client) => client.del(from));
    }
    return found;
  }

  /** Copies a text to other keys, unless they exist. Returns whether there was one. */
  async copy(from: string, to: readonly string[]): Promise<boolean> {
    await this.#plan.assertInForce();
    const deadline = this.#connection.deadline();
    const [text, ttl] = await Promise.all([
      this.#connection.command((client) => client.get(from), deadline),
      this.#connection.command((client) => client.pttl(from), deadline),
    ]);
    const left = toNumber(ttl);
    if (text === null || left === -2) return false;
    const { keys } = this.#to.at(0);
    const put = (key: string) =>
      this.#connection.run(operations.putAbsent, keys, { key, text, ttl: left === 0 ? 1 : left }, deadline);
    await Promise.all(to.map(put));
    return true;
  }

  /** Moves a text that was staged in a former shard, for a session that is written now. Returns its new key. */
  async staged(ref: string, key: string): Promise<string> {
    const { keys } = this.#to.of(ref);
    if (key.startsWith(keys.base)) return key;
    const deadline = this.#connection.deadline();
    const text = await new LargeSessions(this.#connection, this.#from.of(ref).keys).readKey(key, deadline);
    if (text === null)
      throw new SessionError("timeout", "The app has moved to other shards, and the call took too long");
    return new LargeSessions(this.#connection, keys).stage(text, deadline);
  }

  /** Removes index entries of a former shard whose sessions were not found there: they have expired, or another process has moved them. */
  async drop(index: SessionIndex, entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      await this.#plan.assertInForce();
      const { keys } = this.#to.of(entry.ref);
      const places = [keys.session(entry.ref), keys.moved(entry.ref)];
      const isMoved = toNumber(await this.#connection.command((client) => client.exists(...places))) > 0;
      // To drop the entry of an expired session announces its end.
      if (!isMoved) await index.drop([entry]);
      else await this.#connection.run(operations.moveOut, this.#from.of(entry.ref).keys, { entries: [entry] });
    }
  }

  async #moveRef(ref: string): Promise<void> {
    if (this.#cleared.has(ref)) return;
    const [from, to] = [this.#from.of(ref).keys, this.#to.of(ref).keys];
    await Promise.all([this.refs([ref]), this.move(from.rotated(ref), [to.rotated(ref)])]);
    this.#cleared.set(ref, true);
  }

  async #moveChunk(from: AppSessions, refs: readonly string[], visited: ReadonlySet<string>): Promise<string[]> {
    const moved: string[] = [];
    for (let at = 0; at < refs.length; ) {
      await this.#plan.assertInForce();
      const deadline = this.#connection.deadline();
      const input = { refs: refs.slice(at), bytes: STEP_BYTES };
      const replies = await this.#connection.run(operations.readToMove, from.keys, input);
      const found = replies.flatMap((one, i) => (one === undefined ? [] : [{ ...one, ref: refs[at + i] as string }]));
      if (found.length > 0) await this.#moveFound(from, found, visited, deadline);
      moved.push(...found.map(({ ref }) => ref));
      at += replies.length;
    }
    return moved;
  }

  async #moveFound(
    from: AppSessions,
    found: readonly Found[],
    visited: ReadonlySet<string>,
    deadline: number,
  ): Promise<void> {
    const seen = new Set([...visited, ...found.map(({ ref }) => ref)]);
    const targets = found.map(({ text }) => parseTombstone(text)?.redirect ?? "");
    const unseen = targets.filter((ref) => ref !== "" && !seen.has(ref));
    if (unseen.length > 0) await this.refs(unseen, seen);
    this.#connection.assertInTime(deadline);
    const groups = grouped(found, ({ ref }) => shardOf(ref, this.#to.count));
    await Promise.all([...groups].map(([shard, group]) => this.#moveIn(from, this.#to.at(shard), group, deadline)));
    await this.#beforeRemoval();
    this.#connection.assertInTime(deadline);
    await this.#connection.run(operations.moveOut, from.keys, { entries: found.map(entryOf) });
  }

  /** Writes what was found in one of the new shards. */
  async #moveIn(from: AppSessions, to: AppSessions, found: readonly Found[], deadline: number): Promise<void> {
    const sessions: operations.MovedIn[] = [];
    for (const { ref, text, ttl: left, scores } of found) {
      const ttl = left === 0 ? 1 : left;
      if (!isLarge(text)) {
        sessions.push({ ref, text, ttl, scores, staged: undefined });
        continue;
      }
      const whole = await new LargeSessions(this.#connection, from.keys).readText(ref, deadline);
      // It has expired.
      if (whole === null) continue;
      const staged = await new LargeSessions(this.#connection, to.keys).stageMoved(whole, deadline);
      sessions.push({ ref, text: "", ttl, scores, staged });
    }
    this.#connection.assertInTime(deadline);
    const timeout = this.#connection.deadline() - performance.now();
    const markTtl = Math.round(MARK_TTL + STEPS * timeout);
    if (sessions.length > 0) await this.#connection.run(operations.moveIn, to.keys, { sessions, markTtl });
  }
}

/** The index entry of what is stored under a ref. Its id is empty for a tombstone, which has none. */
function entryOf({ ref, text }: Found): Entry {
  const stored = parseTombstone(text) === undefined ? StoredSession.parse(text, ref) : undefined;
  return { ref, id: stored === undefined ? "" : stored.id || ANONYMOUS };
}

function grouped<Item>(items: readonly Item[], shardOfItem: (item: Item) => number): Map<number, Item[]> {
  const groups = new Map<number, Item[]>();
  for (const item of items) {
    const shard = shardOfItem(item);
    const group = groups.get(shard);
    if (group === undefined) groups.set(shard, [item]);
    else group.push(item);
  }
  return groups;
}
