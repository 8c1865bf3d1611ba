import { EventEmitter, on } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidValue, isOutage, quote, SessionError } from "../errors.js";
import { toChange } from "../sessions/announcement.js";
import type { EventMap, MissedEvent, SessionEvent } from "../types.js";
import { warnOnce } from "../util/warn-once.js";
import { EventFeed, type FeedSource, toEvent } from "./event-feed.js";
import { EventStream, START, type StreamEntry } from "./event-stream.js";

/** The maximum number of events that wait for a slow iterator. */
const MAX_WAITING = 10_000;

/** How often to look at a stream whose events were not heard, in ms. */
const LOOK_INTERVAL = 1000;

/** What the events of an engine need of it. */
export interface EventSource extends FeedSource {
  /**
   * Returns a promise unless this was done in the last minute: it rejects if the app has another number of shards in Redis than
   * `shardsOf` says.
   */
  checkShards(app: string): Promise<void> | undefined;
  /** Returns a function that reads entries of the stream of a shard, from an id on. */
  streamsOf(app: string, shards: number): (shard: number, from: string, limit: number) => Promise<StreamEntry[]>;
}

/** What an iterator yields. */
type IteratedEvent = SessionEvent | MissedEvent;

/** The names of the events that come from Redis. */
export const EVENT_NAMES = ["created", "changed", "rotated", "ended", "subscribed"] as const;

/** @throws SessionError `invalidValue` for an unknown name, which would never be called, and for a listener of another type */
export function checkListener(name: unknown, listener: unknown): void {
  if (name !== "error" && !(EVENT_NAMES as readonly unknown[]).includes(name)) {
    throw invalidValue("There is no event of this name", `the events are ${EVENT_NAMES.join(", ")} and error`);
  }
  if (typeof listener !== "function")
    throw invalidValue(`The listener must be a function: rs.on("${name}", (event) => …)`);
}

/** The listeners and iterators of an engine. */
export class Events {
  readonly feed: EventFeed;
  readonly #source: EventSource;
  readonly #emitter = new EventEmitter();
  #stopListening: (() => void) | undefined;
  /** Ends the iterators. */
  readonly #closing = new EventEmitter();
  #isClosed = false;

  constructor(source: EventSource) {
    this.#source = source;
    this.feed = new EventFeed(source);
    this.#emitter.setMaxListeners(0);
    this.#closing.setMaxListeners(0);
  }

