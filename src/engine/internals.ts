import type { Connection } from "../redis/connection.js";
import type { Resharded, ReshardOptions } from "../sessions/reshard.js";
import type { Sessions } from "../sessions/sessions.js";
import type { SessionList, SoappOptions, SoidOptions } from "../types.js";
import type { Sink } from "./event-feed.js";

/**
 * TTL, in ms, of the tombstone of a session that was replaced, or rotated without grace. Other requests of the browser may
 * still carry the old token for that time.
 */
export const REPLACED_TOMBSTONE_TTL = 10_000;

/** The parts of an engine that adapters use beside its public methods. Adapters must check their input themselves. */
export interface Internals {
  readonly connection: Connection;
  /** The engine's option `shards`. */
  readonly shards: number;
  /** The sessions of an app. Does not check the name. */
  sessions(app: string): Sessions;
  /**
   * From now on, the engine's option `shards` applies only to apps that have no session yet. For programs that serve the apps of
   * others.
   */
  followShards(): void;
  /** For tests: how long this process may use what it has read of an app, ms. */
  setLeaseTime(ms: number): void;
  /** Moves an app to another number of shards while it runs. */
  reshard(app: string, options: ReshardOptions): Promise<Resharded>;
  /** Rejects if one of the namespace's apps cannot be reached. In a Cluster, some may be while others are not. */
  reachApps(): Promise<void>;
  /** Whether the engine has the option `events`. */
  readonly hasEvents: boolean;
  /**
   * Passes the events of an app to a sink. Returns a function that ends it.
   * @throws SessionError `invalidValue` without the option `events` of the engine
   */
  listen(app: string, sink: Sink): () => void;
  /** `soid` and `soapp` with results of bounded size. They check their options. */
  readonly lists: Lists;
}

interface Lists {
  soid(options: SoidOptions): Promise<ListPart>;
  soapp(options: SoappOptions): Promise<ListPart>;
}

/** A part of a list. It may have fewer sessions than `limit`, because its size is bounded. */
export interface ListPart extends SessionList {
  /** The offset of the next part, if there may be one. */
  next?: number;
}

const internals = new WeakMap<object, Internals>();

/** Every engine calls this in its constructor. */
export function provideInternals(rs: object, provided: Internals): void {
  internals.set(rs, provided);
}

/** Returns the internals of an engine. `rs` must be an engine; adapters check that with the rule `anEngine`. */
export function internalsOf(rs: object): Internals {
  return internals.get(rs) as Internals;
}
