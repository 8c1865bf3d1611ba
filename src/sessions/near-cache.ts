import { setTimeout as sleep } from "node:timers/promises";
import type { Connection } from "../redis/connection.js";
import type { ChannelListener, Subscriber, Subscription } from "../redis/subscriber.js";
import type { CacheStatus } from "../types.js";
import { copyOf } from "../util/bounded-map.js";
import { changedRefs } from "./announcement.js";
import type { WriteSessions } from "./app-connection.js";
import { timeToRenewal } from "./families.js";
import type { Keys } from "./keys.js";
import * as operations from "./operations.js";
import { chunks } from "./paging.js";
import { StoredSession, Tombstone } from "./session-text.js";

/** The maximum size of the cached sessions, in bytes. */
const MAX_BYTES = 64 * 1024 * 1024;

/** How often the hits are sent to Redis, to prolong the sessions, in ms. */
const BATCH_INTERVAL = 1000;

/** How many sessions are prolonged at once. */
const PROLONGED_AT_ONCE = 500;

/** If this many sessions wait to be prolonged, the batch is sent early. */
const MAX_WAITING = 10_000;

/**
 * How long before its end a session is not served any more, in ms. A later hit might not reach Redis in time, and the session
 * would end although it was used.
 */
const MARGIN = 2 * BATCH_INTERVAL;

/** How long the first reads of an app wait for its subscription, in ms. */
const FIRST_WAIT = 500;

/** How many apps have cached sessions at once. On a Cluster each has a connection of its own. */
const MAX_APPS = 1000;

/** How long the subscription to an app stays open after the last session was cached, in ms. At least the cachetime. */
const IDLE_TIME = 60_000;

/** A session in the cache. */
interface Entry {
  readonly app: CachedApp;
  readonly stored: StoredSession;
  /** Where Redis knows that the session was used last, in the form of encodeOrigin(). */
  readonly origin: string;
  /** When it was read. This and the next are on the clock of performance.now(). */
  readonly readAt: number;
  /** When it must not be served any more. */
  readonly end: number;
  /** When it was used by a hit that Redis does not know of yet, ms; 0 if there is none. */
  usedAt: number;
}

/** The reads of a session that are under way. */
interface Reading {
  count: number;
  /** Whether the session may have changed since one of them began. Then none of their replies is kept. */
  isStale: boolean;
}

type Found = ReturnType<(typeof operations.get)["reply"]>;

/** Sends a read to Redis. */
type Run = (input: operations.ReadInput) => Promise<Found>;

/**
 * The near cache of an engine: sessions that were read lately, in the memory of this process.
 *
 * An entry is dropped before this process sends a change of its session, and when another process announces a change. A reply is
 * kept only if nothing can have changed since the read began: while it was under way, the subscription to the app's changes was
 * established, no change was announced, and this process sent none. What is not announced, such as a FLUSHALL, shows after the
 * cachetime at the latest.
 */
export class NearCache {
  readonly #connection: Connection;
  /** ms */
  readonly #cachetime: number;
  readonly #cachemax: number;
  /** By ref, the oldest first. If two apps have a session with the same ref, one of them is cached. */
  readonly #entries = new Map<string, Entry>();
  readonly #readings = new Map<string, Reading>();
  /** How many changes of a session this process has sent that are not answered, by ref. */
  readonly #writes = new Map<string, number>();
  /** Entries that were used and must be prolonged. Some may have been dropped since. */
  #used = new Map<string, Entry>();
  readonly #apps = new Map<string, CachedApp>();
  #bytes = 0;
  #hits = 0;
  #misses = 0;
  /** Whether the first reads of an app wait for its subscription. Not any more after one has come to nothing. */
  #waits = true;
  #prolonging: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param cachetime seconds */
  constructor(connection: Connection, cachetime: number, cachemax: number) {
    this.#connection = connection;
    this.#cachetime = cachetime * 1000;
    this.#cachemax = cachemax;
  }

