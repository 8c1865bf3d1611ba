import { isOutage, quote, SessionError } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { CHUNK } from "../redis/operation.js";
import { toNumber } from "../redis/reply.js";
import { BoundedMap } from "../util/bounded-map.js";
import { type AppState, stateIn, stateOfNew, textOf } from "./app-state.js";
import { appsKey, fenceOf, Keys, LAYOUT, layoutKey } from "./keys.js";
import * as operations from "./operations.js";
import { chunks } from "./paging.js";
import { tagsOf } from "./shard.js";

/** After this time in ms an app is registered or checked again, in case Redis has lost its keys. */
const REGISTRATION_TTL = 60_000;

/**
 * How long a process may use what it has read of an app, in ms. `reshard` waits longer than that before the first session moves, so
 * every process then knows of the move.
 */
const LEASE_TIME = 60_000;

/** How long a fence exists, in ms. Until then every process has read that the app has moved, or has ended its calls. */
const FENCE_TTL = 10 * LEASE_TIME;

/** How many leases `reshard` waits: one until all processes have read of the move, one until the calls that they made before have ended. */
const WAIT_IN_LEASES = 2;

/** How long `reshard` waits, in ms. */
export const RESHARD_WAIT = WAIT_IN_LEASES * LEASE_TIME;

/** How many times the timeout a call on one session, or on the sessions of one user, may take. */
const TIMEOUTS_OF_CALL = 2;

/** After which time the list is asked again during an outage of the node that has it, in ms. */
const RETRY_AFTER = 5000;

/** An app in the list of apps. */
export interface RegisteredApp {
  readonly name: string;
  /** When it was last registered, ms. */
  readonly registered: number;
  readonly state: AppState;
}

/** What one app's sessions need to know from the list of apps. */
export interface AppRegistration {
  /**
   * Registers the app while a session is written. Returns undefined if this process did so in the last minute.
   * @param isSpread whether the session may be in another shard than its user's: those of a RedisStore and of an import
   */
  register(isSpread: boolean): Promise<void> | undefined;
  /** Returns whether the app may have sessions that are in another shard than their user's. */
  isSpread(): Promise<boolean>;
}

/** What a process knows of an app, and for how long it may use that without asking Redis. */
export class Lease {
  readonly app: string;
  /** Undefined until the list of apps was read. The object is the same as long as nothing has changed. */
  state: AppState | undefined;
  /** When the lease ends, and when it should be renewed, on the clock of performance.now(). */
  until = 0;
  renewAt = 0;
  /** When the list was read last, on the same clock. */
  readAt = 0;

  constructor(app: string) {
    this.app = app;
  }

  /** @param time how long it is valid, ms. After half of it, it is renewed while calls go on */
  begin(state: AppState, now: number, time: number): void {
    if (this.state === undefined || textOf(this.state) !== textOf(state)) this.state = state;
    this.until = now + time;
    this.renewAt = now + time / 2;
    this.readAt = now;
  }

  /**
   * Goes on with what was read, because the list cannot be read now.
   * @param end when that must end at the latest, unless the lease itself is longer
   * @returns whether it is valid
   */
  extend(now: number, end: number): boolean {
    this.until = Math.max(this.until, Math.min(now + RETRY_AFTER, end));
    this.renewAt = now + RETRY_AFTER;
    return this.state !== undefined && now < this.until;
  }

  /** Forgets what was read, because the app is not in the list any more. */
  forget(now: number): void {
    this.state = undefined;
    this.until = 0;
    this.readAt = now;
  }
}

/**
 * The list of a namespace's apps in Redis. It says which apps the wipers visit, and how many shards each has. The first session
 * of an app decides that.
 */
export class AppRegistry {
  readonly #connection: Connection;
  readonly #namespace: string;
  readonly #shards: number;
  /** The state of an app whose first session this process creates. */
  readonly #ofNewApp: AppState;
  /** Tests shorten it. */
  leaseTime = LEASE_TIME;
  /** Whether the option `shards` applies only to apps that have no session yet. */
  followsAny = false;
  readonly #leases = new BoundedMap<Lease>();
  /** When this process registered each app, as performance.now() counts. A missing entry only costs one more command. */
  readonly #registered = new BoundedMap<number>();
  /** What is under way, so that calls at the same time share it. */
  readonly #pending = new Map<string, Promise<unknown>>();

  /** @param shards the number of shards of all apps, as this process has it */
  constructor(connection: Connection, namespace: string, shards: number) {
    this.#connection = connection;
    this.#namespace = namespace;
    this.#shards = shards;
    this.#ofNewApp = stateOfNew(shards);
  }

  /** What is known of an app; as long as nothing is, the number with which this process would create its first session. */
  stateOf(app: string): AppState {
    return this.#leases.get(app)?.state ?? this.#ofNewApp;
  }

