import { isOutage, isOutOfMemory, tooManySessions } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import type { Limits } from "../types.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import type { Keys } from "./keys.js";
import { isLarge, LargeSessions, padNumbers } from "./large-sessions.js";
import * as operations from "./operations.js";
import { ahead } from "./paging.js";
import { SessionIndex } from "./session-index.js";
import { decode, StoredSession, Tombstone } from "./session-text.js";

/**
 * How many redirects in a row lead to a session, which was rotated as often within the grace of the first. With more there
 * is no session under that ref, nor where they lead in a circle, which somebody else has written then.
 */
const MAX_REDIRECTS = 100;

interface NewLimited extends operations.NewSession, operations.Limited {
  /** What happens when the user has as many sessions as they may have. */
  overflow: Limits["overflow"] | undefined;
}

/** The sessions of one app, by ref. Takes checked input; the doors and the engine check. */
export class AppSessions {
  readonly #connection: Connection;
  readonly #keys: Keys;
  readonly #large: LargeSessions;
  readonly #register: () => Promise<void> | undefined;
  /** Sign-ins that have to make room first, one by one for each user: at once each would end the other's session. */
  readonly #turns = new KeyedQueue();
  /** The same sessions, many at a time. */
  readonly index: SessionIndex;

  /** @param register makes the app known to the wipers; undefined when it is known */
  constructor(connection: Connection, keys: Keys, register: () => Promise<void> | undefined) {
    this.#connection = connection;
    this.#keys = keys;
    this.#large = new LargeSessions(connection, keys);
    this.#register = register;
    this.index = new SessionIndex(connection, keys, (ref) => this.get(ref, false));
  }

  /**
   * Creates a session. The script alone decides whether the user has room for it; when there is none, the oldest are
   * ended (or it is rejected), and it asks again: others may sign in at the same time.
   * @param deadline when it has to be over, where it is the second part of a call
   */
  async create(session: NewLimited, deadline?: number): Promise<void> {
    const last = deadline ?? this.#connection.deadline();
    if (
      await this.#withRelief(last, (at = deadline) => this.#connection.run(operations.create, this.#keys, session, at))
    )
      return;
    await this.#connection.within(last, () => this.#turns.run(session.id, () => this.#createInRoom(session, last)));
  }

  /**
   * Creates a session in the place of another, which ends before; but not where the new one is rejected. One deadline
   * spans it all.
   * @param tombstoneTtl ms
   */
  async createReplacing(old: string, session: NewLimited, tombstoneTtl: number): Promise<void> {
    const deadline = this.#connection.deadline();
    if (session.overflow === "reject") {
      const present = await this.#connection.within(deadline, () => this.get(old, false));
      this.#connection.assertInTime(deadline);
      if (present?.id !== session.id) {
        // It takes no room of this user's, so it can end when the new one is there.
        await this.create(session, deadline);
        await this.kill(old, tombstoneTtl);
        return;
      }
      await this.#connection.within(deadline, () => this.#assertRoomBeside(present.ref, session));
      this.#connection.assertInTime(deadline);
    }
    await this.kill(old, tombstoneTtl);
    await this.create(session, deadline);
  }

