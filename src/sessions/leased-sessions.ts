import { isFenced } from "../redis/script.js";
import type { AppRegistry, Lease } from "./app-registry.js";
import type { AppState } from "./app-state.js";
import { Absence } from "./families.js";
import { isLarge } from "./large-sessions.js";
import type { Part } from "./paging.js";
import { PlanIsOver } from "./plan.js";
import type { StoredSession } from "./session-text.js";
import type { Args, IndexArgs, SessionLists, Sessions } from "./sessions.js";
import { shardOf } from "./shard.js";
import { MAX_SHARDS } from "./token.js";

/**
 * The sessions of an app, wherever they are at the moment. The list of apps says that, and this class reads it again when the lease
 * ends. docs/storage-layout.md describes the steps in which an app moves to another number of shards.
 *
 * While the app is about to move, its scripts have a fence: a key in the old shards, from which on they do nothing. The call is then
 * repeated in the new shards. So no call changes an old shard after the first session has moved.
 */
export class LeasedSessions implements Sessions {
  readonly #registry: AppRegistry;
  readonly #lease: Lease;
  readonly #open: (state: AppState) => Sessions;
  readonly #noteMiss: () => void;
  /** What `open` has returned, and for which state. */
  #sessions: Sessions | undefined;
  #state: AppState | undefined;
  /** Whether a call may have to be repeated: it may meet a fence, or the move may end. */
  #mayLeave = false;
  readonly index: SessionLists;

  /**
   * @param open returns the sessions of the app in a state
   * @param noteMiss is called for a read that the near cache must not answer
   */
  constructor(registry: AppRegistry, app: string, open: (state: AppState) => Sessions, noteMiss: () => void) {
    this.#registry = registry;
    this.#lease = registry.lease(app);
    this.#open = open;
    this.#noteMiss = noteMiss;
    this.index = new LeasedIndex(this);
  }

  create(...[session, deadline]: Args<"create">) {
    return this.#current()?.create(session, deadline) ?? this.#later("create", session, deadline);
  }

  createReplacing(...args: Args<"createReplacing">) {
    return this.#current()?.createReplacing(...args) ?? this.#run((sessions) => sessions.createReplacing(...args));
  }

  find(...[token, touch, origin]: Args<"find">) {
    return this.#current()?.find(token, touch, origin) ?? this.#later("find", token, touch, origin);
  }

  get(...[ref, touch, touchInterval, origin]: Args<"get">) {
    return (
      this.#current()?.get(ref, touch, touchInterval, origin) ?? this.#later("get", ref, touch, touchInterval, origin)
    );
  }

  findCached(...[token, touch, origin]: Args<"findCached">) {
    return this.#current()?.findCached(token, touch, origin) ?? this.#later("findCached", token, touch, origin);
  }

  getCached(...[ref, touch, touchInterval, origin]: Args<"getCached">) {
    return (
      this.#current()?.getCached(ref, touch, touchInterval, origin) ??
      this.#later("getCached", ref, touch, touchInterval, origin)
    );
  }

  takeCached(...args: Args<"takeCached">): StoredSession | undefined {
    // It moves nothing.
    const sessions = this.#isCurrent() && this.#state?.next === undefined ? this.#sessions : undefined;
    if (sessions === undefined) this.#noteMiss();
    return sessions?.takeCached(...args);
  }

  currentRef(...args: Args<"currentRef">) {
    return this.#current()?.currentRef(...args) ?? this.#run((sessions) => sessions.currentRef(...args));
  }

  isRecentlyGone(...args: Args<"isRecentlyGone">) {
    return this.#current()?.isRecentlyGone(...args) ?? this.#run((sessions) => sessions.isRecentlyGone(...args));
  }

  ifCheckPasses<Result>(
    ref: string,
    check: (stored: StoredSession) => void,
    call: () => Promise<Result>,
    token?: string,
  ): Promise<Result | null> {
    return this.#run((sessions) => sessions.ifCheckPasses(ref, check, call, token));
  }

