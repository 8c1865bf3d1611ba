import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidValue, isOutage, quote, SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import type { Replicas } from "../redis/replicas.js";
import type { AppRegistry } from "./app-registry.js";
import { type AppState, textOf } from "./app-state.js";
import type { Keys } from "./keys.js";
import type { Mover } from "./mover.js";
import { MovingIndex } from "./moving-index.js";
import { chunks } from "./paging.js";
import { type Plan, PlanIsOver } from "./plan.js";
import { tagsOf } from "./shard.js";
import type { ShardedSessions } from "./sharded-sessions.js";

/** How many other keys than sessions are moved at once. */
const AT_ONCE = 20;

/** How often the list of apps is read while the command waits, in ms. */
const POLL_INTERVAL = 1000;

/** Plans are numbers below this one. It has 13 digits, see lua/include/app-members.lua. */
const MAX_PLAN = 10 ** 13;

/** What a reshard does at the moment: it waits for all processes, or moves sessions. */
export interface ReshardProgress {
  /** How long it still waits, in ms; 0 if sessions move. */
  readonly waiting: number;
  /** How many sessions were moved by this call. */
  readonly moved: number;
  /** About how many sessions are left to move. */
  readonly left: number;
}

export interface ReshardOptions {
  /** The new number of shards. */
  readonly to: number;
  /** Writes nothing, and counts the sessions that would be moved. */
  readonly dryRun: boolean;
  /** How long to wait until all processes know, in ms. Longer than their leases and their longest calls. */
  readonly wait: number;
  readonly signal: AbortSignal;
  onProgress(progress: ReshardProgress): void;
}

/** The result of a reshard. */
export interface Resharded {
  /** The number of shards before. */
  readonly from: number;
  readonly to: number;
  /** How many sessions were moved by this call, or would be. */
  readonly moved: number;
  /** False if it was stopped. The same call goes on. */
  readonly complete: boolean;
  /** True if it was stopped before the first session moved. The same call waits again, or the move can be called off. Else missing. */
  readonly waiting?: true;
  /** The number of shards to which the app was about to move, if this call has called that off, or would. Else missing. */
  readonly calledOff?: number;
}

/** The sessions of an app that moves, as the move itself uses them. */
export interface Move {
  readonly from: ShardedSessions;
  readonly to: ShardedSessions;
  readonly mover: Mover;
  readonly plan: Plan;
}

/**
 * Moves an app to another number of shards while it runs. The steps are in the list of apps, so the call can be stopped after each, and
 * two calls at once do no harm. docs/storage-layout.md describes the steps.
 */
export class Reshard {
  readonly #connection: Connection;
  readonly #registry: AppRegistry;
  readonly #namespace: string;
  readonly #app: string;
  readonly #open: (state: AppState) => Move;
  readonly #replicas: Replicas;
  readonly #options: ReshardOptions;
  #moved = 0;
  #left = 0;

  /** @param open opens the sessions of the app, which moves */
  constructor(
    connection: Connection,
    registry: AppRegistry,
    namespace: string,
    app: string,
    open: (state: AppState) => Move,
    replicas: Replicas,
    options: ReshardOptions,
  ) {
    this.#connection = connection;
    this.#registry = registry;
    this.#namespace = namespace;
    this.#app = app;
    this.#open = open;
    this.#replicas = replicas;
    this.#options = options;
  }

