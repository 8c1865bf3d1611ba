import type { Mover } from "./mover.js";
import { MovingIndex } from "./moving-index.js";
import type { StoredSession } from "./session-text.js";
import type { Args, Sessions } from "./sessions.js";
import type { ShardedSessions } from "./sharded-sessions.js";

/**
 * The sessions of an app that moves to another number of shards. Each call first moves what it needs from the former shards, and then
 * works in the new ones as if there were no others. So limits and mass logouts are still one script.
 */
export class MovingSessions implements Sessions {
  readonly #mover: Mover;
  readonly #to: ShardedSessions;
  readonly index: MovingIndex;

  constructor(mover: Mover, from: ShardedSessions, to: ShardedSessions) {
    this.#mover = mover;
    this.#to = to;
    this.index = new MovingIndex(mover, from.index, to.index);
  }

  async create(...args: Args<"create">) {
    // Without a limit, the other sessions of the user do not matter.
    if (args[0].maxPerUser !== undefined) await this.#mover.user(args[0].id);
    return this.#to.create(...args);
  }

  async createReplacing(...args: Args<"createReplacing">) {
    const [token, session] = args;
    await this.#mover.token(token);
    if (session.maxPerUser !== undefined) await this.#mover.user(session.id);
    return this.#to.createReplacing(...args);
  }

  find(...args: Args<"find">) {
    return after(this.#mover.token(args[0]), () => this.#to.find(...args));
  }

  get(...args: Args<"get">) {
    return after(this.#mover.ref(args[0]), () => this.#to.get(...args));
  }

  findCached(...args: Args<"findCached">) {
    return after(this.#mover.token(args[0]), () => this.#to.findCached(...args));
  }

  getCached(...args: Args<"getCached">) {
    return after(this.#mover.ref(args[0]), () => this.#to.getCached(...args));
  }

  takeCached(...args: Args<"takeCached">) {
    return this.#to.takeCached(...args);
  }

  currentRef(token: string) {
    return after(this.#mover.token(token), () => this.#to.currentRef(token));
  }

  isRecentlyGone(ref: string) {
    return after(this.#mover.ref(ref), () => this.#to.isRecentlyGone(ref));
  }

  ifCheckPasses<Result>(
    ref: string,
    check: (stored: StoredSession) => void,
    call: () => Promise<Result>,
    token?: string,
  ): Promise<Result | null> {
    return after(this.#move(ref, token), () => this.#to.ifCheckPasses(ref, check, call, token));
  }

  confirm(...args: Args<"confirm">) {
    return after(this.#move(args[0], args[1]), () => this.#to.confirm(...args));
  }

  touch(...args: Args<"touch">) {
    return after(this.#move(args[0], args[2]), () => this.#to.touch(...args));
  }

  set(...args: Args<"set">) {
    return after(this.#move(args[0], args[4]), () => this.#to.set(...args));
  }

  async setAll(...args: Args<"setAll">) {
    await this.#mover.user(args[0]);
    return this.#to.setAll(...args);
  }

  increment(...args: Args<"increment">) {
    return after(this.#move(args[0], args[4]), () => this.#to.increment(...args));
  }

  async replace(...[session]: Args<"replace">) {
    await this.#mover.ref(session.ref);
    if (session.maxPerUser !== undefined) await this.#mover.user(session.id);
    return this.#to.replace(await this.#restaged(session));
  }

  async takeOver(...[session]: Args<"takeOver">) {
    await Promise.all([this.#mover.ref(session.ref), this.#mover.bars(session.ref, session.id)]);
    return this.#to.takeOver(await this.#restaged(session));
  }

  async wouldTakeOver(ref: string, id: string) {
    await Promise.all([this.#mover.ref(ref), this.#mover.bars(ref, id)]);
    return this.#to.wouldTakeOver(ref, id);
  }

  endMark(ref: string) {
    return this.#to.endMark(ref);
  }

  stageIfLarge(...args: Args<"stageIfLarge">) {
    return this.#to.stageIfLarge(...args);
  }

  async update(...args: Args<"update">) {
    const [{ ref, id, maxPerUser }] = args;
    await this.#mover.ref(ref);
    if (maxPerUser !== undefined) await this.#mover.user(id);
    return this.#to.update(...args);
  }

  kill(...args: Args<"kill">) {
    return after(this.#move(args[0], args[2]), () => this.#to.kill(...args));
  }

  rotateRef(...args: Args<"rotateRef">) {
    return after(this.#mover.ref(args[0]), () => this.#to.rotateRef(...args));
  }

  areTogether(ref: string, other: string): boolean {
    return this.#to.areTogether(ref, other);
  }

  rotateToken(...args: Args<"rotateToken">) {
    return after(this.#mover.token(args[0]), () => this.#to.rotateToken(...args));
  }

  #move(ref: string, token: string | undefined): Promise<void> | undefined {
    return token === undefined ? this.#mover.ref(ref) : this.#mover.token(token);
  }

  /** A text that was staged before the app has moved must be in the slot of the session. */
  async #restaged<Session extends { ref: string; staged?: string | undefined }>(session: Session): Promise<Session> {
    if (session.staged === undefined) return session;
    return { ...session, staged: await this.#mover.staged(session.ref, session.staged) };
  }
}

/** Makes a call after a move; at once if there is nothing to move. */
function after<Result>(moving: Promise<void> | undefined, call: () => Promise<Result>): Promise<Result> {
  return moving === undefined ? call() : moving.then(call);
}