  confirm(...args: Args<"confirm">) {
    return this.#current()?.confirm(...args) ?? this.#run((sessions) => sessions.confirm(...args));
  }

  touch(...[ref, ttl, token]: Args<"touch">) {
    return this.#current()?.touch(ref, ttl, token) ?? this.#later("touch", ref, ttl, token);
  }

  set(...[ref, changes, bounds, touch, token]: Args<"set">) {
    return (
      this.#current()?.set(ref, changes, bounds, touch, token) ?? this.#later("set", ref, changes, bounds, touch, token)
    );
  }

  setAll(...args: Args<"setAll">) {
    return this.runLong((sessions) => sessions.setAll(...args));
  }

  increment(...args: Args<"increment">) {
    return this.#current()?.increment(...args) ?? this.#run((sessions) => sessions.increment(...args));
  }

  replace(...[session]: Args<"replace">) {
    return this.#current()?.replace(session) ?? this.#later("replace", session);
  }

  takeOver(...args: Args<"takeOver">) {
    return this.#current()?.takeOver(...args) ?? this.#run((sessions) => sessions.takeOver(...args));
  }

  wouldTakeOver(...args: Args<"wouldTakeOver">) {
    return this.#current()?.wouldTakeOver(...args) ?? this.#run((sessions) => sessions.wouldTakeOver(...args));
  }

  endMark(...args: Args<"endMark">) {
    return this.#current()?.endMark(...args) ?? this.#run((sessions) => sessions.endMark(...args));
  }

  stageIfLarge(ref: string, text: string): Promise<string> | undefined {
    return isLarge(text) ? this.#run(async (sessions) => `${await sessions.stageIfLarge(ref, text)}`) : undefined;
  }

  update(...[change]: Args<"update">) {
    return this.#current()?.update(change) ?? this.#later("update", change);
  }

  kill(...[ref, tombstoneTtl, token, reason]: Args<"kill">) {
    return (
      this.#current()?.kill(ref, tombstoneTtl, token, reason) ?? this.#later("kill", ref, tombstoneTtl, token, reason)
    );
  }

  rotateRef(...args: Args<"rotateRef">) {
    return this.#current()?.rotateRef(...args) ?? this.#run((sessions) => sessions.rotateRef(...args));
  }

  /** A redirect leads to the same shard, before and after a move. So both refs must be together with both numbers of shards. */
  areTogether(ref: string, other: string): boolean {
    const { shards = MAX_SHARDS, next = 1 } = this.#lease.state ?? {};
    const count = Math.max(shards, next);
    return shardOf(ref, count) === shardOf(other, count);
  }

  rotateToken(...args: Args<"rotateToken">) {
    return this.#current()?.rotateToken(...args) ?? this.#run((sessions) => sessions.rotateToken(...args));
  }

  /** Renews the lease if that is due, for the near cache: calls that it answers do not. */
  async renew(): Promise<void> {
    if (performance.now() < this.#lease.renewAt) return;
    await this.#registry.renew(this.#lease);
    await this.#ready();
  }

  /** Makes a call that cannot be made at once. Apart from the frequent methods, where a closure would be made for each call. */
  #later<
    Name extends
      | "create"
      | "find"
      | "get"
      | "findCached"
      | "getCached"
      | "set"
      | "replace"
      | "update"
      | "kill"
      | "touch",
  >(name: Name, ...args: Args<Name>): ReturnType<Sessions[Name]> {
    // TypeScript does not relate the arguments to the name.
    const call = (sessions: Sessions) =>
      (sessions[name] as (...args: unknown[]) => Promise<unknown>).apply(sessions, args);
    return this.#run(call) as ReturnType<Sessions[Name]>;
  }

  /** Makes a call on one session, or on one user's sessions, unless the lease is valid. It takes no longer than a few times the timeout. */
  #run<Result>(call: (sessions: Sessions) => Promise<Result>): Promise<Result> {
    return this.#runSlowly(call, isAbsent);
  }

