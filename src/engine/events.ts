import { EventEmitter, on } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { invalidValue, isOutage, SessionError } from "../errors.js";
import { toChange } from "../sessions/announcement.js";
import type { EventMap, SessionEvent } from "../types.js";
import { warnOnce } from "../util/warn-once.js";
import { EventFeed, type FeedSource, toEvent } from "./event-feed.js";

/** The maximum number of events that wait for a slow iterator. */
const MAX_WAITING = 10_000;

/** How many entries of a stream are read at once. */
const PAGE = 100;

/** How often to look at a stream whose events were not heard, in ms. */
const LOOK_INTERVAL = 1000;

/** An entry of a stream: its id, and its fields and their values, one after the other. */
export type StreamEntry = [id: string, fields: string[]];

/** What the events of an engine need of it. */
export interface EventSource extends FeedSource {
  /** Reads entries of an app's stream, from an id on. */
  readStream(app: string, from: string, limit: number): Promise<StreamEntry[]>;
}

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
  live(app: string): AsyncGenerator<SessionEvent, void> {
    const queue = new EventEmitter();
    return endingAtOnce(this.#live(app, queue), () => queue.emit("end"));
  }

  /** Iterates over the events in the stream of an app that come after an entry, and then over those from now on. */
  after(app: string, after: string): AsyncGenerator<SessionEvent, void> {
    const ending = new AbortController();
    return endingAtOnce(this.#after(app, after, ending), () => ending.abort());
  }

  /** @param queue emits "end" to end the iterator */
  async *#live(app: string, queue: EventEmitter): AsyncGenerator<SessionEvent, void> {
    let waiting = 0;
    const end = () => queue.emit("end");
    const events = on(queue, "event", { close: ["end"] });
    const stop = this.feed.listen(app, {
      onEvent: (event) => {
        if (++waiting <= MAX_WAITING) queue.emit("event", event);
        else {
          stop();
          queue.emit("error", tooSlow());
        }
      },
    });
    this.#closing.on("close", end);
    try {
      if (this.#isClosed) return;
      for await (const [event] of events) {
        waiting--;
        yield event;
      }
    } finally {
      stop();
      this.#closing.off("close", end);
    }
  }

  async *#after(app: string, after: string, ending: AbortController): AsyncGenerator<SessionEvent, void> {
    // The announcements only tell when to read, so that none is missed if the subscription is lost.
    let wake = new AbortController();
    const stop = this.feed.listen(app, { onEvent: () => wake.abort() });
    ending.signal.addEventListener("abort", () => wake.abort());
    const end = () => ending.abort();
    this.#closing.on("close", end);
    try {
      for (let last = after; !this.#isClosed && !ending.signal.aborted; ) {
        wake = new AbortController();
        // The next look finds what an outage has delayed.
        const page = await this.#source.readStream(app, next(last), PAGE).catch((error) => {
          if (isOutage(error)) return [];
          throw error;
        });
        for (const [entry, fields] of page) {
          last = entry;
          const event = eventOf(app, entry, fields);
          if (event !== undefined) yield event;
        }
        if (page.length === 0) await sleep(LOOK_INTERVAL, undefined, { signal: wake.signal }).catch(() => {});
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
function endingAtOnce(events: AsyncGenerator<SessionEvent, void>, end: () => void): AsyncGenerator<SessionEvent, void> {
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

/** Returns the smallest id of a stream's entry after another one. (Redis 6.0 has no exclusive ranges.) */
function next(entry: string): string {
  const [ms, sequence = "0"] = entry.split("-");
  return `${ms}-${BigInt(sequence) + 1n}`;
}

function eventOf(app: string, entry: string, fields: readonly string[]): SessionEvent | undefined {
  const values = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) values.set(fields[i] as string, fields[i + 1] as string);
  const text = (name: string) => values.get(name) ?? "";
  const change = toChange(text("kind"), text("ref"), text("id"), text("detail"));
  // The first part of an entry's id is the time of Redis, ms.
  return change && { ...toEvent(app, Number.parseInt(entry, 10), change), entry };
}
