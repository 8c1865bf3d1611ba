import { type SessionData, Store } from "express-session";
import { checkExcept, checkPart, checkSince } from "../engine/checks.js";
import { RedisSessions } from "../engine/engine.js";
import { internalsOf } from "../engine/internals.js";
import { deliver } from "../engine/method.js";
import type { SessionError } from "../errors.js";
import { watchOutage } from "../redis/client.js";
import type { AppSessions } from "../sessions/app-sessions.js";
import { quoteId } from "../sessions/keys.js";
import { prefetch } from "../sessions/paging.js";
import { type StoredSession, withoutData } from "../sessions/session-text.js";
import type { Activity, Client, Killed, Session } from "../types.js";
import { checkNames } from "../util/rules.js";
import { TimeSlice } from "../util/time-slice.js";
import {
  appOfPrefix,
  checkStoreOptions,
  DEFAULT_PREFIX,
  idOf,
  type RedisStoreOptions,
  type StoredData,
} from "./options.js";
import { isOfFramework, SessionTracker } from "./session-tracker.js";
import { isStoreRef } from "./store-ref.js";

type Done<Result = void> = (error: unknown, result?: Result) => void;

/** A session as `soid` and `soapp` list it. */
export interface ListedSession extends Omit<Session, "d"> {
  /** Seconds that it may rest, rounded up; 0 when it has no end. */
  ttl: number;
  /** The session's data, its cookie included. */
  d: StoredData;
}

/** The sessions of a user or an app, in the order that the method describes. */
export interface ListedSessions {
  /** Empty when there are none. */
  sessions: ListedSession[];
}

/**
 * A store for express-session that loses no update, revives no session that was ended, and knows whose session it is.
 * It takes the place of connect-redis; @fastify/session takes it as well.
 *
 * The methods of connect-redis (get, set, touch, destroy, clear, length, ids, all) take a callback, or return a promise;
 * the others return a promise.
 */
export class RedisStore extends Store {
  readonly #sessions: AppSessions;
  readonly #known: SessionTracker;

  /** @throws SessionError `invalidValue` for a misspelt or bad option; it names the right one */
  constructor(options: RedisStoreOptions) {
    super();
    checkStoreOptions(options);
    const { client, prefix = DEFAULT_PREFIX } = options;
    const rs = options.rs ?? new RedisSessions({ client: client as Client });
    const { connection, sessions } = internalsOf(rs);
    this.#sessions = sessions(options.app ?? appOfPrefix(prefix));
    this.#known = new SessionTracker(this.#sessions, connection, options);
    // Each `session()` that uses the store adds two, and there may be one a router.
    this.setMaxListeners(0);
    // In between express-session lets requests pass without a session.
    watchOutage(connection.client, this);
  }

