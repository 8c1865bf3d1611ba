import { isOutage, isOutOfMemory, SessionError, tooManySessions } from "../errors.js";
import { noteCached } from "../redis/call-trace.js";
import type { Connection } from "../redis/connection.js";
import { toList, toNumber } from "../redis/reply.js";
import type { Created, Incremented, Limits } from "../types.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import { endOfRound } from "../util/real-timers.js";
import { type AppConnection, WatchedConnection } from "./app-connection.js";
import type { AppRegistration } from "./app-registry.js";
import { Absence, type ByToken, Families, LATE_REQUESTS } from "./families.js";
import { ANONYMOUS, type Keys, tombstoneTtlOf } from "./keys.js";
import { incremented, isLarge, LargeSessions } from "./large-sessions.js";
import type { NearCache } from "./near-cache.js";
import * as operations from "./operations.js";
import { prefetch } from "./paging.js";
import { SessionIndex } from "./session-index.js";
import { decode, padNumbers, StoredSession, Tombstone } from "./session-text.js";
import { createSalt, createSuccessor, familyOf, refOf } from "./token.js";

/** The maximum number of redirects that a call follows. A session must be rotated this often within the grace to exceed it. */
const MAX_REDIRECTS = 100;

/** How long after its reading a session of another package may be written, in ms. Longer than these steps take. */
const LATE_IMPORT = 60_000;

interface WithOverflow {
  /** What happens if the user already has the maximum number of sessions. */
  overflow?: Limits["overflow"] | undefined;
}

interface LimitedSession extends operations.NewSession, operations.WithLimits, WithOverflow {}

/** A user who has the maximum number of sessions. */
type FullUser = Pick<LimitedSession, "id" | "maxPerUser" | "overflow">;

/** Reads and changes single sessions of one app by ref. The engine and the adapters must have validated the input. */
export class AppSessions {
  readonly #connection: AppConnection;
  readonly #cache: NearCache | undefined;
  readonly #keys: Keys;
  readonly #large: LargeSessions;
  readonly #families: Families;
  readonly #registration: AppRegistration;
  readonly #prepare: () => Promise<void> | undefined;
  /** Logins that must end older sessions first, by user. Concurrent ones would end each other's new session. */
  readonly #queue = new KeyedQueue();
  /** Lists, counts and ends many sessions at once. */
  readonly index: SessionIndex;

  /**
   * @param prepare is called before a session is created; returns undefined if there is nothing to wait for
   * @param cache undefined without cachetime
   */
  constructor(
    connection: Connection,
    keys: Keys,
    registration: AppRegistration,
    prepare: () => Promise<void> | undefined,
    cache?: NearCache,
  ) {
    const watched = cache === undefined ? connection : new WatchedConnection(connection, cache.write);
    this.#connection = watched;
    this.#keys = keys;
    this.#large = new LargeSessions(watched, keys);
    this.#families = new Families(watched, keys);
    this.#registration = registration;
    this.#prepare = prepare;
    this.#cache = cache;
    this.index = new SessionIndex(watched, keys, registration, (ref) => this.get(ref, false));
  }

