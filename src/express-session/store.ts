import { type SessionData, Store } from "express-session";
import { checkExcept, checkId, checkInteger, checkPart, checkSince, MAX_SECONDS } from "../engine/checks.js";
import { checkData, checkKey } from "../engine/data.js";
import { RedisSessions } from "../engine/engine.js";
import { internalsOf } from "../engine/internals.js";
import { deliver } from "../engine/method.js";
import { invalidValue, type SessionError } from "../errors.js";
import { isTracing, traced } from "../redis/call-trace.js";
import { watchOutage } from "../redis/client.js";
import { quoteId } from "../sessions/keys.js";
import { prefetch } from "../sessions/paging.js";
import { type StoredSession, withoutData } from "../sessions/session-text.js";
import type { Sessions } from "../sessions/sessions.js";
import type {
  Activity,
  Client,
  EventMap,
  Imported,
  ImportOptions,
  Incremented,
  Killed,
  Session,
  Written,
} from "../types.js";
import { nextTick } from "../util/real-timers.js";
import { checkNames } from "../util/rules.js";
import { warnOfMilliseconds } from "../util/seconds.js";
import { TimeSlice } from "../util/time-slice.js";
import { holdResponse } from "./held-response.js";
import {
  appOfPrefix,
  type ChangedData,
  checkStoreOptions,
  type RedisStoreOptions,
  type StoredData,
  settingsOf,
} from "./options.js";
import { newCookie, type Request, type WithSession } from "./request.js";
import { isOfFramework, SessionTracker } from "./session-tracker.js";
import { emitEvents } from "./store-events.js";
import { isStoreRef, StoreRefs } from "./store-ref.js";

type Done<Result = void> = (error: unknown, result?: Result) => void;

/** A session as `soid` and `soapp` list it. */
export interface ListedSession extends Omit<Session, "d"> {
  /** The idle timeout in seconds, rounded up; 0 if the session has no TTL. */
  ttl: number;
  /** The session's data, its cookie included. */
  d: StoredData;
}

/** The sessions of a user or an app, in the order that the method documents. */
export interface ListedSessions {
  /** Empty if there are none. */
  sessions: ListedSession[];
}

/**
 * A store for express-session and @fastify/session that replaces connect-redis. It loses no update, revives no session
 * that was ended, and knows which user a session belongs to.
 *
 * The methods that connect-redis has, too (get, set, touch, destroy, clear, length, ids, all), call a callback if there is
 * one, and otherwise return a promise. The other methods return a promise.
 */
export class RedisStore extends Store {
  readonly #app: string;
  readonly #sessions: Sessions;
  readonly #refs: StoreRefs;
  readonly #tracker: SessionTracker;