  /** Makes a call that may read, change or end many sessions, in many steps. It is repeated if the app has moved meanwhile. */
  runLong<Result>(call: (sessions: Sessions) => Promise<Result>): Promise<Result> {
    return this.#runSlowly(call, () => true);
  }

  /** The same for a list that is read in pages. `call` is called again if the app has moved meanwhile. */
  async *pages<Item>(call: (sessions: Sessions) => AsyncGenerator<Item, void>): AsyncGenerator<Item, void> {
    for (;;) {
      const sessions = await this.#ready();
      const state = this.#state as AppState;
      const coveredUntil = this.#registry.coveredUntil(this.#lease);
      try {
        yield* call(sessions);
        if (!(await this.#hasMoved(state, coveredUntil))) return;
      } catch (error) {
        if (!isLeft(error)) throw error;
        await this.#follow(state);
      }
    }
  }

  /**
   * @param isDoubtful whether a result may be wrong if sessions have moved since the call began, although no script was refused: plain
   * commands have no fence
   */
  async #runSlowly<Result>(
    call: (sessions: Sessions) => Promise<Result>,
    isDoubtful: (result: Result) => boolean,
  ): Promise<Result> {
    for (;;) {
      const sessions = await this.#ready();
      const state = this.#state as AppState;
      const coveredUntil = this.#registry.coveredUntil(this.#lease);
      try {
        const result = await call(sessions);
        if (!isDoubtful(result) || !(await this.#hasMoved(state, coveredUntil))) return result;
      } catch (error) {
        if (!isLeft(error)) throw error;
        await this.#follow(state);
      }
    }
  }

  /** Returns the sessions if the lease is valid, and the app neither moves nor is about to. Nearly always it does. */
  #current(): Sessions | undefined {
    return this.#isCurrent() && !this.#mayLeave ? this.#sessions : undefined;
  }

  /** Whether the sessions were opened for the state of the lease, and the lease is valid. */
  #isCurrent(): boolean {
    const lease = this.#lease;
    const now = performance.now();
    if (now >= lease.until || lease.state !== this.#state || this.#state === undefined) return false;
    // If that fails, the lease ends, and a call that waits for it reports it.
    if (now >= lease.renewAt) this.#registry.renew(lease).catch(() => {});
    return true;
  }

  async #ready(): Promise<Sessions> {
    const lease = this.#lease;
    const isValid = lease.state !== undefined && performance.now() < lease.until;
    const state = isValid ? (lease.state as AppState) : await this.#registry.renew(lease);
    if (this.#sessions === undefined || this.#state !== state) {
      this.#sessions = this.#open(state);
      this.#state = state;
      this.#mayLeave = state.next !== undefined || state.isMoving;
    }
    return this.#sessions;
  }

  /** Whether sessions may have moved since a call began with this state. If the app was not about to move, not before `coveredUntil`. */
  async #hasMoved(state: AppState, coveredUntil: number): Promise<boolean> {
    if (state.next === undefined && performance.now() < coveredUntil) return false;
    const now = await this.#registry.read(this.#lease.app);
    if (now === undefined) return false;
    const isBack = now.next === undefined && now.plan !== 0 && now.plan !== state.plan;
    if (now.shards === state.shards && !isBack) return false;
    await this.#registry.renew(this.#lease);
    return true;
  }

  /** Reads again where the sessions are. If a call has met a fence, the app moves now: the fences are set a moment before. */
  async #follow(state: AppState): Promise<void> {
    await this.#registry.switchToNext(this.#lease.app, state);
    await this.#registry.renew(this.#lease);
  }
}

/** Lists, counts and ends the sessions of an app, wherever they are at the moment. */
class LeasedIndex implements SessionLists {
  readonly #sessions: LeasedSessions;