  /** The same, read again if the lease has ended. For what hears an app, whatever this process's number is. */
  async stateNow(app: string): Promise<AppState> {
    const { state, until } = this.lease(app);
    if (state !== undefined && performance.now() < until) return state;
    return (await this.read(app)) ?? this.#ofNewApp;
  }

  /** Renews the lease of an app if it has ended. Rejects as `renew` does. */
  check(app: string): Promise<unknown> | undefined {
    const lease = this.lease(app);
    return lease.state !== undefined && performance.now() < lease.until ? undefined : this.renew(lease);
  }

  lease(app: string): Lease {
    let lease = this.#leases.get(app);
    if (lease === undefined) {
      lease = new Lease(app);
      this.#leases.set(app, lease);
    }
    return lease;
  }

  /**
   * Reads where the sessions of an app are. During an outage, what was known before remains valid for a while: never longer than
   * `reshard` waits, because the connection of the command may work.
   * @throws SessionError `redisError` if the app has another number of shards in Redis than in this process; the error of the outage
   */
  renew(lease: Lease): Promise<AppState> {
    return this.#share(`renew ${lease.app}`, async () => {
      const now = performance.now();
      try {
        const state = await this.read(lease.app);
        // An app that is not registered has no session. Any process may create the first one, so do not remember the answer.
        if (state === undefined) {
          this.#forget(lease, now);
          return this.#ofNewApp;
        }
        this.#assertNumber(lease.app, state);
        lease.begin(textOf(state) === textOf(this.#ofNewApp) ? this.#ofNewApp : state, now, this.leaseTime);
      } catch (error) {
        const now = performance.now();
        const longestCall = TIMEOUTS_OF_CALL * (this.#connection.deadline() - now);
        if (!isOutage(error) || !lease.extend(now, this.coveredUntil(lease) - longestCall)) throw error;
      }
      return lease.state as AppState;
    });
  }

  /** Until when no session moves of which a process does not know that has read the list when this lease did. */
  coveredUntil({ readAt }: Lease): number {
    return readAt + WAIT_IN_LEASES * this.leaseTime;
  }

  /** Redis has lost the list, or a wiper has dropped the app. The next session of the app registers it again. */
  #forget(lease: Lease, now: number): void {
    lease.forget(now);
    for (const isSpread of [false, true]) this.#registered.delete(memberOf(lease.app, isSpread));
  }

  /** Reads where the sessions of an app are. Returns undefined if it is not registered. */
  async read(app: string): Promise<AppState | undefined> {
    const [found] = await this.#readAll([app]);
    return found?.state;
  }

  /** Replaces what the list says of an app, if that is `before`. Returns whether it was. */
  change(app: string, before: AppState, after: AppState): Promise<boolean> {
    const input = { app, before: textOf(before), after: textOf(after) };
    return this.#connection.run(
      operations.changeApp,
      new Keys(this.#namespace, app),
      input,
      this.#connection.deadline(),
    );
  }

  /**
   * Makes an app use its next number of shards, at one moment in all processes: after the fences are set, none can use the old shards.
   * Any process may do it as soon as it meets a fence, so it does not matter if another one fails in between.
   */
  switchToNext(app: string, state: AppState): Promise<void> {
    return this.#share(`switch ${app}`, () => this.#switch(app, state));
  }

  async #switch(app: string, state: AppState): Promise<void> {
    const { shards, next, plan } = state;
    if (next === undefined) return;
    const fences = this.#keysOf(app, shards).map(({ base }) => fenceOf(base, plan));
    await Promise.all(
      fences.map((fence) => this.#connection.command((client) => client.set(fence, "1", "PX", FENCE_TTL))),
    );
    await this.#copyLegacy(app, shards, next);
    // If that fails, another process has done it, or the plan is over.
    await this.change(app, state, { ...state, shards: next, next: undefined, former: shards, isMoving: true });
  }

  /** A logout in the new shards must bar the sessions that another package left, as in the old ones. */
  async #copyLegacy(app: string, from: number, to: number): Promise<void> {
    for (const { legacy } of this.#keysOf(app, from)) {
      const [barFor, ttl] = await Promise.all([
        this.#connection.command((client) => client.get(legacy)),
        this.#connection.command((client) => client.pttl(legacy)),
      ]);
      if (barFor === null || toNumber(ttl) <= 0) continue;
      await this.#register(app, true);
      for (const keys of this.#keysOf(app, to))
        await this.#connection.command((client) => client.set(keys.legacy, barFor, "PX", toNumber(ttl)));
      return;
    }
  }