  /** @throws SessionError `invalidValue` for an unknown option or a bad value; for a misspelt option it names the right one */
  constructor(options: RedisStoreOptions) {
    super();
    checkStoreOptions(options);
    const settings = settingsOf(options);
    if (typeof settings.ttl === "number") warnOfMilliseconds(settings, "RedisStore: ttl", settings.ttl);
    const { client, cachetime, cachemax, shards } = options;
    const rs = options.rs ?? new RedisSessions({ client: client as Client, cachetime, cachemax, shards });
    warnOfMilliseconds(settings, "RedisStore: absolute", settings.limits.absolute);
    const { connection, sessions, listen, shards: count } = internalsOf(rs);
    if (count > 1 && settings.limits.maxPerUser !== undefined) {
      throw invalidValue(
        `RedisStore: maxPerUser does not work with shards: ${count}`,
        "a user's sessions are in several shards, where no script can count them; leave out one of the two options",
      );
    }
    this.#app = options.app ?? appOfPrefix(settings.prefix);
    this.#sessions = sessions(this.#app);
    this.#refs = new StoreRefs(settings.hashIds);
    this.#tracker = new SessionTracker(this.#sessions, connection, settings, this.#refs);
    // Each `session()` that uses the store adds two listeners, and each router may have its own `session()`.
    this.setMaxListeners(0);
    // Between "disconnect" and "connect" express-session lets requests pass without a session.
    watchOutage(connection.client, this);
    emitEvents(this, (sink) => {
      if (options.rs === undefined) throw noEvents();
      return listen(this.#app, sink);
    });
  }

  override on<Name extends keyof EventMap>(name: Name, listener: (event: EventMap[Name]) => void): this;
  /**
   * Adds a listener: for the events of the store's sessions, "created", "changed", "rotated", "ended" and "subscribed", see `on` of
   * the engine; or for "disconnect" and "connect". `store.ref(req.sessionID) === event.ref` finds the session of a request.
   * @throws SessionError `invalidValue` for an event of a session if the engine of the store has no option `events`
   */
  override on(name: string | symbol, listener: (...args: never[]) => void): this;
  override on(name: string | symbol, listener: (...args: never[]) => void): this {
    return super.on(name, listener as (...args: unknown[]) => void);
  }

  override get(sid: string, done: Done<SessionData | null>): void;
  /**
   * Reads a session and prolongs it. With `disableTouch`, with `disableTTL` and with a function for `ttl` it does not
   * prolong. Returns null if the session does not exist.
   */
  override get(sid: string): Promise<SessionData | null>;
  override get(sid: string, done?: Done<SessionData | null>): Promise<SessionData | null> | void {
    return answer(
      this.#call("get", () => this.#tracker.get(sid)),
      done,
    );
  }

  override set(sid: string, session: SessionData, done: Done): void;
  /**
   * Saves a session. If it was loaded through the store, only the keys that changed are written, and nothing if it was
   * ended meanwhile. Any other session is written whole. A session whose cookie has expired is ended.
   * @throws SessionError `invalidFormat` or `missingParameter` if `userId` returns an invalid id
   */
  override set(sid: string, session: SessionData): Promise<void>;
  override set(sid: string, session: SessionData, done?: Done): Promise<void> | void {
    const saving = this.#call("set", () => this.#tracker.set(sid, session));
    const answered = answer(saving, isOfFramework(session) ? returnThrown(done) : done);
    holdResponse(session, saving);
    return answered;
  }

  override touch(sid: string, session: SessionData, done: Done): void;
  /** Prolongs a session. Nothing happens if it does not exist. Costs no round trip if `get` has just prolonged it. */
  override touch(sid: string, session: SessionData): Promise<void>;
  override touch(sid: string, session: SessionData, done?: Done): Promise<void> | void {
    const touching = this.#call("touch", () => this.#tracker.touch(sid, session));
    const answered = answer(touching, done);
    holdResponse(session, touching);
    return answered;
  }

  override destroy(sid: string, done: Done): void;
  /** Ends a session, by its id or its ref. Nothing happens if it does not exist. */
  override destroy(sid: string): Promise<void>;
  override destroy(sid: string, done?: Done): Promise<void> | void {
    return answer(
      this.#call("destroy", () => this.#tracker.destroy(sid)),
      done,
    );
  }

  override clear(done: Done): void;
  /** Ends all sessions of the store's app. With `legacy`, sessions that connect-redis wrote are refused from now on. */
  override clear(): Promise<void>;
  override clear(done?: Done): Promise<void> | void {
    return answer(
      this.#call("clear", () => this.#tracker.killAll().then(() => undefined)),
      done,
    );
  }

  override length(done: Done<number>): void;
  /** Counts the sessions. An expired session may count until a wiper has dropped it from the index, at most 30 s. */
  override length(): Promise<number>;
  override length(done?: Done<number>): Promise<number> | void {
    return answer(
      this.#call("length", () => this.#sessions.index.count()),
      done,
    );
  }

  /** Calls back with the ids of all sessions. */
  ids(done: Done<string[]>): void;
  /** The ids of the store's sessions; with `hashIds`, their refs. As exact as `length`. */
  ids(): Promise<string[]>;
  ids(done?: Done<string[]>): Promise<string[]> | void {
    return answer(
      this.#call("ids", () => this.#ids()),
      done,
    );
  }

  override all(done: Done<SessionData[]>): void;
  /** The store's sessions, each with its `id` (with `hashIds`, its ref). */
  override all(): Promise<SessionData[]>;
  override all(done?: Done<SessionData[]>): Promise<SessionData[]> | void {
    return answer(
      this.#call("all", () => this.#all()),
      done,
    );
  }

  /**
   * Moves the session of a request to a new id, for example when privileges change. The data, the user and the lifetime stay, and
   * so do changes that the request has not saved yet. `req.session` and `req.sessionID` are new afterwards, and the response
   * sets the cookie.
   *
   * The browser's other requests may use the old id for `grace` seconds (default 10), and what they save reaches the session.
   * With 0 the old id ends at once: at a sign-in, where someone else may know the old id.
   *
   * Returns whether the session has a new id. False if it is not in Redis (it was never saved, or has ended), or if another
   * request has just rotated it. The request then keeps its session and its id.
   * @throws SessionError `headersSent` if the response has begun; `invalidValue` if `req` has no session of express-session, or
   * if its option `genid` returns the same id again
   */
  async rotate(req: WithSession, options: { grace?: number } = {}): Promise<boolean> {
    checkNames({ name: "rotate", call: "store.rotate(req, { grace })" }, options, ["grace"]);
    const grace = checkInteger("grace", options.grace ?? 10, 0, MAX_SECONDS);
    warnOfMilliseconds(this, "RedisStore: grace", grace, 3600);
    return this.#tracker.rotate(req, grace * 1000);
  }

  /**
   * The handle under which `soid` and `soapp` list a session: `~` and its id, or with `hashIds` `~` and a hash of the id.
   * `one.ref === store.ref(req.sessionID)` finds the session of the current request. Does not check that the session
   * exists.
   */
  ref(sid: string): string {
    return this.#refs.of(sid);
  }

  /**
   * Lists the sessions of a user, newest first: at most `limit` (default: all), after the first `offset` (default 0).
   * `d` is the session's data.
   */
  async soid(id: string | number, part: { limit?: number; offset?: number } = {}): Promise<ListedSessions> {
    checkNames({ name: "soid", call: "store.soid(id, { limit })" }, part, ["limit", "offset"]);
    return this.#call("soid", async () =>
      this.#list(await this.#sessions.index.ofUser(quoteId(checkId(id)), checkPart(part))),
    );
  }

