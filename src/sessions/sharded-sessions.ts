import type { AppRegistration } from "./app-registry.js";
import type { AppSessions } from "./app-sessions.js";
import type { StoredSession } from "./session-text.js";
import type { Sessions } from "./sessions.js";
import { shardOf, shardOfUser, tagsOf } from "./shard.js";
import { ShardedIndex, sum } from "./sharded-index.js";

/** The parameters of a method of AppSessions. */
type Args<Name extends keyof Sessions> = Sessions[Name] extends (...args: infer Parameters) => unknown
  ? Parameters
  : never;

/** Reads and changes the sessions of an app with several shards. Each call goes to the shard that has the session. */
export class ShardedSessions implements Sessions {
  readonly #count: number;
  readonly #tags: readonly string[];
  readonly #open: (tag: string) => AppSessions;
  /** Made when they are first needed, because app names may come from visitors. */
  readonly #shards: AppSessions[] = [];
  readonly index: ShardedIndex;

  /** @param open makes the sessions of the shard with this hash tag */
  constructor(app: string, count: number, registration: AppRegistration, open: (tag: string) => AppSessions) {
    this.#count = count;
    this.#tags = tagsOf(app, count);
    this.#open = open;
    this.index = new ShardedIndex(registration, { count, at: (index) => this.#shard(index).index });
  }

  create(...args: Args<"create">) {
    return this.#ofUser(args[0].id).create(...args);
  }

  createReplacing(...[token, session, tombstoneTtl, mayReplace]: Args<"createReplacing">) {
    // The old session may belong to another user.
    return this.#ofUser(session.id).createReplacing(token, session, tombstoneTtl, mayReplace, this.#of(token));
  }

  find(...args: Args<"find">) {
    return this.#of(args[0]).find(...args);
  }

  get(...args: Args<"get">) {
    return this.#of(args[0]).get(...args);
  }

  findCached(...args: Args<"findCached">) {
    return this.#of(args[0]).findCached(...args);
  }

  getCached(...args: Args<"getCached">) {
    return this.#of(args[0]).getCached(...args);
  }

  takeCached(...args: Args<"takeCached">) {
    return this.#of(args[0]).takeCached(...args);
  }

  currentRef(token: string) {
    return this.#of(token).currentRef(token);
  }

  isRecentlyGone(ref: string) {
    return this.#of(ref).isRecentlyGone(ref);
  }

  ifCheckPasses<Result>(
    ref: string,
    check: (stored: StoredSession) => void,
    call: () => Promise<Result>,
    token?: string,
  ): Promise<Result | null> {
    return this.#of(ref).ifCheckPasses(ref, check, call, token);
  }

  confirm(...args: Args<"confirm">) {
    return this.#of(args[0]).confirm(...args);
  }

  touch(...args: Args<"touch">) {
    return this.#of(args[0]).touch(...args);
  }

  set(...args: Args<"set">) {
    return this.#of(args[0]).set(...args);
  }

  async setAll(...args: Args<"setAll">) {
    const shards = await this.index.indexesOfUser(args[0]);
    return sum(shards.map((index) => this.#shard(index).setAll(...args)));
  }

  increment(...args: Args<"increment">) {
    return this.#of(args[0]).increment(...args);
  }

  replace(...args: Args<"replace">) {
    return this.#of(args[0].ref).replace(...args);
  }

  takeOver(...args: Args<"takeOver">) {
    return this.#of(args[0].ref).takeOver(...args);
  }

  wouldTakeOver(...args: Args<"wouldTakeOver">) {
    return this.#of(args[0]).wouldTakeOver(...args);
  }

  endMark(...args: Args<"endMark">) {
    return this.#of(args[0]).endMark(...args);
  }

  stageIfLarge(...args: Args<"stageIfLarge">) {
    return this.#of(args[0]).stageIfLarge(...args);
  }

  update(...args: Args<"update">) {
    return this.#of(args[0].ref).update(...args);
  }

  kill(...args: Args<"kill">) {
    return this.#of(args[0]).kill(...args);
  }

  rotateRef(...args: Args<"rotateRef">) {
    return this.#of(args[0]).rotateRef(...args);
  }

  areTogether(ref: string, other: string): boolean {
    return shardOf(ref, this.#count) === shardOf(other, this.#count);
  }

  rotateToken(...args: Args<"rotateToken">) {
    return this.#of(args[0]).rotateToken(...args);
  }

  #of(tokenOrRef: string): AppSessions {
    return this.#shard(shardOf(tokenOrRef, this.#count));
  }

  #ofUser(id: string): AppSessions {
    return this.#shard(shardOfUser(id, this.#count));
  }

  #shard(index: number): AppSessions {
    let shard = this.#shards[index];
    if (shard === undefined) {
      shard = this.#open(this.#tags[index] as string);
      this.#shards[index] = shard;
    }
    return shard;
  }
}