  constructor(sessions: LeasedSessions) {
    this.#sessions = sessions;
  }

  active(...args: IndexArgs<"active">) {
    return this.#run((index) => index.active(...args));
  }

  activeHeaders(...args: IndexArgs<"activeHeaders">) {
    return this.#run((index) => index.activeHeaders(...args));
  }

  /** If the app moves meanwhile, the list goes on in the new shards after the session that was yielded last. */
  async *activePages(since: number, part: Part = { offset: 0, limit: Number.POSITIVE_INFINITY }) {
    let calls = 0;
    let left = part.limit;
    let last = Number.POSITIVE_INFINITY;
    const yielded = new Set<string>();
    const pages = this.#sessions.pages(({ index }) => {
      calls++;
      return index.activePages(since, left === part.limit ? part : { ...part, offset: 0 });
    });
    for await (const page of pages) {
      const isAgain = calls > 1;
      const found = isAgain ? page.filter(({ la, ref }) => la <= last && !yielded.has(ref)).slice(0, left) : page;
      left -= found.length;
      for (const { la, ref } of found) {
        // The order is that of the last use, so a session that is found again has the same time as the last ones.
        if (la < last) yielded.clear();
        last = Math.min(last, la);
        yielded.add(ref);
      }
      yield found;
      if (isAgain && left <= 0) return;
    }
  }

  announceLegacy(...args: IndexArgs<"announceLegacy">) {
    return this.#run((index) => index.announceLegacy(...args));
  }

  count() {
    return this.#run((index) => index.count());
  }

  countSessions(...args: IndexArgs<"countSessions">) {
    return this.#run((index) => index.countSessions(...args));
  }

  countUsers(...args: IndexArgs<"countUsers">) {
    return this.#run((index) => index.countUsers(...args));
  }

  header(...args: IndexArgs<"header">) {
    return this.#run((index) => index.header(...args));
  }

  headersOfUser(...args: IndexArgs<"headersOfUser">) {
    return this.#run((index) => index.headersOfUser(...args));
  }

  isEmpty() {
    return this.#run((index) => index.isEmpty());
  }

  async killAll(...[barFor]: IndexArgs<"killAll">) {
    // If the app moves meanwhile, sessions are ended in both places.
    const tally = { ended: 0 };
    await this.#run((index) => index.killAll(barFor, tally));
    return tally.ended;
  }

  async killUser(...[id, except, barFor]: IndexArgs<"killUser">) {
    const tally = { ended: 0 };
    await this.#run((index) => index.killUser(id, except, barFor, tally));
    return tally.ended;
  }

  ofUser(...args: IndexArgs<"ofUser">) {
    return this.#run((index) => index.ofUser(...args));
  }

  async *pages() {
    const seen = new Set<string>();
    for await (const page of this.#sessions.pages(({ index }) => index.pages())) {
      const found = page.filter(({ ref }) => !seen.has(ref));
      for (const { ref } of found) seen.add(ref);
      yield found;
    }
  }

  reach(...args: IndexArgs<"reach">) {
    return this.#run((index) => index.reach(...args));
  }

  refs() {
    return this.#run((index) => index.refs());
  }

  wipe() {
    return this.#run((index) => index.wipe());
  }

  wipeExpired() {
    return this.#run((index) => index.wipeExpired());
  }

  #run<Result>(call: (index: SessionLists) => Promise<Result>): Promise<Result> {
    return this.#sessions.runLong((sessions) => call(sessions.index));
  }
}

/** Whether a call has stopped because the app has left the shards, or the move by which it moves sessions has ended. */
function isLeft(error: unknown): boolean {
  return isFenced(error) || error instanceof PlanIsOver;
}

/** Whether a result says that there is no session, or that it is not known. A session that moves may be overlooked. */
function isAbsent(result: unknown): boolean {
  return result === null || result === 0 || result === false || result instanceof Absence;
}