  /**
   * Ends all sessions of a user, except the one whose id or ref is `except`. If `except` is not a session of this user,
   * all sessions end. With `legacy`, sessions of the user that connect-redis wrote are refused from now on.
   */
  async killsoid(id: string | number, options: { except?: string } = {}): Promise<Killed> {
    checkNames({ name: "killsoid", call: "store.killsoid(id, { except })" }, options, ["except"]);
    const except = checkExcept(options, String);
    return this.#call("killsoid", async () => ({ kill: await this.#tracker.killUser(quoteId(checkId(id)), except) }));
  }

  /**
   * Merges keys into all sessions of a user, without touching the sessions: for a role that changes. `undefined` removes a key.
   * Returns how many sessions were changed. Every session that exists at the call is changed, also one that is rotated
   * meanwhile; one that is created during the call may be missed. Sessions that the engine created are left alone.
   *
   * A request under way keeps what it has loaded. Its save does not undo the change, unless it has changed the same key.
   * @throws SessionError `invalidValue` for the cookie and for the key that contains the user's id; also if a session would
   * exceed `maxBytes` or `maxKeys`, but the user's other sessions are changed then
   */
  async setAll(id: string | number, d: ChangedData): Promise<Written> {
    return { set: await this.#tracker.setAll(quoteId(checkId(id)), checkData(d)) };
  }

  /**
   * Adds `by` (an integer, default 1) to the number under a key of a session, in one step: of 50 calls at the same time, none
   * is lost. A missing key counts as 0. If the sum would exceed `max`, nothing changes, and `applied` is false. Returns null if
   * the session does not exist, for example because it was not saved yet.
   *
   * `req.session` of a request under way keeps the value that it has loaded. Do not change the key there, too.
   * @param sid the session's id, such as `req.sessionID`
   * @throws SessionError `invalidValue` if the value is not an integer, or would exceed 2^53 - 1; and with a `serializer`
   */
  async increment(sid: string, key: string, by = 1, options: { max?: number } = {}): Promise<Incremented | null> {
    checkNames({ name: "increment", call: "store.increment(sid, key, by, { max })" }, options, ["max"]);
    const { MIN_SAFE_INTEGER } = Number;
    const max = options.max === undefined ? undefined : checkInteger("max", options.max, MIN_SAFE_INTEGER);
    return this.#tracker.increment(sid, checkKey(key), checkInteger("by", by, MIN_SAFE_INTEGER), max);
  }

  /**
   * Lists the sessions that were active in the last `dt` seconds (at least 10), most recently active first: at most
   * `limit` (default: all), after the first `offset` (default 0). The sessions look as in `soid`.
   */
  async soapp(dt: number, part: { limit?: number; offset?: number } = {}): Promise<ListedSessions> {
    checkNames({ name: "soapp", call: "store.soapp(dt, { limit })" }, part, ["limit", "offset"]);
    const since = checkSince({ dt });
    return this.#call("soapp", async () => this.#list(await this.#sessions.index.active(since, checkPart(part))));
  }

  /** The same as `soid`. */
  userSessions(id: string | number, part?: { limit?: number; offset?: number }): Promise<ListedSessions> {
    return this.soid(id, part);
  }

  /** The same as `killsoid`. */
  killUser(id: string | number, options?: { except?: string }): Promise<Killed> {
    return this.killsoid(id, options);
  }

  /** The same as `soapp`. */
  activeSessions(dt: number, part?: { limit?: number; offset?: number }): Promise<ListedSessions> {
    return this.soapp(dt, part);
  }

  /** Counts the users that were active in the last `dt` seconds (at least 10). */
  async activity(dt: number): Promise<Activity> {
    const since = checkSince({ dt });
    return this.#call("activity", async () => ({ activity: await this.#sessions.index.countUsers(since) }));
  }

  /**
   * Moves all sessions that connect-redis left under the store's prefix, and keeps the time that they have left. Requests may
   * be served meanwhile. connect-redis must no longer run: its servers would not find the sessions. Redis is scanned in small
   * steps. If the import fails or is stopped, call it again to import the rest.
   * @throws SessionError `invalidValue` with `legacy: false`
   */
  async importSessions(options: ImportOptions = {}): Promise<Imported> {
    return this.#call("importSessions", async () => this.#tracker.importSessions(options));
  }

  /**
   * express-session calls this to make the request's session of loaded data. From here on the store tracks that session. A
   * session that was stored without a cookie gets a new one, with the cookie options of the site.
   */
  override createSession(req: Request, data: SessionData): ReturnType<Store["createSession"]> {
    if (typeof data.cookie !== "object" || data.cookie === null) data.cookie = newCookie(req);
    const created = super.createSession(req, data);
    this.#tracker.passOn(req.sessionID, data, created);
    return created;
  }

  /** Makes a call, and traces it if someone listens. */
  #call<Result>(method: string, call: () => Promise<Result>): Promise<Result> {
    return isTracing() ? traced(`RedisStore.${method}`, this.#app, call) : call();
  }

  async #ids(): Promise<string[]> {
    const refs = await this.#sessions.index.refs();
    return refs.filter(isStoreRef).map((ref) => this.#refs.sidOrRef(ref));
  }

  async #all(): Promise<SessionData[]> {
    const all: SessionData[] = [];
    const slice = new TimeSlice();
    for await (const page of prefetch(this.#sessions.index.pages(), "before")) {
      for (const stored of page) {
        // An engine may hold sessions in the same app.
        if (!isStoreRef(stored.ref)) continue;
        if (slice.isOver) await slice.yield();
        const data = await ifReadable(async () => this.#tracker.read(stored));
        if (data !== undefined) all.push(Object.assign(data, { id: this.#refs.sidOrRef(stored.ref) }));
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
      const listed = await ifReadable(async () => {
        const head = withoutData(stored, now);
        return { ...head, ttl: Math.ceil(head.ttl), d: await this.#tracker.read(stored) };
      });
      if (listed !== undefined) sessions.push(listed);
    }
    return { sessions };
  }
}

function noEvents(): SessionError {
  return invalidValue(
    "RedisStore has no events of its own",
    "pass rs: new RedisSessions({ client, events: true }) and app, in the place of client",
  );
}

/**
 * Passes a result to the callback, or returns the promise. If nobody awaits the promise (`req.session.destroy()` without
 * a callback), a rejection must not end the process.
 */
function answer<Result>(work: Promise<Result>, done: Done<Result> | undefined): Promise<Result> | void {
  if (typeof done !== "function") work.catch(() => {});
  return deliver(work, done);
}

/**
 * If the callback throws, calls it again with that error. @fastify/session sends the response in the callback of a save.
 * If that fails (a second `reply.send`, an invalid header), only @fastify/session can answer 500 or log the error.
 * connect-redis calls back twice, too.
 */
function returnThrown(done: Done | undefined): Done | undefined {
  if (typeof done !== "function") return done;
  return (error, result) => {
    try {
      done(error, result);
    } catch (thrown) {
      // The callback has already got an error, so nobody would handle this one.
      if (error) throw thrown;
      nextTick(done, thrown);
    }
  };
}

/** Reads a session of a list. Returns undefined for a malformed one, which must not hide the others. */
async function ifReadable<Result>(read: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await read();
  } catch (error) {
    if ((error as SessionError).name === "redisError") return undefined;
    throw error;
  }
}