  on<Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): void {
    this.#emitter.on(name, listener);
    this.#update();
  }

  once<Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): void {
    this.#emitter.once(name, listener);
    this.#update();
  }

  off<Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): void {
    this.#emitter.off(name, listener);
    this.#update();
  }

  /** Iterates over the events of an app from now on. */
  live(app: string): AsyncGenerator<IteratedEvent, void> {
    const queue = new EventEmitter();
    return endingAtOnce(this.#live(app, queue), () => queue.emit("end"));
  }

  /** Iterates over the events in the stream of an app that come after a position, and then over those from now on. */
  after(app: string, after: string): AsyncGenerator<IteratedEvent, void> {
    const ending = new AbortController();
    return endingAtOnce(this.#after(app, after, ending), () => ending.abort());
  }

  /** @param queue emits "end" to end the iterator */
  async *#live(app: string, queue: EventEmitter): AsyncGenerator<IteratedEvent, void> {
    let waiting = 0;
    const end = () => queue.emit("end");
    const events = on(queue, "event", { close: ["end"] });
    const pass = (event: IteratedEvent) => {
      if (++waiting <= MAX_WAITING) queue.emit("event", event);
      else {
        stop();
        queue.emit("error", tooSlow());
      }
    };
    const stop = this.feed.listen(app, {
      onEvent: pass,
      onSubscribed: ({ missed }) => {
        if (missed) pass({ kind: "missed", app });
      },
    });
    this.#closing.on("close", end);
    try {
      if (this.#isClosed) return;
      // With the wrong number of shards, it would hear other channels.
      await this.#source.checkShards(app)?.catch(throwUnlessOutage);
      for await (const [event] of events) {
        waiting--;
        yield event;
      }
    } finally {
      stop();
      this.#closing.off("close", end);
    }
  }

  async *#after(app: string, after: string, ending: AbortController): AsyncGenerator<IteratedEvent, void> {
    // The announcements only tell when to read, so that none is missed if the subscription is lost.
    let wake = new AbortController();
    const stop = this.feed.listen(app, { onEvent: () => wake.abort() });
    ending.signal.addEventListener("abort", () => wake.abort());
    const end = () => ending.abort();
    this.#closing.on("close", end);
    try {
      let stream: EventStream | undefined;
      while (!this.#isClosed && !ending.signal.aborted) {
        wake = new AbortController();
        // With the wrong number of shards, it would look in the wrong streams. An outage delays the events only.
        await this.#source.checkShards(app)?.catch(throwUnlessOutage);
        const shards = this.#source.shardsOf(app);
        if (stream?.shards !== shards) {
          const positions = positionsIn(stream?.position ?? after, app, shards);
          stream = new EventStream(positions, this.#source.streamsOf(app, shards));
        }
        for (let entry = await stream.next(); entry !== undefined; entry = await stream.next()) {
          const { position } = stream;
          if (entry === "missed") yield { kind: "missed", app, entry: position };
          else yield* eventOf(app, entry, position);
          if (ending.signal.aborted) return;
        }
        await sleep(LOOK_INTERVAL, undefined, { signal: wake.signal }).catch(() => {});
        // With one read for each shard, at most about a thousand reads a second.
        if (shards > 1) await sleep(shards, undefined, { signal: ending.signal }).catch(() => {});
      }
    } finally {
      stop();
      this.#closing.off("close", end);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.feed.close();
    this.#closing.emit("close");
  }

  /** Listens to Redis if there is a listener, otherwise not. */
  #update(): void {
    const isNeeded = !this.#isClosed && EVENT_NAMES.some((name) => this.#emitter.listenerCount(name) > 0);
    if (isNeeded === (this.#stopListening !== undefined)) return;
    this.#stopListening?.();
    this.#stopListening = isNeeded
      ? this.feed.listen(undefined, {
          onEvent: (event) => {
            emitSafely(this.#emitter, event.kind, event);
            this.#update();
          },
          onSubscribed: (event) => {
            emitSafely(this.#emitter, "subscribed", event);
            this.#update();
          },
        })
      : undefined;
  }
}

/**
 * Calls all listeners, also if one of them throws or returns a promise that is rejected. The error is emitted as "error" if that
 * has a listener, as in Node. Otherwise it becomes a process warning, once for each listener, because an event of Redis must not
 * end the process.
 */
export function emitSafely(emitter: EventEmitter, name: string, event: unknown): void {
  for (const listener of emitter.rawListeners(name)) {
    const fail = (error: unknown) => {
      if (name !== "error" && emitter.listenerCount("error") > 0) return emitSafely(emitter, "error", error);
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      warnOnce(listener, "EVENT_LISTENER_FAILED", `A listener of "${name}" has failed: ${text}`);
    };
    try {
      const result: unknown = listener.call(emitter, event);
      if (result instanceof Promise) result.catch(fail);
    } catch (error) {
      fail(error);
    }
  }
}

/** Lets `return` end an iterator that waits for an event. A generator would take note of it with the next event only. */
function endingAtOnce(
  events: AsyncGenerator<IteratedEvent, void>,
  end: () => void,
): AsyncGenerator<IteratedEvent, void> {
  const finish = events.return.bind(events);
  events.return = (value) => {
    end();
    return finish(value);
  };
  return events;
}

function tooSlow(): SessionError {
  return new SessionError("unavailable", `More than ${MAX_WAITING} events wait for the iterator`, {
    hint: "handle the events without waiting, or read them from a stream: events({ app, after })",
  });
}

function throwUnlessOutage(error: unknown): void {
  if (!isOutage(error)) throw error;
}

/**
 * Splits a position in the streams of an app into those in the streams of its shards.
 * @throws SessionError `invalidValue` if it is a position in another number of shards
 */
function positionsIn(position: string, app: string, shards: number): string[] {
  if (position === START) return Array(shards).fill(START);
  const positions = position.split(",");
  if (positions.length === shards) return positions;
  throw invalidValue(
    `events: after is a position in ${positions.length} shards, but the app ${quote(app)} has ${shards}`,
    'its number of shards was changed: check what depends on missed events, and begin with after: "0"',
  );
}

/** Yields the event of an entry; nothing if only a newer version knows its kind. */
function* eventOf(app: string, [id, fields]: StreamEntry, position: string): Generator<SessionEvent, void> {
  const values = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) values.set(fields[i] as string, fields[i + 1] as string);
  const text = (name: string) => values.get(name) ?? "";
  const change = toChange(text("kind"), text("ref"), text("id"), text("detail"));
  // The first part of an entry's id is the time of Redis, ms.
  if (change !== undefined) yield { ...toEvent(app, Number.parseInt(id, 10), change), entry: position };
}