  override get(sid: string, done: Done<SessionData | null>): void;
  /**
   * Reads a session and prolongs it (with `disableTouch`, `disableTTL` or a function for `ttl` it does not). Gives null when
   * there is none.
   */
  override get(sid: string): Promise<SessionData | null>;
  override get(sid: string, done?: Done<SessionData | null>): Promise<SessionData | null> | void {
    return answer(this.#known.get(sid), done);
  }

  override set(sid: string, session: SessionData, done: Done): void;
  /**
   * Writes a session. One that was loaded through the store is changed key by key, if it still lives; any other is
   * written whole. One whose cookie has expired is ended.
   * @throws SessionError `invalidFormat` or `missingParameter` where `userId` gives what is no id
   */
  override set(sid: string, session: SessionData): Promise<void>;
  override set(sid: string, session: SessionData, done?: Done): Promise<void> | void {
    return answer(this.#known.set(sid, session), isOfFramework(session) ? returnThrown(done) : done);
  }

  override touch(sid: string, session: SessionData, done: Done): void;
  /** Prolongs a session, if it lives. Costs no round trip when `get` has just done so. */
  override touch(sid: string, session: SessionData): Promise<void>;
  override touch(sid: string, session: SessionData, done?: Done): Promise<void> | void {
    return answer(this.#known.touch(sid, session), done);
  }

  override destroy(sid: string, done: Done): void;
  /** Ends a session, by its id or its ref. */
  override destroy(sid: string): Promise<void>;
  override destroy(sid: string, done?: Done): Promise<void> | void {
    return answer(this.#known.destroy(sid), done);
  }

  override clear(done: Done): void;
  /** Ends all sessions of the store's app. With `legacy`, those that connect-redis left are refused from now on. */
  override clear(): Promise<void>;
  override clear(done?: Done): Promise<void> | void {
    return answer(
      this.#known.killAll().then(() => undefined),
      done,
    );
  }

  override length(done: Done<number>): void;
  /** Counts the sessions. (One that has ended may count until the wiper of another server is through, 30 s at most.) */
  override length(): Promise<number>;
  override length(done?: Done<number>): Promise<number> | void {
    return answer(this.#sessions.index.count(), done);
  }

  /** The ids of all sessions, for a callback. */
  ids(done: Done<string[]>): void;
  /** The ids of the store's sessions; with `hashIds`, their refs. As exact as `length`. */
  ids(): Promise<string[]>;
  ids(done?: Done<string[]>): Promise<string[]> | void {
    return answer(this.#ids(), done);
  }

  override all(done: Done<SessionData[]>): void;
  /** The store's sessions, each with its `id` (with `hashIds`, its ref). */
  override all(): Promise<SessionData[]>;
  override all(done?: Done<SessionData[]>): Promise<SessionData[]> | void {
    return answer(this.#all(), done);
  }

  /**
   * The handle under which `soid` and `soapp` list a session: `~` and its id; with `hashIds` `~` and a hash of the id. So
   * `one.ref === store.ref(req.sessionID)` marks the session that the request came with. Says nothing about whether
   * there is such a session.
   */
  ref(sid: string): string {
    return this.#known.ref(sid);
  }

  /**
   * The sessions of a user, newest first: at most `limit` (default: all), after the first `offset` (default 0). `d` is the
   * session's data; `ttl` is in whole seconds, rounded up.
   */
  async soid(id: string | number, part: { limit?: number; offset?: number } = {}): Promise<ListedSessions> {
    checkNames("soid", part, ["limit", "offset"]);
    return this.#list(await this.#sessions.index.ofUser(quoteId(idOf(id)), checkPart(part)));
  }

  /**
   * Ends all sessions of a user, or all but the one whose id or ref is `except`. If that is none of theirs, all end. With
   * `legacy`, those that connect-redis left are refused from now on.
   */
  async killsoid(id: string | number, options: { except?: string } = {}): Promise<Killed> {
    checkNames("killsoid", options, ["except"]);
    const except = checkExcept(options, String);
    return { kill: await this.#known.killUser(quoteId(idOf(id)), except) };
  }

  /**
   * The sessions that were active in the last `dt` seconds (at least 10), most recently active first, as `soid` shows
   * them: at most `limit` (default: all), after the first `offset` (default 0).
   */
  async soapp(dt: number, part: { limit?: number; offset?: number } = {}): Promise<ListedSessions> {
    checkNames("soapp", part, ["limit", "offset"]);
    const since = checkSince({ dt });
    return this.#list(await this.#sessions.index.active(since, checkPart(part)));
  }

  /** How many users were active in the last `dt` seconds. */
  async activity(dt: number): Promise<Activity> {
    return { activity: await this.#sessions.index.countUsers(checkSince({ dt })) };
  }

  /** express-session's moment of handing a loaded session to the request: from here on the store knows it. */
  override createSession(
    req: Parameters<Store["createSession"]>[0],
    data: SessionData,
  ): ReturnType<Store["createSession"]> {
    const created = super.createSession(req, data);
    this.#known.passOn(req.sessionID, data, created);
    return created;
  }

  async #ids(): Promise<string[]> {
    const refs = await this.#sessions.index.refs();
    return refs.filter(isStoreRef).map((ref) => this.#known.idOfRef(ref));
  }

  async #all(): Promise<SessionData[]> {
    const all: SessionData[] = [];
    const slice = new TimeSlice();
    for await (const page of prefetch(this.#sessions.index.pages(), "before")) {
      for (const stored of page) {
        // An engine may have sessions in the same app.
        if (!isStoreRef(stored.ref)) continue;
        if (slice.isOver) await slice.yield();
        const data = await ifSound(async () => this.#known.read(stored));
        if (data !== undefined) all.push(Object.assign(data, { id: this.#known.idOfRef(stored.ref) }));
      }
    }
    return all;
  }

  async #list(found: readonly StoredSession[]): Promise<ListedSessions> {
    const now = Date.now();
    const sessions: ListedSession[] = [];
    const slice = new TimeSlice();
    for (const stored of found) {
      if (slice.isOver) await slice.yield();
      const listed = await ifSound(async () => {
        const own = withoutData(stored, now);
        return { ...own, ttl: Math.ceil(own.ttl), d: await this.#known.read(stored) };
      });
      if (listed !== undefined) sessions.push(listed);
    }
    return { sessions };
  }
}

/**
 * Hands a result to a callback, or returns the promise. Where nobody waits (`req.session.destroy()` without a callback)
 * a rejection must not end the process.
 */
function answer<Result>(work: Promise<Result>, done: Done<Result> | undefined): Promise<Result> | void {
  work.catch(() => {});
  return deliver(work, done);
}

/**
 * Gives what a callback throws back to it, as an error. @fastify/session sends the response in the callback of a save;
 * where that fails (a second `reply.send`, a header that is none) it answers 500, or tells the log. Nobody else can: in
 * connect-redis the same happens.
 */
function returnThrown(done: Done | undefined): Done | undefined {
  if (typeof done !== "function") return done;
  return (error, result) => {
    try {
      done(error, result);
    } catch (thrown) {
      // What it throws over an error has no other taker.
      if (error) throw thrown;
      process.nextTick(done, thrown);
    }
  };
}

/** What is read of a session in a list; undefined when somebody else has spoilt it, which shall not hide the others. */
async function ifSound<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if ((error as SessionError).name === "redisError") return undefined;
    throw error;
  }
}
