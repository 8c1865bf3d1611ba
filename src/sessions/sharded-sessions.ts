import type { Connection } from "../redis/connection.js";
import type { AppRegistration } from "./app-registry.js";
import { AppSessions } from "./app-sessions.js";
import { Keys } from "./keys.js";
import type { StoredSession } from "./session-text.js";
import type { Sessions } from "./sessions.js";
import { shardOf, shardOfUser, tagsOf } from "./shard.js";
import { ShardedIndex } from "./sharded-index.js";

/** The parameters of a method of AppSessions. */
type Args<Name extends keyof Sessions> = Sessions[Name] extends (...args: infer Parameters) => unknown
  ? Parameters
  : never;

/** Reads and changes the sessions of an app with several shards. Each call goes to the shard that has the session. */
export class ShardedSessions implements Sessions {
  readonly #connection: Connection;
  readonly #namespace: string;
  readonly #app: string;
  readonly #tags: readonly string[];
  readonly #registration: AppRegistration;
  readonly #count: number;
  /** Made when they are first needed, because app names may come from visitors. */
  readonly #shards: AppSessions[] = [];
  readonly index: ShardedIndex;

  constructor(connection: Connection, namespace: string, app: string, count: number, registration: AppRegistration) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#app = app;
    this.#tags = tagsOf(app, count);
    this.#count = count;
    this.#registration = registration;
    this.index = new ShardedIndex(registration, { count, at: (index) => this.#shard(index).index });
  }

  createToken(id: string) {
    return this.#ofUser(id).createToken(id);
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

  setAll(...args: Args<"setAll">) {
    // It changes sessions of the engine only.
    return this.#ofUser(args[0]).setAll(...args);
  }

  increment(...args: Args<"increment">) {
    return this.#of(args[0]).increment(...args);
  }

  replace(...args: Args<"replace">) {
    return this.#of(args[0].ref).replace(...args);
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
      const tag = this.#tags[index] as string;
      const keys = new Keys(this.#namespace, this.#app, { tag, index, count: this.#count });
      shard = new AppSessions(this.#connection, keys, this.#registration);
      this.#shards[index] = shard;
    }
    return shard;
  }
}