  #keysOf(app: string, shards: number): Keys[] {
    return tagsOf(app, shards).map((tag) => new Keys(this.#namespace, app, undefined, tag));
  }

  of(app: string): AppRegistration {
    return {
      register: (isSpread) => this.#register(app, isSpread),
      isSpread: async () => {
        const [found] = await this.#readAll([app]);
        return found?.isSpread === true;
      },
    };
  }

  /** Yields the registered apps. */
  async *apps(): AsyncGenerator<RegisteredApp, void> {
    const key = appsKey(this.#namespace);
    let cursor = "0";
    do {
      const from = cursor;
      const [next, found] = await this.#connection.command((client) => client.zscan(key, from, "COUNT", CHUNK));
      cursor = next;
      const members = new Map<string, number>();
      for (let i = 0; i < found.length; i += 2) members.set(found[i] as string, Number(found[i + 1]));
      // No app's name contains a brace.
      const names = [...members.keys()].filter((name) => !name.startsWith("{"));
      // A short list is on one page. Otherwise the other members of an app may be on another page than the app.
      const isWhole = from === "0" && next === "0";
      for (const page of chunks(names)) {
        const states = isWhole
          ? page.map((name) => stateIn(members, name))
          : (await this.#readAll(page)).map(({ state }) => state);
        for (const [i, name] of page.entries()) {
          const state = states[i];
          // Another process may have dropped it meanwhile.
          if (state !== undefined) yield { name, registered: members.get(name) as number, state };
        }
      }
    } while (cursor !== "0");
  }

  /** Removes an app from the list unless it was registered at `before` (ms) or later. It must have no session. */
  async drop(app: string, before: number): Promise<void> {
    // A call with a deadline of its own is not batched. The script's key is in another slot than the app's keys.
    const deadline = this.#connection.deadline();
    await this.#connection.run(operations.dropApp, new Keys(this.#namespace, app), { app, before }, deadline);
  }

  #register(app: string, isSpread: boolean): Promise<void> | undefined {
    const name = memberOf(app, isSpread);
    if (isRecent(this.#registered.get(name))) return undefined;
    return this.#share(name, () => this.#add(app, name, isSpread)).catch((error) => {
      // An outage of the node that has the list must not affect the shards on other nodes, if the app was registered before.
      if (!isOutage(error) || this.#leases.get(app)?.state === undefined) throw error;
    });
  }

  async #add(app: string, name: string, isSpread: boolean): Promise<void> {
    const now = performance.now();
    const { shards } = this.stateOf(app);
    await this.#checkLayout();
    const own = shards === this.#shards || this.followsAny ? undefined : this.#shards;
    const input = { app, now: Date.now(), shards, isSpread, own };
    const keys = new Keys(this.#namespace, app);
    const found = await this.#connection.run(operations.registerApp, keys, input, this.#connection.deadline());
    if (found !== shards) throw this.#wrongNumber(app, stateOfNew(found));
    this.#registered.set(name, now);
    const lease = this.lease(app);
    if (lease.state === undefined) lease.begin(this.#ofNewApp, now, this.leaseTime);
  }

  #share<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    let pending = this.#pending.get(name) as Promise<Result> | undefined;
    if (pending === undefined) {
      pending = work().finally(() => this.#pending.delete(name));
      this.#pending.set(name, pending);
    }
    return pending;
  }

  #readAll(apps: readonly string[]): Promise<operations.AppRecord[]> {
    const keys = new Keys(this.#namespace, "");
    return this.#connection.run(operations.readApps, keys, { apps }, this.#connection.deadline());
  }

  /** @throws SessionError `redisError` unless this process has one of the numbers of the app */
  #assertNumber(app: string, state: AppState): void {
    const { shards, next, former } = state;
    if (this.followsAny || [shards, next, former].includes(this.#shards)) return;
    throw this.#wrongNumber(app, state);
  }

  #wrongNumber(app: string, { shards, next }: AppState): SessionError {
    const has = `${shardsText(shards)} in Redis${next === undefined ? "" : `, soon ${next}`}`;
    const message = `The app ${quote(app)} has ${has}, but this process has the option shards: ${this.#shards}`;
    const hint = `pass shards: ${next ?? shards} to RedisSessions or RedisStore; docs/shards.md says how to change the number`;
    return new SessionError("redisError", message, { hint });
  }

  /**
   * Writes the version of the storage layout if the namespace has none.
   * @throws SessionError `redisError` if the namespace has another version
   */
  async #checkLayout(): Promise<void> {
    const key = layoutKey(this.#namespace);
    if ((await this.#connection.command((client) => client.set(key, LAYOUT, "NX"))) !== null) return;
    const found = await this.#connection.command((client) => client.get(key));
    if (found === LAYOUT || found === null) return;
    throw new SessionError(
      "redisError",
      `The sessions in Redis have the storage layout ${quote(found)}, not ${LAYOUT}`,
      {
        hint: `a newer version of this package wrote ${key}: update this server, or choose another namespace`,
      },
    );
  }
}

/** The member of the list that a registration writes. */
function memberOf(app: string, isSpread: boolean): string {
  // No app's name contains a brace.
  return isSpread ? `{${app}}~` : app;
}

/** Whether a time of performance.now() is less than a minute ago. */
function isRecent(time: number | undefined): boolean {
  return time !== undefined && performance.now() - time < REGISTRATION_TTL;
}

function shardsText(count: number): string {
  return count === 1 ? "1 shard" : `${count} shards`;
}