  get status(): CacheStatus {
    const apps = [...this.#apps.values()];
    return {
      hits: this.#hits,
      misses: this.#misses,
      size: this.#entries.size,
      subscribed: apps.length > 0 && apps.every(({ isEstablished }) => isEstablished),
    };
  }

  /**
   * Returns a session if it is in the cache. Returns undefined if Redis must be asked.
   * @param touch whether the read is a use of the session, which prolongs it
   * @param origin where the session is used, in the form of encodeOrigin(), if Redis must record it
   */
  take(app: string, ref: string, touch: boolean, origin?: string): StoredSession | undefined {
    const entry = this.#entries.get(ref);
    if (
      entry === undefined ||
      entry.app.keys.app !== app ||
      performance.now() >= entry.end ||
      (origin !== undefined && !isKnown(origin, entry.origin))
    ) {
      return undefined;
    }
    this.#hits++;
    const { stored } = entry;
    if (touch) {
      const now = Date.now();
      if (entry.usedAt === 0) this.#used.set(ref, entry);
      entry.usedAt = now;
      stored.touchIfDue(now, BATCH_INTERVAL);
      if (this.#used.size >= MAX_WAITING) void this.#prolong();
    }
    return stored;
  }

  /** Counts a read for which Redis is asked, because `take` returned nothing. */
  noteMiss(): void {
    this.#misses++;
  }

  /** Reads a session from Redis, and keeps it if nothing can have changed since. */
  read(keys: Keys, input: operations.ReadInput, run: Run): Promise<Found> {
    const app = this.#apps.get(keys.base);
    if (app?.isEstablished) return this.#readAndKeep(app, input, run);
    return this.#readUnsubscribed(app, keys, input, run);
  }

  /** Drops sessions, makes a call that changes them, and keeps no reply of a read until the call has ended. */
  readonly write: WriteSessions = (refs, call) => {
    for (const ref of refs) {
      this.drop(ref);
      this.#writes.set(ref, (this.#writes.get(ref) ?? 0) + 1);
    }
    const end = () => {
      for (const ref of refs) {
        const left = (this.#writes.get(ref) ?? 1) - 1;
        if (left > 0) this.#writes.set(ref, left);
        else this.#writes.delete(ref);
        // Reads that began during the call must not share their fate with later ones.
        this.drop(ref);
      }
    };
    const result = call();
    result.then(end, end);
    return result;
  };

  /** Drops a session. The replies of reads that are under way are not kept. */
  drop(ref: string): void {
    this.#remove(ref);
    const reading = this.#readings.get(ref);
    if (reading === undefined) return;
    reading.isStale = true;
    this.#readings.delete(ref);
  }

  /** Drops all sessions of an app, because changes may have been missed. */
  dropApp(app: CachedApp): void {
    for (const [ref, entry] of this.#entries) if (entry.app === app) this.#remove(ref);
  }

  /** Prolongs the sessions that were used, and ends all subscriptions. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const app of this.#apps.values()) app.close();
    this.#apps.clear();
    this.#entries.clear();
    await this.#prolonging;
    await this.#prolong();
  }

  #readAndKeep(app: CachedApp, input: operations.ReadInput, run: Run, first?: StoredSession): Promise<Found> {
    const { ref } = input;
    const { epoch } = app;
    const readAt = performance.now();
    const now = Date.now();
    const reading = this.#begin(ref);
    const end = (found?: Found) => {
      if (--reading.count === 0 && this.#readings.get(ref) === reading) this.#readings.delete(ref);
      if (found === undefined) return;
      if (!(found instanceof StoredSession)) return this.drop(ref);
      this.#remove(ref);
      if (reading.isStale || !app.isEstablished || app.epoch !== epoch) return;
      if (first === undefined) this.#keep(app, found, found.left, readAt, now);
      // Only the answer of the first read has counted.
      else if (first.hasContentOf(found)) this.#keep(app, first, found.left, readAt, now);
    };
    const reply = run({ ...input, tellsLeft: true });
    // The session is kept before the caller gets the answer.
    reply.then(end, () => end());
    return reply;
  }

  /**
   * Reads a session while the app's subscription is not established. The reply is not kept. The first reads of an app wait for the
   * subscription and repeat the read, so that the next one is a hit. Subscribes only if there is a session: the names of apps may
   * come from visitors.
   */
  async #readUnsubscribed(
    known: CachedApp | undefined,
    keys: Keys,
    input: operations.ReadInput,
    run: Run,
  ): Promise<Found> {
    const deadline = this.#connection.deadline();
    const found = await run(input);
    if (!(found instanceof StoredSession)) return found;
    if (known === undefined && this.#apps.size >= MAX_APPS) return found;
    const app = known ?? this.#subscribe(keys);
    const wait = Math.min(deadline, app.firstUntil) - performance.now();
    if (wait <= 0 || !this.#waits) return found;
    const again = app.established.then(() =>
      this.#readAndKeep(app, { ...input, touchInterval: null, origin: undefined }, run, found),
    );
    const late = new AbortController();
    await Promise.race([again, sleep(wait, undefined, { ref: false, signal: late.signal })]).catch(() => {});
    late.abort();
    if (!app.isEstablished) this.#waits = false;
    return found;
  }

  #begin(ref: string): Reading {
    let reading = this.#readings.get(ref);
    if (reading === undefined) {
      reading = { count: 0, isStale: this.#writes.has(ref) };
      this.#readings.set(ref, reading);
    }
    reading.count++;
    return reading;
  }

  /**
   * @param left how long the session lives if nobody uses it, ms; -1 if it has no end
   * @param readAt on the clock of performance.now(), and `now` on that of Date.now()
   */
  #keep(app: CachedApp, stored: StoredSession, left: number, readAt: number, now: number): void {
    // The next read must record the first use of a new token, and only one may tell that the session is used from elsewhere.
    if (stored.flag("rotated") === "0" || stored.hasMoved) return;
    const life = left === -1 ? Number.POSITIVE_INFINITY : left - MARGIN;
    const end = readAt + Math.min(this.#cachetime, life, timeToRenewal(stored, now));
    if (end <= performance.now()) return;
    stored.keepSince(now, left);
    this.#entries.set(copyOf(stored.ref), { app, stored, origin: stored.origin, readAt, end, usedAt: 0 });
    this.#bytes += bytesOf(stored);
    app.keptAt = readAt;
    for (const ref of this.#entries.keys()) {
      if (this.#entries.size <= this.#cachemax && this.#bytes <= MAX_BYTES) break;
      this.#remove(ref);
    }
  }

  #remove(ref: string): void {
    const entry = this.#entries.get(ref);
    if (entry === undefined) return;
    this.#entries.delete(ref);
    this.#bytes -= bytesOf(entry.stored);
  }

  #subscribe(keys: Keys): CachedApp {
    const app = this.#apps.get(keys.base) ?? new CachedApp(this, keys, this.#connection.subscriber);
    this.#apps.set(keys.base, app);
    this.#timer ??= setInterval(this.#tick, BATCH_INTERVAL).unref();
    return app;
  }

  readonly #tick = (): void => {
    void this.#prolong();
    const now = performance.now();
    for (const [ref, { readAt }] of this.#entries) {
      if (readAt + this.#cachetime > now) break;
      this.#remove(ref);
    }
    for (const [base, app] of this.#apps) {
      if (app.keptAt + Math.max(IDLE_TIME, this.#cachetime) > now) continue;
      app.close();
      this.#apps.delete(base);
    }
    if (this.#apps.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  };

  /** Tells Redis which sessions were used by hits. One batch at a time. */
  #prolong(): Promise<void> {
    this.#prolonging ??= this.#prolongUsed().finally(() => {
      this.#prolonging = undefined;
    });
    return this.#prolonging;
  }

  async #prolongUsed(): Promise<void> {
    const used = [...this.#used];
    this.#used = new Map();
    const uses = used.map(([ref, entry]) => {
      const { usedAt } = entry;
      entry.usedAt = 0;
      return { keys: entry.app.keys, input: { ref, now: usedAt, ttl: undefined } };
    });
    for (const chunk of chunks(uses, PROLONGED_AT_ONCE)) {
      await Promise.all(chunk.map(({ keys, input }) => this.#touch(keys, input)));
    }
  }

  async #touch(keys: Keys, input: operations.Touching): Promise<void> {
    try {
      const found = await this.#connection.run(operations.touch, keys, input);
      // It has ended without an announcement: Redis was flushed, or has evicted it.
      if (found === null || found instanceof Tombstone) this.drop(input.ref);
    } catch {
      // The application's own calls report an outage of Redis.
    }
  }
}

/** An app with cached sessions. */
class CachedApp implements ChannelListener {
  readonly keys: Keys;
  /** Differs after each loss of the subscription. */
  epoch = 0;
  isEstablished = false;
  /** When a session of the app was kept last, on the clock of performance.now(). */
  keptAt = performance.now();
  /** Until when the first reads wait for the subscription, on the same clock. */
  readonly firstUntil = performance.now() + FIRST_WAIT;
  /** Resolves when the subscription is established for the first time. */
  readonly established: Promise<void>;
  #establish: () => void = () => {};
  readonly #cache: NearCache;
  readonly #subscription: Subscription;

  constructor(cache: NearCache, keys: Keys, subscriber: Subscriber) {
    this.keys = keys;
    this.#cache = cache;
    this.established = new Promise((resolve) => {
      this.#establish = resolve;
    });
    this.#subscription = subscriber.subscribe(keys.channel, this);
  }

  onMessage(message: string): void {
    for (const ref of changedRefs(message)) this.#cache.drop(ref);
  }

  onEstablished(): void {
    this.isEstablished = true;
    this.#establish();
  }

  onLost(): void {
    this.isEstablished = false;
    this.epoch++;
    this.#cache.dropApp(this);
  }

  close(): void {
    this.#subscription.close();
    this.onLost();
  }
}

/** Whether Redis knows already that a session is used from `origin`. A line that is empty is unknown. */
function isKnown(origin: string, recorded: string): boolean {
  // Without a device, which comes last, the origin is a beginning of the recorded one.
  if (recorded.startsWith(origin)) return true;
  const known = recorded.split("\n");
  return origin.split("\n").every((line, i) => line === "" || line === known[i]);
}

/** The memory of a session: at most two bytes a character. */
function bytesOf({ size }: StoredSession): number {
  return 2 * size;
}