  /**
   * Creates a session. The script decides whether the user has reached the maximum number of sessions. If so, others are
   * ended and the script runs again, because others may log in at the same time.
   * @param deadline the deadline of the whole call, if this is its second part
   * @throws SessionError `tooManySessions` if the maximum is reached and `overflow` is "reject"
   */
  create(session: LimitedSession, deadline?: number): Promise<void> {
    const callDeadline = deadline ?? this.#connection.deadline();
    const create = (at: number | undefined) => this.#connection.run(operations.create, this.#keys, session, at);
    return this.#writeRegistered(callDeadline, false, (at = deadline) => create(at)).then((isCreated) => {
      if (isCreated) return undefined;
      return this.#repeatWithRoom(session, callDeadline, async () =>
        (await create(callDeadline)) ? undefined : operations.FULL,
      );
    });
  }

  /**
   * Ends the session of a token and creates another one in its place. If the new session is rejected, the old one is kept. The
   * whole call has one deadline.
   * @param tombstoneTtl ms
   * @param mayReplace throws if the old session must not be replaced by this one
   * @param from the sessions of the shard that has the old session
   */
  async createReplacing(
    token: string,
    session: LimitedSession,
    tombstoneTtl: number,
    mayReplace?: (old: StoredSession) => void,
    from: AppSessions = this,
  ): Promise<void> {
    const old = refOf(token);
    const deadline = this.#connection.deadline();
    if (mayReplace !== undefined) {
      const present = await this.#connection.within(deadline, () => from.find(token, false));
      this.#connection.assertInTime(deadline);
      if (present instanceof StoredSession) mayReplace(present);
    }
    if (session.overflow === "reject") {
      const present = await this.#connection.within(deadline, () => from.find(token, false));
      this.#connection.assertInTime(deadline);
      if (!(present instanceof StoredSession) || present.id !== session.id) {
        // The old session does not count for this user, so it can be ended after the new one is created.
        await this.create(session, deadline);
        await from.kill(old, tombstoneTtl, token, "replaced");
        return;
      }
      await this.#connection.within(deadline, () => this.#assertRoomWithout(present.ref, session));
      this.#connection.assertInTime(deadline);
    }
    await from.kill(old, tombstoneTtl, token, "replaced");
    await this.create(session, deadline);
  }

  /** @throws SessionError `tooManySessions` if a user has the maximum number of sessions without counting `replaced` */
  async #assertRoomWithout(replaced: string, { id, maxPerUser }: LimitedSession): Promise<void> {
    if (maxPerUser === undefined) return;
    let others = 0;
    for await (const found of this.index.existingOfUser(id)) {
      others += found.filter(({ ref }) => ref !== replaced).length;
      if (others >= maxPerUser) throw tooManySessions(maxPerUser);
    }
  }

  /**
   * Ends sessions of a user, and repeats a call that gives the user another one, until there is room for it.
   * @param call returns FULL if there is no room
   * @throws SessionError `tooManySessions` if `overflow` is "reject"; `timeout` before each step if the deadline has passed
   */
  #repeatWithRoom<Result>(
    user: FullUser,
    deadline: number,
    call: () => Promise<Result | typeof operations.FULL>,
  ): Promise<Result> {
    const repeat = async (): Promise<Result> => {
      for (;;) {
        await this.#makeRoom(user, deadline);
        const result = await call();
        if (result !== operations.FULL) return result;
      }
    };
    return this.#connection.within(deadline, () => this.#queue.run(user.id, repeat));
  }

  /** Ends the user's oldest or least recently used sessions, so that there is room for one. */
  async #makeRoom({ id, maxPerUser = 0, overflow = "oldest" }: FullUser, deadline: number): Promise<void> {
    const by = overflow === "idle" ? "la" : "created";
    this.#connection.assertInTime(deadline);
    // surplusOfUser() also removes the entries of expired sessions, which the script has counted.
    for await (const surplus of prefetch(this.index.surplusOfUser(id, maxPerUser - 1, by), "before")) {
      if (surplus.length > 0 && overflow === "reject") throw tooManySessions(maxPerUser);
      // With very many sessions one call may be too short. A second attempt goes on from the sessions that are left.
      this.#connection.assertInTime(deadline);
      await this.index.kill(surplus, "limit");
      this.#connection.assertInTime(deadline);
    }
  }

  /** Returns whether the session of a ref was replaced, or its token rotated, a short time ago. Ask only if it has no session. */
  async isRecentlyGone(ref: string): Promise<boolean> {
    const keys = [this.#keys.session(ref), this.#keys.rotated(ref)];
    const [text = null, mark] = toList(await this.#connection.command((client) => client.mget(...keys)));
    const tombstone = decode(text, ref);
    return mark !== null || (tombstone instanceof Tombstone && tombstone.reason === undefined);
  }

  /**
   * Reads the session of a token that a client has sent, as `get` does. If the token was rotated before, its family decides what
   * happens: the session may end because of it.
   */
  find(token: string, touch: boolean, origin?: string): Promise<StoredSession | Absence | null> {
    return this.#get(refOf(token), touch, 1000, origin, token, this.#families.use(touch));
  }

  /**
   * As `find`, but may answer from the near cache, at the end of the event loop's round. Requests that arrive together then go on
   * together, as with a reply of Redis. Node would need a fifth more processor time if each went on alone.
   */
  findCached(token: string, touch: boolean, origin?: string): Promise<StoredSession | Absence | null> {
    const cached = this.takeCached(refOf(token), touch, origin);
    return cached === undefined ? this.find(token, touch, origin) : endOfRound().then(() => cached);
  }

  /** Returns the ref of a token's session, whose token may have been rotated; the token's own ref if there is no session. */
  async currentRef(token: string): Promise<string> {
    const found = await this.find(token, false);
    return found instanceof StoredSession ? found.ref : refOf(token);
  }

  /**
   * Reads a session. Returns null if it does not exist.
   * @param touch whether to count the read and to touch the session
   * @param touchInterval ms after the last use, after which the session is touched again
   * @param origin where the session is used, in the form of encodeOrigin(), to record it if it is touched
   */
  get(ref: string, touch: boolean, touchInterval = 1000, origin?: string): Promise<StoredSession | null> {
    return this.#get<null>(ref, touch, touchInterval, origin);
  }

  /** As `get`, but may answer from the near cache, as `findCached` does. */
  getCached(ref: string, touch: boolean, touchInterval?: number, origin?: string): Promise<StoredSession | null> {
    const cached = this.takeCached(ref, touch, origin);
    return cached === undefined ? this.get(ref, touch, touchInterval, origin) : endOfRound().then(() => cached);
  }

  /** Returns a session of the near cache. Returns undefined if Redis must be asked. */
  takeCached(ref: string, touch: boolean, origin?: string): StoredSession | undefined {
    if (this.#cache === undefined) return undefined;
    const cached = this.#cache.take(this.#keys.app, ref, touch, origin);
    if (cached === undefined) this.#cache.noteMiss();
    else noteCached();
    return cached;
  }

  #get<Absent>(
    ref: string,
    touch: boolean,
    touchInterval: number,
    origin: string | undefined,
    token?: string,
    byToken?: ByToken<Absent>,
  ): Promise<StoredSession | Absent | null> {
    const interval = touch ? touchInterval : null;
    return this.#follow(
      ref,
      (at, deadline) => {
        const input = { ref: at, now: Date.now(), touchInterval: interval, origin };
        if (this.#cache === undefined) return this.#connection.run(operations.get, this.#keys, input, deadline);
        return this.#cache.read(this.#keys, input, (one) =>
          this.#connection.run(operations.get, this.#keys, one, deadline),
        );
      },
      this.#completed,
      token,
      byToken,
    );
  }

  /** Returns the session of a reply. Returns a promise only if the session is large: then its text must be read. */
  readonly #completed = <Found>(
    found: Found | operations.LargeSession,
    ref: string,
    deadline: number,
  ): Found | Promise<StoredSession | Tombstone | null> =>
    found instanceof operations.LargeSession ? this.#readLarge(found, ref, deadline) : found;

  /** Reads the text of a session, of which a script has returned the header only. */
  async #readLarge(
    found: operations.LargeSession,
    ref: string,
    deadline: number,
  ): Promise<StoredSession | Tombstone | null> {
    const stored = await this.#large.read(ref, deadline);
    if (!(stored instanceof StoredSession)) return stored;
    return operations.touchedIfDue(stored.withHeader(found.header) ?? null, found.now, found.touchInterval);
  }

  /**
   * Checks a session, which may throw, and then makes a call. Both have one deadline. Returns null, without making the call, if
   * there is no session.
   */
  ifCheckPasses<Result>(
    ref: string,
    check: (stored: StoredSession) => void,
    call: () => Promise<Result>,
    token?: string,
  ): Promise<Result | null> {
    const deadline = this.#connection.deadline();
    return this.#connection.within(deadline, async () => {
      const stored = await (token === undefined ? this.get(ref, false) : this.find(token, false));
      if (!(stored instanceof StoredSession)) return null;
      check(stored);
      this.#connection.assertInTime(deadline);
      return call();
    });
  }

  /**
   * Records that the session's user was authenticated now. Returns the session, or null if it does not exist.
   * @param token the session's token if a client has sent it
   */
  confirm(ref: string, token?: string): Promise<StoredSession | Absence | null> {
    return this.#changeHeader(ref, token, this.#families.use(false), (at, deadline) =>
      this.#connection.run(operations.confirm, this.#keys, { ref: at, now: Date.now() }, deadline),
    );
  }

  /**
   * Touches a session without counting a read, and changes its ttl. Returns null if it does not exist.
   * @param ttl seconds; undefined to keep the ttl
   * @param token the session's token if a client has sent it
   */
  touch(ref: string, ttl: number | undefined, token?: string): Promise<StoredSession | Absence | null> {
    return this.#changeHeader(ref, token, this.#families.use(true), (at, deadline) =>
      this.#connection.run(operations.touch, this.#keys, { ref: at, now: Date.now(), ttl }, deadline),
    );
  }

  /** Makes a call that changes a session's header in place. If that of a large session has no room, makes some and repeats it. */
  #changeHeader(
    ref: string,
    token: string | undefined,
    byToken: ByToken<Absence>,
    call: (
      ref: string,
      deadline?: number,
    ) => Promise<StoredSession | Tombstone | operations.LargeSession | typeof operations.TOO_MUCH | null>,
  ): Promise<StoredSession | Absence | null> {
    const complete: Complete<Awaited<ReturnType<typeof call>>, StoredSession | null> = async (
      changed,
      at,
      deadline,
    ) => {
      if (changed !== operations.TOO_MUCH) return this.#completed(changed, at, deadline);
      await this.#large.makeRoom(at, deadline);
      const again = await call(at, deadline);
      if (again === operations.TOO_MUCH) throw new SessionError("redisError", "The session's flags are too long");
      return this.#completed(again, at, deadline);
    };
    return this.#follow(ref, call, complete, token, byToken);
  }

  /**
   * Merges changes into a session's data and counts the write. Returns null if it does not exist.
   * @param touch whether the write is a use of the session, which touches it
   * @param token the session's token if a client has sent it
   * @throws SessionError `invalidValue` if the session's data would exceed `bounds`
   */
  set(
    ref: string,
    changes: string,
    bounds: operations.Bounds,
    touch: boolean,
    token?: string,
  ): Promise<StoredSession | Absence | null> {
    const now = Date.now();
    const { maxBytes, maxKeys } = bounds;
    const changeLarge = (at: string, deadline: number) =>
      this.#large.change(at, changes, { now, id: "", ttl: touch ? "use" : "keep" }, bounds, deadline);
    return this.#follow(
      ref,
      (at, deadline) => {
        if (this.#large.mustChange(at, changes)) return changeLarge(at, deadline ?? this.#connection.deadline());
        const input = { ref: at, now, touch, changes, maxBytes, maxKeys };
        return this.#connection.run(operations.set, this.#keys, input, deadline);
      },
      (written, at, deadline) => (written === operations.TOO_MUCH ? changeLarge(at, deadline) : written),
      token,
      this.#families.use(touch),
    );
  }

  /**
   * Merges changes into all sessions of a user and counts the writes, without touching the sessions. Returns how many were changed.
   * @param ofStore whether to change the sessions of a RedisStore, or those of the engine
   * @throws SessionError if a session could not be changed, such as `invalidValue` if its data would exceed `bounds`. All others are
   * changed first, except during an outage
   */
  async setAll(id: string, changes: string, bounds: operations.Bounds, ofStore = false): Promise<number> {
    const failures: unknown[] = [];
    const set = async (ref: string) => {
      try {
        return (await this.update({ ref, id: "", now: Date.now(), ttl: null, changes, ...bounds })) !== null;
      } catch (error) {
        if (isOutage(error)) throw error;
        failures.push(error);
        return true;
      }
    };
    const changed = await this.index.changeUser(id, ofStore, set);
    if (failures.length > 0) throw failures[0];
    return changed;
  }

  /**
   * Adds to an integer in a session's data and counts the write. Returns null if the session does not exist.
   * @param touch whether the write is a use of the session, which touches it
   * @param token the session's token if a client has sent it
   * @throws SessionError `invalidValue` if the value is not an integer, or the session's data would exceed `bounds`
   */
  increment(
    ref: string,
    increment: operations.Increment,
    bounds: operations.Bounds,
    touch: boolean,
    token?: string,
  ): Promise<Incremented | Absence | null> {
    const now = Date.now();
    const incrementLarge = async (at: string, deadline: number) => {
      let result: Incremented | null = null;
      const changes = (stored: StoredSession) => {
        result = incremented(stored, increment);
        return result.applied ? increment.key + result.value : null;
      };
      const change = { now, id: "", ttl: touch ? "use" : "keep" } as const;
      const found = await this.#large.change(at, changes, change, bounds, deadline);
      return found instanceof Tombstone ? found : found && result;
    };
    return this.#follow(
      ref,
      (at, deadline) => {
        if (this.#large.mustChange(at, increment.key)) {
          return incrementLarge(at, deadline ?? this.#connection.deadline());
        }
        const input = { ref: at, now, touch, ...increment, ...bounds };
        return this.#connection.run(operations.increment, this.#keys, input, deadline);
      },
      (result, at, deadline) => (result === operations.TOO_MUCH ? incrementLarge(at, deadline) : result),
      token,
      this.#families.use(touch),
    );
  }

  /**
   * Writes a session as a whole, unless the mode forbids it. If the session was rotated, writes it under its new ref. Returns null
   * if that no longer exists.
   * @param session `staged` is the key that `stageIfLarge` returned for its text, if any
   * @throws SessionError `tooManySessions` if the user has `maxPerUser` sessions and `overflow` is "reject"
   */
  replace(
    session: operations.Replacement & WithOverflow & { mode: "any" | "unended" },
  ): Promise<operations.Replaced | null> {
    const write = (ref: string, deadline: number) => {
      const input = ref === session.ref ? session : { ...session, ref };
      return this.#writeRegistered(deadline, true, (again) =>
        this.#connection.run(operations.replace, this.#keys, input, again),
      );
    };
    return this.#follow(
      session.ref,
      (at, deadline = this.#connection.deadline()) => write(at, deadline),
      (written, at, deadline) =>
        written === operations.FULL ? this.#repeatWithRoom(session, deadline, () => write(at, deadline)) : written,
    );
  }

  /** Whether two sessions have their keys in the same slot, so that one may be rotated to the other. */
  areTogether(_ref: string, _other: string): boolean {
    return true;
  }

  /**
   * Writes a session that another package left, unless there is one, or it was taken over before, has ended or was barred. The
   * caller must then remove its source and call `endMark`. Until then, the mark keeps the source of a session that has ended since
   * from being taken over again.
   * @param session `markTtl` is the longest time that the source may exist, ms
   */
  async takeOver(session: Omit<operations.Replacement, "mode"> & { markTtl: number }): Promise<operations.Replaced> {
    const input: operations.Replacement = { ...session, mode: "absent" };
    const written = await this.#writeRegistered(this.#connection.deadline(), true, (deadline) =>
      this.#connection.run(operations.replace, this.#keys, input, deadline),
    );
    return typeof written === "string" ? written : "ended";
  }

  /**
   * What `takeOver` would do with a session. Writes nothing.
   * @param id as JSON, or ANONYMOUS
   */
  async wouldTakeOver(ref: string, id: string): Promise<operations.Replaced> {
    const text = await this.#connection.command((client) => client.get(this.#keys.session(ref)));
    const found = decode(text, ref);
    if (found instanceof StoredSession) return "present";
    if (found !== null) return "ended";
    const bars = [this.#keys.barred(id), this.#keys.barred(ANONYMOUS), this.#keys.imported(ref)];
    return toNumber(await this.#connection.command((client) => client.exists(...bars))) > 0 ? "ended" : "written";
  }

  /**
   * Lets the mark of a session that was taken over end soon, because its source is removed. Another process may have read the
   * source before, and write later.
   */
  async endMark(ref: string): Promise<void> {
    await this.#connection.command((client) => client.pexpire(this.#keys.imported(ref), LATE_IMPORT));
  }

  /**
   * Stages a text that is too large for `replace`, and returns its key. Returns undefined if the text is not too large.
   * @param _ref of the session; ShardedSessions needs it
   */
  stageIfLarge(_ref: string, text: string): Promise<string> | undefined {
    return isLarge(text) ? this.#large.stage(padNumbers(text), this.#connection.deadline()) : undefined;
  }

  /**
   * Changes data, user and ttl of an existing session. Returns true, or null if the session does not exist.
   * @throws SessionError `invalidValue` if the session's data would exceed the limits; `tooManySessions` if the new user has
   * `maxPerUser` sessions and `overflow` is "reject"
   */
  update(change: operations.Updating & WithOverflow): Promise<true | null> {
    const run = (ref: string, deadline?: number) => {
      const input = ref === change.ref ? change : { ...change, ref };
      return this.#connection.run(operations.update, this.#keys, input, deadline);
    };
    return this.#follow(
      change.ref,
      (at, deadline) => {
        if (!this.#large.mustChange(at, change.changes)) return run(at, deadline);
        return this.#updateLarge(at, change, deadline ?? this.#connection.deadline());
      },
      (written, at, deadline) => {
        if (written === operations.TOO_MUCH) return this.#updateLarge(at, change, deadline);
        if (written !== operations.FULL) return written;
        return this.#repeatWithRoom(change, deadline, () => run(at, deadline)).then((repeated) =>
          repeated === operations.TOO_MUCH ? this.#updateLarge(at, change, deadline) : repeated,
        );
      },
    );
  }

  async #updateLarge(
    ref: string,
    change: operations.Updating & WithOverflow,
    deadline: number,
  ): Promise<true | Tombstone | null> {
    const { now, id, ttl, maxPerUser, changes } = change;
    const makeRoom = () => this.#queue.run(id, () => this.#makeRoom(change, deadline));
    const headerChange = { now, id, ttl: ttl ?? "keep", maxPerUser, makeRoom } as const;
    const changed = await this.#large.change(ref, changes, headerChange, change, deadline);
    return changed instanceof StoredSession || changed;
  }

  /**
   * Ends a session. Returns 1, or 0 if it does not exist.
   * @param tombstoneTtl ms; see lua/include/leave-tombstone.lua
   * @param token the session's token if a client has sent it. Then the session is ended even if the token was rotated before.
   * @param reason why it ends, for the announcement
   */
  async kill(
    ref: string,
    tombstoneTtl = tombstoneTtlOf(ref),
    token?: string,
    reason: operations.WishedEnd = "killed",
  ): Promise<number> {
    const killed = await this.#follow(
      ref,
      (at, deadline) => this.#connection.run(operations.kill, this.#keys, { ref: at, tombstoneTtl, reason }, deadline),
      (count) => count || null,
      token,
      this.#families.ending,
    );
    return killed ?? 0;
  }

  /**
   * Replaces a token. Returns the new one. Returns null if there is no session, or if the token was rotated before. If it was
   * rotated with `confirm`, returns the same new token until that is used.
   * @param grace ms that the old ref redirects to the new one
   * @param confirm whether the old token also stays valid until the new one is used
   * @param tombstoneTtl ms that a tombstone is left under the old ref if `grace` is 0
   */
  async rotateToken(token: string, grace: number, confirm: boolean, tombstoneTtl: number): Promise<Created | null> {
    const ref = refOf(token);
    const deadline = this.#connection.deadline();
    let hasMadeRoom = false;
    for (let isFirst = true; ; isFirst = false) {
      const salt = createSalt();
      const created = createSuccessor(token, salt);
      const family = { name: familyOf(token), salt: confirm ? salt : "" };
      const input = { ref, to: created.ref, grace, tombstoneTtl, markTtl: LATE_REQUESTS, family };
      const rotated = await this.#connection.run(operations.rotate, this.#keys, input, isFirst ? undefined : deadline);
      if (rotated.outcome === "moved") return created;
      this.#connection.assertInTime(deadline);
      if (rotated.outcome === "rotated before") return this.#ifExists(createSuccessor(token, rotated.salt), deadline);
      if (rotated.outcome === "missing") {
        await this.#families.resolve(token, null, deadline);
        return this.#ifRightShard(null, deadline);
      }
      if (rotated.outcome === "unused") {
        // Rotating a token is its first use.
        await this.#families.see(token, deadline);
      } else {
        if (hasMadeRoom) throw new SessionError("redisError", "The session's flags are too long");
        hasMadeRoom = true;
        await this.#large.makeRoom(ref, deadline);
      }
      this.#connection.assertInTime(deadline);
    }
  }

  /**
   * Moves a session that has no token to another ref. Returns whether it was found; a session that was rotated before is not.
   * @param grace ms that the old ref redirects to the new one
   */
  async rotateRef(ref: string, to: string, grace: number): Promise<boolean> {
    const tombstoneTtl = tombstoneTtlOf(ref);
    const input = { ref, to, grace, tombstoneTtl, markTtl: tombstoneTtl };
    return (await this.#connection.run(operations.rotate, this.#keys, input)).outcome === "moved";
  }

  async #ifExists(created: Created, deadline: number): Promise<Created | null> {
    const input = { ref: created.ref, now: 0, touchInterval: null };
    const found = await this.#connection.run(operations.get, this.#keys, input, deadline);
    return found === null || found instanceof Tombstone ? null : created;
  }

  /**
   * Registers the app, if necessary, while a session is written. If the write waited for that, the caller's next call, such as
   * the end of the same session, could overtake it.
   */
  #alsoRegister<Result>(isSpread: boolean, write: () => Promise<Result>): Promise<Result> {
    let registering: Promise<void> | undefined;
    try {
      registering = this.#registration.register(isSpread);
    } catch (error) {
      return Promise.reject(error);
    }
    return registering === undefined ? write() : both(write(), registering, this.#keys.tag === this.#keys.app);
  }

  /** Returns the result of a call that has found no session. @throws SessionError if it may have looked in the wrong shard */
  async #ifRightShard<Result>(absent: Result, deadline: number): Promise<Result> {
    const checking = this.#registration.check();
    if (checking !== undefined) await this.#connection.within(deadline, () => checking);
    return absent;
  }

  /**
   * Writes a session and registers the app. If Redis is out of memory, nothing was written. The index may then be full of
   * entries of evicted sessions, so the write is repeated as soon as some of these are removed.
   * @param isSpread as for AppRegistration.register()
   * @param write is called without a deadline first, and with it when repeated, which keeps it out of a batch
   */
  #writeRegistered<Result>(
    deadline: number,
    isSpread: boolean,
    write: (deadline?: number) => Promise<Result>,
  ): Promise<Result> {
    const preparing = this.#prepare();
    const written =
      preparing === undefined
        ? this.#alsoRegister(isSpread, write)
        : this.#connection.within(deadline, () => preparing).then(() => this.#alsoRegister(isSpread, write));
    return written.catch((error) => this.#writeInFreedMemory(error, deadline, isSpread, write));
  }

  async #writeInFreedMemory<Result>(
    error: unknown,
    deadline: number,
    isSpread: boolean,
    write: (deadline: number) => Promise<Result>,
  ): Promise<Result> {
    if (!isOutOfMemory(error)) throw error;
    const freed = this.index.freeMemory();
    if (!(await this.#connection.within(deadline, () => freed))) throw error;
    this.#connection.assertInTime(deadline);
    return this.#alsoRegister(isSpread, () => write(deadline)).catch((again) =>
      this.#writeInFreedMemory(again, deadline, isSpread, write),
    );
  }

  /**
   * Makes a call with `ref`. As long as the result is a redirect, repeats it with the new ref, at most MAX_REDIRECTS times.
   * Returns null if the redirects form a loop or do not lead to a session. All calls have one deadline.
   * @param call receives the deadline only when it is repeated, which keeps the first call in a batch
   * @param complete turns the reply of a call into its result, null if there is no session. It returns a promise only if that
   * takes another round trip.
   * @param token for a call by token, with `byToken`
   */
  #follow<Reply, Result, Absent = null>(
    ref: string,
    call: (ref: string, deadline?: number) => Promise<Reply | Tombstone>,
    complete: Complete<Reply, Result>,
    token?: string,
    byToken?: ByToken<Absent>,
  ): Promise<Exclude<Result, Tombstone> | Absent | null> {
    const deadline = this.#connection.deadline();
    return call(ref).then((reply) => {
      const result = reply instanceof Tombstone ? reply : complete(reply as Exclude<Reply, Tombstone>, ref, deadline);
      // Nearly always the call ends here.
      if (isFinal(result, token)) return result as Exclude<Result, Tombstone>;
      return follow(result, ref, deadline, call, complete, token, byToken).then((found) =>
        found === null || found instanceof Absence ? this.#ifRightShard(found, deadline) : found,
      );
    });
  }
}