  /** @throws SessionError `tooManySessions` where a user has as many sessions as they may have, besides one of theirs */
  async #assertRoomBeside(own: string, { id, maxPerUser: most }: NewLimited): Promise<void> {
    if (most === undefined) return;
    let others = 0;
    for await (const found of this.index.livingOfUser(id)) {
      others += found.filter(({ ref }) => ref !== own).length;
      if (others >= most) throw tooManySessions(most);
    }
  }

  /**
   * Makes room for a session, and creates it.
   * @throws SessionError `timeout` rather than begin anything when it is too late
   */
  async #createInRoom(session: NewLimited, deadline: number): Promise<void> {
    const { id, maxPerUser: most = 0, overflow = "oldest" } = session;
    for (let created = false; !created; ) {
      this.#connection.assertInTime(deadline);
      // Looking also drops the entries of sessions that have expired, which the script has counted.
      for await (const surplus of ahead(this.index.surplusOfUser(id, most - 1), "before")) {
        if (surplus.length > 0 && overflow === "reject") throw tooManySessions(most);
        // What was ended before counts when the user tries again: with very many sessions one call may be too short.
        this.#connection.assertInTime(deadline);
        await this.index.kill(surplus);
        this.#connection.assertInTime(deadline);
      }
      created = await this.#connection.run(operations.create, this.#keys, session, deadline);
    }
  }

  /** Whether a session was ended under this ref a short while ago, by a call that left a mark. */
  async hasTombstone(ref: string): Promise<boolean> {
    // A mark, or nothing: this is asked when there is no session. (GETRANGE fails in ioredis-mock where there is no key.)
    const text = await this.#connection.command((client) => client.get(this.#keys.session(ref)));
    return decode(text, ref) instanceof Tombstone;
  }

  /**
   * @param touch whether to count the read and to prolong the session
   * @param gap ms after its last use that reading prolongs it again
   */
  get(ref: string, touch: boolean, gap = 1000): Promise<StoredSession | null> {
    const trace = touch ? gap : null;
    return this.#follow(ref, async (at, last, deadline) => {
      const found = await this.#connection.run(
        operations.get,
        this.#keys,
        { ref: at, now: Date.now(), gap: trace },
        deadline,
      );
      if (!(found instanceof operations.Large)) return found;
      const stored = await this.#large.read(at, last);
      return stored instanceof StoredSession ? (stored.withOwn(found.own) ?? null) : stored;
    });
  }

  /**
   * Makes a call only after a check of the session has passed. One deadline spans both. Null where there is no session,
   * and the call is not made.
   */
  ifSound<Result>(
    ref: string,
    check: (stored: StoredSession) => void,
    call: () => Promise<Result>,
  ): Promise<Result | null> {
    const deadline = this.#connection.deadline();
    return this.#connection.within(deadline, async () => {
      const stored = await this.get(ref, false);
      if (stored === null) return null;
      check(stored);
      this.#connection.assertInTime(deadline);
      return call();
    });
  }

  /** @throws SessionError `invalidValue` where the session's data would grow beyond `bounds` */
  set(ref: string, changes: string, bounds: operations.Bounds): Promise<StoredSession | null> {
    return this.#follow(ref, async (at, last, deadline) => {
      const now = Date.now();
      const input = { ref: at, now, changes, ...bounds };
      const written = await this.#connection.run(operations.set, this.#keys, input, deadline);
      if (written !== operations.TOO_MUCH) return written;
      return this.#large.change(at, changes, { now, id: "", ttl: "use" }, bounds, last);
    });
  }

  /**
   * Writes a session whole. Gives whether it was written.
   * @param session `staged` is the key of its text, where `prepare` has given one
   */
  replace(session: operations.Replacement): Promise<boolean> {
    return this.#withRelief(this.#connection.deadline(), (deadline) =>
      this.#connection.run(operations.replace, this.#keys, session, deadline),
    );
  }

  /** Writes a text that is too large for `replace` where that finds it, and gives the key; undefined for any other text. */
  prepare(text: string): Promise<string> | undefined {
    return isLarge(text) ? this.#large.stage(padNumbers(text), this.#connection.deadline()) : undefined;
  }

  /**
   * Changes a session that lives, whose it is (an empty id leaves that) and how long it may rest, in seconds (with an
   * empty id, null leaves that, too).
   * @throws SessionError `invalidValue` where the session's data would grow beyond `bounds`
   */
  async update(
    change: operations.Timed & operations.WithChanges & operations.Belonging & operations.Bounds,
  ): Promise<boolean> {
    const deadline = this.#connection.deadline();
    const written = await this.#connection.run(operations.update, this.#keys, change);
    if (written !== operations.TOO_MUCH) return written;
    const { ref, id, now, ttl, changes } = change;
    const changed = await this.#large.change(ref, changes, { now, id, ttl: ttl ?? "keep" }, change, deadline);
    return changed instanceof StoredSession;
  }

  /** @param tombstoneTtl ms that a mark keeps the session from coming back; see include/leave-mark.lua */
  async kill(ref: string, tombstoneTtl = 0): Promise<number> {
    const killed = await this.#follow(ref, (at, _last, deadline) =>
      this.#connection.run(operations.kill, this.#keys, { ref: at, tombstoneTtl }, deadline),
    );
    return killed ?? 0;
  }

  /**
   * @param grace ms that the old ref goes on working
   * @param tombstoneTtl ms that a mark is left there without grace
   */
  rotate(ref: string, to: string, grace: number, tombstoneTtl: number): Promise<boolean> {
    return this.#connection.run(operations.rotate, this.#keys, { ref, to, grace, tombstoneTtl });
  }

  /**
   * Makes the app known, where it is not, at the same time as a session is written: what is asked for next, such as the
   * session's end, shall not go before.
   */
  #alsoRegister<Result>(writing: Promise<Result>): Promise<Result> {
    const registering = this.#register();
    return registering === undefined ? writing : both(writing, registering);
  }

  /**
   * Writes a session, and registers the app. Where Redis is out of memory, nothing was written: then the index may be full
   * of sessions that were evicted, and the call is made again, by itself, as soon as some of those were dropped.
   * @param write is called without a deadline first
   */
  async #withRelief(deadline: number, write: (deadline?: number) => Promise<boolean>): Promise<boolean> {
    for (let again: number | undefined; ; again = deadline) {
      try {
        return await this.#alsoRegister(write(again));
      } catch (error) {
        if (!isOutOfMemory(error)) throw error;
        const relief = this.index.relieve();
        if (!(await this.#connection.within(deadline, () => relief))) throw error;
        this.#connection.assertInTime(deadline);
      }
    }
  }

  /**
   * OpenCalls with `ref`, and again with the ref that the session was rotated to, at most MAX_REDIRECTS times. One deadline
   * spans it all.
   */
  #follow<Result>(
    ref: string,
    call: (ref: string, last: number, deadline?: number) => Promise<Result | Tombstone>,
  ): Promise<Result | null> {
    const deadline = this.#connection.deadline();
    const met = new Set<string>();
    const arrive = (result: Result | Tombstone): Result | null | Promise<Result | null> => {
      if (!(result instanceof Tombstone)) return result;
      if (result.to === "" || result.to === ref || met.has(result.to) || met.size === MAX_REDIRECTS) return null;
      met.add(result.to);
      return call(result.to, deadline, deadline).then(arrive);
    };
    return call(ref, deadline).then(arrive);
  }
}

/**
 * What was written, when the app is registered, too. The registration may be an earlier call's and fail before this
 * call's time is over: a write that can still be sent must not be told `timeout`.
 */
async function both<Result>(writing: Promise<Result>, registering: Promise<void>): Promise<Result> {
  const [written, registered] = await Promise.allSettled([writing, registering]);
  if (written.status === "rejected") throw written.reason;
  // After an outage the next write registers the app.
  if (registered.status === "rejected" && !isOutage(registered.reason)) throw registered.reason;
  return written.value;
}
