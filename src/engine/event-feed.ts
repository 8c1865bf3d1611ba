import type { Subscriber, Subscription } from "../redis/subscriber.js";
import { type Change, parseAnnouncement } from "../sessions/announcement.js";
import type { RegisteredApp } from "../sessions/app-registry.js";
import { chunks } from "../sessions/paging.js";
import type { EndReason, SessionEvent, SubscribedEvent } from "../types.js";

/** What the feed needs of the engine. */
export interface FeedSource {
  readonly subscriber: Subscriber;
  /** The apps of the namespace. */
  apps(): AsyncIterable<RegisteredApp>;
  /** The number of shards of an app that is not in that list. */
  shardsOf(app: string): number;
  /** The channels of an app, one for each shard. */
  channelsOf(app: string, shards: number): string[];
  /** Removes the index entries of expired sessions, which announces their end. */
  wipeExpired(app: string, shards: number): Promise<unknown>;
}

/** What gets the events of one app, or of all. The functions must not throw. */
export interface Sink {
  onEvent(event: SessionEvent): void;
  onSubscribed?(event: SubscribedEvent): void;
}

/** How often to look for expired sessions and for new apps, in ms. */
const LOOK_INTERVAL = 1000;

/** How long an app that is not in the list of apps is still heard, in ms: it may be registered at this moment. */
const FORGET_AFTER = 60_000;

/** How long the first call of an app waits until its events are heard, in ms. */
const MAX_WAIT = 1000;

interface HeardApp {
  /** One for each shard. */
  readonly subscriptions: readonly Subscription[];
  /** Resolves when all subscriptions are established for the first time, or after MAX_WAIT. */
  readonly established: Promise<void>;
  isEstablished: boolean;
  /** When the app was last in the list of apps, or used, as performance.now() counts. */
  lastSeen: number;
}

/**
 * Passes the announcements of apps to sinks. While there is one, it also ends expired sessions in the index each second, because
 * the end of a session that nobody uses is announced when its index entry is removed.
 */
export class EventFeed {
  readonly #source: FeedSource;
  /** App → its sinks. The key undefined has the sinks that hear all apps. */
  readonly #sinks = new Map<string | undefined, Set<Sink>>();
  readonly #heard = new Map<string, HeardApp>();
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isClosed = false;

  constructor(source: FeedSource) {
    this.#source = source;
  }

  /**
   * Begins to pass events to a sink. Returns a function that ends it.
   * @param app the app to listen to; undefined for all apps of the namespace, including those that are created later
   */
  listen(app: string | undefined, sink: Sink): () => void {
    const sinks = this.#sinks.get(app) ?? new Set();
    this.#sinks.set(app, sinks.add(sink));
    if (app !== undefined) this.#hear(app);
    void this.#look();
    return () => {
      sinks.delete(sink);
      if (sinks.size > 0 || this.#sinks.get(app) !== sinks) return;
      this.#sinks.delete(app);
      this.#forget((heard) => this.#isWanted(heard));
      if (this.#sinks.size === 0) clearTimeout(this.#timer);
    };
  }

  /**
   * Must be called before a session of an app is created, which may be the first one of the app. Returns a promise only if the
   * events of the app must be heard and are not: it resolves when they are.
   */
  prepare(app: string): Promise<void> | undefined {
    if (!this.#sinks.has(undefined)) return undefined;
    const { isEstablished, established } = this.#hear(app);
    return isEstablished ? undefined : established;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#sinks.clear();
    this.#forget(() => false);
  }

  #isWanted(app: string): boolean {
    return this.#sinks.has(undefined) || this.#sinks.has(app);
  }

  #forget(isKept: (app: string) => boolean): void {
    for (const [app, { subscriptions }] of this.#heard) {
      if (isKept(app)) continue;
      for (const subscription of subscriptions) subscription.close();
      this.#heard.delete(app);
    }
  }

  #hear(app: string, shards = this.#source.shardsOf(app)): HeardApp {
    const known = this.#heard.get(app);
    if (known !== undefined) return known;
    let onFirst = () => {};
    const established = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, MAX_WAIT);
      timer.unref();
      onFirst = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    const channels = this.#source.channelsOf(app, shards);
    const waitingFor = new Set(channels);
    let missed = false;
    const onEstablished = (channel: string) => {
      waitingFor.delete(channel);
      if (waitingFor.size > 0) return;
      const heard = this.#heard.get(app);
      if (heard !== undefined) heard.isEstablished = true;
      onFirst();
      this.#each(app, (sink) => sink.onSubscribed?.({ app, missed }));
      missed = true;
    };
    const subscriptions = channels.map((channel) =>
      this.#source.subscriber.subscribe(channel, {
        onMessage: (message) => this.#pass(app, message),
        onEstablished: () => onEstablished(channel),
        // An outage of several shards is told once, when all of them are heard again.
        onLost: () => void waitingFor.add(channel),
      }),
    );
    const lastSeen = performance.now();
    const isEstablished = subscriptions.every(({ epoch }) => epoch > 0);
    const heard = { subscriptions, established, isEstablished, lastSeen };
    this.#heard.set(app, heard);
    return heard;
  }

  #pass(app: string, message: string): void {
    const { at, changes } = parseAnnouncement(message);
    for (const change of changes) {
      const event = toEvent(app, at, change);
      this.#each(app, (sink) => sink.onEvent(event));
    }
  }

  #each(app: string, pass: (sink: Sink) => void): void {
    for (const name of [undefined, app]) for (const sink of [...(this.#sinks.get(name) ?? [])]) pass(sink);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    clearTimeout(this.#timer);
    try {
      const apps = new Map<string, number>();
      for (const app of this.#sinks.keys()) if (app !== undefined) apps.set(app, this.#source.shardsOf(app));
      if (this.#sinks.has(undefined)) {
        for await (const { name, shards } of this.#source.apps()) apps.set(name, shards);
        const now = performance.now();
        // A sink may have ended meanwhile.
        for (const [app, shards] of apps) if (this.#isWanted(app)) this.#hear(app, shards).lastSeen = now;
        this.#forget((app) => this.#sinks.has(app) || now - (this.#heard.get(app)?.lastSeen ?? 0) < FORGET_AFTER);
      }
      // One app whose keys are damaged must not keep the others from being looked at.
      for (const chunk of chunks([...apps])) {
        await Promise.allSettled(chunk.map(([app, shards]) => this.#source.wipeExpired(app, shards)));
      }
    } catch {
      // The application's own calls report an outage of Redis. The next look finds what this one has missed.
    } finally {
      this.#isLooking = false;
      if (this.#sinks.size > 0 && !this.#isClosed) {
        this.#timer = setTimeout(() => void this.#look(), LOOK_INTERVAL);
        this.#timer.unref();
      }
    }
  }
}

/** @param at ms */
export function toEvent(app: string, at: number, change: Change): SessionEvent {
  const { ref, id } = change;
  if (change.kind === "rotated") return { kind: change.kind, app, id, ref, to: change.to, at };
  // A newer version may announce other reasons.
  if (change.kind === "ended") return { kind: change.kind, app, id, ref, reason: change.reason as EndReason, at };
  return { kind: change.kind, app, id, ref, at };
}