  /** @throws SessionError `invalidValue` if the app has no session, or is moving to a third number */
  async run(): Promise<Resharded> {
    const { to, dryRun, signal } = this.#options;
    const first = await this.#read();
    this.#assertPossible(first);
    const from = first.isMoving ? (first.former as number) : first.shards;
    if (first.next !== undefined && to === first.shards) {
      if (!dryRun) await this.#cancel(first);
      return { from, to, moved: 0, complete: true, calledOff: first.next };
    }
    if (dryRun) return { from, to, moved: from === to ? 0 : await this.#count(first), complete: true };
    if (!first.isMoving && from === to) return this.#moveRest(first);
    let state = first.isMoving ? first : await this.#plan(first);
    if (!state.isMoving) state = await this.#waitForAll(state);
    // Without a wait, another plan must not be carried out.
    if (state.next === to && !signal.aborted) {
      await this.#registry.switchToNext(this.#app, state);
      state = await this.#read();
      this.#assertPossible(state);
    }
    const isDone = state.isMoving && (await this.#move(state));
    const isOver = !state.isMoving && state.shards === to;
    const isWaiting = !state.isMoving && !isOver;
    return { from, to, moved: this.#moved, complete: isDone || isOver, ...(isWaiting && { waiting: true as const }) };
  }

  /** Moves what an earlier move has not found: SCAN may miss keys whose slot is moving to another node of a Cluster. */
  async #moveRest(state: AppState): Promise<Resharded> {
    const { to } = this.#options;
    if (state.former === undefined || state.former === to) return { from: to, to, moved: 0, complete: true };
    const moving = { ...state, isMoving: true, plan: randomInt(1, MAX_PLAN) };
    if (!(await this.#registry.change(this.#app, state, moving))) throw this.#wasChanged();
    const isDone = await this.#move(moving);
    return { from: to, to, moved: this.#moved, complete: isDone };
  }

  async #read(): Promise<AppState> {
    const state = await this.#registry.read(this.#app);
    if (state !== undefined) return state;
    throw invalidValue(
      `The app ${quote(this.#app)} has no session`,
      "its first session decides the number: pass the new one to RedisSessions or RedisStore",
    );
  }

  #assertPossible({ shards, next, former, isMoving }: AppState): void {
    const { to } = this.#options;
    const target = isMoving ? shards : next;
    if (target === undefined || target === to || (!isMoving && to === shards)) return;
    const from = isMoving ? former : shards;
    const remedy = isMoving ? "" : `; or call it off: --to ${from}`;
    throw invalidValue(
      `The app ${quote(this.#app)} is moving from ${from} to ${target} shards`,
      `let that end first: reshard ${this.#app} --to ${target}${remedy}`,
    );
  }

  /** Writes that the app will move. From now on, processes learn of it. If another command has just done so, its plan holds for both. */
  async #plan(state: AppState): Promise<AppState> {
    const { to } = this.#options;
    if (state.next === to) return state;
    const planned = { ...state, next: to, plan: randomInt(1, MAX_PLAN) };
    if (await this.#registry.change(this.#app, state, planned)) return planned;
    const found = await this.#read();
    if (found.next === to || (found.isMoving && found.shards === to)) return found;
    throw this.#wasChanged();
  }

  async #cancel(state: AppState): Promise<void> {
    const after = { ...state, next: undefined, plan: 0 };
    if (!(await this.#registry.change(this.#app, state, after))) throw this.#wasChanged();
    await this.#replicas.confirm();
  }

  #wasChanged(): SessionError {
    const message = `Another command has just changed the number of shards of ${quote(this.#app)}`;
    return new SessionError("redisError", message, { hint: "run this one again" });
  }

  /** Waits until every process has read that the app will move. Returns early if another command has waited before. */
  async #waitForAll(planned: AppState): Promise<AppState> {
    const { wait, signal, onProgress } = this.#options;
    await this.#replicas.confirm();
    let end = performance.now() + wait;
    let state = planned;
    for (let left = wait; left > 0 && !signal.aborted; left = end - performance.now()) {
      onProgress({ waiting: left, moved: 0, left: 0 });
      await sleep(Math.min(left, POLL_INTERVAL), undefined, { signal }).catch(() => {});
      try {
        state = await this.#read();
      } catch (error) {
        if (!isOutage(error)) throw error;
        // A process that could not read the list either goes on as before, until it can.
        end = performance.now() + wait;
        continue;
      }
      if (textOf(state) !== textOf(planned)) break;
    }
    this.#assertPossible(state);
    if (state.plan !== planned.plan && state.shards !== this.#options.to) {
      throw invalidValue(
        `Another command has called off the move of ${quote(this.#app)}, for which this one has waited`,
        `if the app should move all the same: reshard ${this.#app} --to ${this.#options.to}`,
      );
    }
    return state;
  }

  /** Moves everything. Returns whether it has ended: false if it was stopped. */
  async #move(state: AppState): Promise<boolean> {
    try {
      if (await this.#moveAll(state)) return true;
    } catch (error) {
      if (!(error instanceof PlanIsOver)) throw error;
    }
    // Another command may have ended it.
    const { shards, isMoving } = await this.#read();
    return !isMoving && shards === this.#options.to;
  }

  /** Moves everything until nothing is found any more. Returns false if it was stopped. */
  async #moveAll(state: AppState): Promise<boolean> {
    // If the switch were lost with its server, processes would look for the sessions in the former shards again.
    await this.#replicas.confirm();
    const move = this.#open(state);
    const index = new MovingIndex(move.mover, move.from.index, move.to.index);
    this.#left = await this.#count(state);
    this.#report();
    do {
      await index.moveListed((moved) => {
        this.#moved += moved;
        this.#left = Math.max(0, this.#left - moved);
        return this.#goesOn();
      });
      if (!this.#goesOn()) return false;
    } while ((await this.#moveOthers(move, state)) > 0);
    if (!this.#goesOn()) return false;
    // What is left in the index leads to no session.
    for (const { keys } of move.from.all()) {
      await move.plan.assertInForce();
      await Promise.all(keys.index.map((key) => this.#connection.command((client) => client.del(key))));
    }
    await this.#registry.change(this.#app, state, { ...state, isMoving: false });
    await this.#replicas.confirm();
    return true;
  }

  /** Moves all keys that are not in the index: tombstones, records, marks, bars, and sessions that are missing there. */
  async #moveOthers(move: Move, state: AppState): Promise<number> {
    const former = state.former as number;
    const shards = new Map(move.from.all().map((shard) => [shard.keys.base, shard]));
    const all = move.to.all().map(({ keys }) => keys);
    const [tag = ""] = tagsOf(this.#app, former);
    // The hash tags of several shards differ in what follows their last dot.
    const prefix = `${this.#namespace}:{${former === 1 ? tag : tag.slice(0, tag.lastIndexOf(".") + 1)}`;
    let found = 0;
    for await (const page of this.#connection.scan(prefix, "string")) {
      for (const chunk of chunks([...new Set(page)], AT_ONCE)) {
        const work = chunk.map(async (key) => {
          const base = key.slice(0, key.indexOf("}:") + 2);
          const from = shards.get(base);
          return from !== undefined && (await this.#moveKey(move, from.keys, key.slice(base.length), all));
        });
        found += (await Promise.all(work)).filter(Boolean).length;
        if (!this.#goesOn()) return 0;
      }
    }
    return found;
  }

  /** Moves what one key of a former shard contains. Returns whether there was something to move. */
  async #moveKey({ mover, to }: Move, { base }: Keys, name: string, all: readonly Keys[]): Promise<boolean> {
    const [kind = ""] = name.split(":", 1);
    const of = name.slice(kind.length + 1);
    const key = base + name;
    if (kind === "s") return (await mover.refs([of])).size > 0;
    if (kind === "family") return mover.moveFamily(key, of);
    if (kind === "rotated") return mover.move(key, [to.of(of).keys.rotated(of)]);
    if (kind === "imported") return mover.move(key, [to.of(of).keys.imported(of)]);
    // In each shard they say the same.
    if (kind === "barred")
      return mover.move(
        key,
        all.map((keys) => keys.barred(of)),
      );
    if (kind === "legacy")
      return mover.move(
        key,
        all.map((keys) => keys.legacy),
      );
    // Marks and texts of calls under way. They expire soon.
    return false;
  }

  /** Whether to move more: not if the call was stopped. */
  #goesOn(): boolean {
    this.#report();
    return !this.#options.signal.aborted;
  }

  #report(): void {
    this.#options.onProgress({ waiting: 0, moved: this.#moved, left: this.#left });
  }

  /** About how many sessions there are to move. */
  async #count(state: AppState): Promise<number> {
    const { from } = this.#open({ ...state, former: state.isMoving ? state.former : state.shards });
    const counts = from.all().map(({ keys }) => this.#connection.command((client) => client.zcard(keys.expiry)));
    return (await Promise.all(counts)).reduce<number>((sum, count) => sum + Number(count), 0);
  }
}