type Complete<Reply, Result> = (
  reply: Exclude<Reply, Tombstone>,
  ref: string,
  deadline: number,
) => Result | Tombstone | Promise<Result | Tombstone>;

/** Whether nothing else has to be done after a call with this result; see follow(). */
function isFinal(result: unknown, token: string | undefined): boolean {
  if (result instanceof StoredSession) return token === undefined || !result.isRotated;
  return !(result === null || result instanceof Tombstone || result instanceof Promise);
}

/** Follows the redirects from the first result of a call; see AppSessions.#follow(). */
async function follow<Reply, Result, Absent>(
  first: Result | Tombstone | Promise<Result | Tombstone>,
  ref: string,
  deadline: number,
  call: (ref: string, deadline: number) => Promise<Reply | Tombstone>,
  complete: Complete<Reply, Result>,
  token: string | undefined,
  byToken: ByToken<Absent> | undefined,
): Promise<Exclude<Result, Tombstone> | Absent | null> {
  const visited = [ref];
  let hasMissed = false;
  let result: Result | Tombstone = await first;
  for (;;) {
    if (result instanceof StoredSession && token !== undefined) await byToken?.found?.(token, result, deadline);
    if (!(result === null || result instanceof Tombstone)) return result as Exclude<Result, Tombstone>;
    const tombstone = result as Tombstone | null;
    let next = redirectOf(tombstone, visited);
    if (next === undefined) {
      if (token === undefined || byToken === undefined || hasMissed) return null;
      hasMissed = true;
      const missed = await byToken.missed(token, tombstone, deadline);
      if (typeof missed !== "string") return missed;
      next = missed;
    }
    visited.push(next);
    const reply = await call(next, deadline);
    result = reply instanceof Tombstone ? reply : await complete(reply as Exclude<Reply, Tombstone>, next, deadline);
  }
}

/** The ref to which a tombstone leads. Undefined if it leads nowhere, or in a loop. */
function redirectOf(tombstone: Tombstone | null, visited: readonly string[]): string | undefined {
  const redirect = tombstone?.redirect ?? "";
  return redirect === "" || visited.includes(redirect) || visited.length > MAX_REDIRECTS ? undefined : redirect;
}

/**
 * Returns the result of a write after the app is registered, too. The registration may belong to an earlier call and time out
 * first. The write must not be reported as `timeout` then, because it may still be sent.
 * @param toleratesOutage whether the write has succeeded although the app could not be registered. With several shards it may then be
 * in the wrong one.
 */
async function both<Result>(
  writing: Promise<Result>,
  registering: Promise<void>,
  toleratesOutage: boolean,
): Promise<Result> {
  const [written, registered] = await Promise.allSettled([writing, registering]);
  if (written.status === "rejected") throw written.reason;
  // After an outage the next write registers the app again.
  const isTolerable = (error: unknown) => toleratesOutage && isOutage(error);
  if (registered.status === "rejected" && !isTolerable(registered.reason)) throw registered.reason;
  return written.value;
}
