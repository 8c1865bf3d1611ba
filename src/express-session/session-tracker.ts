import session, { type SessionData } from "express-session";
import { pathOf } from "../engine/data.js";
import { invalidValue } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { Absence } from "../sessions/families.js";
import { ANONYMOUS } from "../sessions/keys.js";
import { line, quoteKey, type StoredSession } from "../sessions/session-text.js";
import type { Sessions } from "../sessions/sessions.js";
import type { Imported, ImportOptions, Incremented } from "../types.js";
import { isPlainObject } from "../util/objects.js";
import { changedLines, changesOf, fromStored, removalLines, snapshot, withCookieJson } from "./changes.js";
import { ConnectRedisSessions } from "./connect-redis.js";
import type { StoreSettings } from "./options.js";
import { assertRotatable, generate, type WithSession } from "./request.js";
import { withinTimeout } from "./serializer.js";
import { SessionWriter } from "./session-writer.js";
import { isStoreRef, type StoreRefs } from "./store-ref.js";
import { cookieToJson } from "./stored-cookie.js";
import { TrackedSession, Tracking, UNKNOWN_EXPIRY } from "./tracked-session.js";
import { expiresAt, idleTimeoutOf, isPast } from "./ttl.js";
import { assertKeepsUser, userIfValid, userOf } from "./user-id.js";

/**
 * How long after its last use reading prolongs a session, in ms. Shorter than the engine's second: the date in the cookie
 * follows from it, and express-session promises that each request renews that date.
 */
const READ_TOUCH_INTERVAL = 50;

/** How many new ids `rotate` tries at most. With 32 shards, one of 32 random ids belongs to the shard of the session. */
const MAX_GENERATED = 2000;

/**
 * Loads, saves, touches and ends express-session's sessions. It tracks each session object that it returned or saved, so
 * that a save sends the changes only, and does not revive a session that was ended.
 *
 * The way of a save: `RedisStore.set` calls `set` here, which calls `update` or `replace` of SessionWriter. That puts the
 * text into the SaveQueue, which calls `update` or `replace` of AppSessions. That runs lua/update.lua or lua/replace.lua.
 */
export class SessionTracker {
  readonly #sessions: Sessions;
  readonly #connection: Connection;
  readonly #settings: StoreSettings;
  readonly #refs: StoreRefs;
  readonly #tracking = new Tracking();
  readonly #writer: SessionWriter;
  /** Undefined with `legacy: false`. */
  readonly #connectRedis: ConnectRedisSessions | undefined;

  constructor(sessions: Sessions, connection: Connection, settings: StoreSettings, refs: StoreRefs) {
    this.#sessions = sessions;
    this.#connection = connection;
    this.#settings = settings;
    this.#refs = refs;
    this.#writer = new SessionWriter(sessions, connection, settings, refs, this.#tracking);
    this.#connectRedis = settings.legacy
      ? new ConnectRedisSessions(sessions.index, connection, settings, this.#writer)
      : undefined;
  }

  /** Reads and prolongs a session. If there is none, takes over the one that connect-redis wrote. */
  async get(sid: string): Promise<SessionData | null> {
    const now = Date.now();
    const reading = this.#read(sid);
    this.#connectRedis?.announce(now);
    const stored = await reading;
    if (stored !== null) return this.#load(sid, stored, now);
    if (this.#connectRedis === undefined) return null;
    await this.#connectRedis.takeOver(sid);
    // Read it in any case: another request may have taken it over first, or its user may have logged out.
    const later = Date.now();
    const takenOver = await this.#read(sid);
    return takenOver === null ? null : this.#load(sid, takenOver, later);
  }

  async set(sid: string, session: SessionData): Promise<void> {
    const timeout = idleTimeoutOf(session, this.#settings);
    if (timeout.ttl <= 0) return this.destroy(sid);
    const tracked = this.#tracking.get(session);
    if (tracked?.sid === sid) {
      await this.#writer.update(tracked, session, snapshot(session), userOf(session, this.#settings.userId), timeout);
      return;
    }
    const mode = this.#tracking.wasFirstSaveSent(session) ? "unended" : modeFor(session);
    await this.#writer.replace(sid, session, timeout, mode, userOf(session, this.#settings.userId));
    // It may replace a session of connect-redis that nobody has loaded. That one would return when this one has ended.
    if (this.#connectRedis !== undefined && isPlainObject(session)) await this.#connectRedis.remove(sid);
  }

  async touch(sid: string, session: SessionData): Promise<void> {
    if (!this.#settings.touches) return;
    const timeout = idleTimeoutOf(session, this.#settings);
    if (timeout.ttl <= 0) return this.destroy(sid);
    const tracked = this.#tracking.get(session);
    if (tracked?.sid === sid) {
      // express-session has found the data unchanged, so nearly every request has nothing to send.
      const cookie = cookieToJson(session.cookie);
      if (!tracked.needsTouch(timeout) && tracked.cookie === cookie) {
        // If that write fails, its own save reports it.
        if (tracked.write !== undefined) await tracked.write.catch(() => {});
        return;
      }
      return this.#writer.update(tracked, session, withCookieJson(tracked.lines, cookie), tracked.id, timeout);
    }
    // The session was not loaded here, so its data may be stale: send the expiry only.
    const ref = this.#refs.of(sid);
    await this.#writer.queue.add(ref, "", (changes) =>
      this.#sessions.update({ ref, id: "", ...timeout, changes, ...this.#settings.bounds }),
    );
  }

  /** @param sid an id or a ref */
  async destroy(sid: string): Promise<void> {
    const ref = this.#refs.of(sid);
    const killed = await this.#writer.queue.add(ref, "", () => this.#sessions.kill(ref));
    const isRef = killed === 0 && isStoreRef(sid);
    if (isRef) await this.#sessions.kill(sid);
    if (this.#connectRedis === undefined) return;
    await this.#connectRedis.remove(sid);
    const sidOfRef = isRef ? this.#refs.sidOfEither(sid) : undefined;
    if (sidOfRef !== undefined) await this.#connectRedis.remove(sidOfRef);
  }

  /**
   * Moves the session of a request to a new id. Returns whether it was found in Redis.
   * @param grace ms that the old id leads to the session
   */
  async rotate(req: WithSession, grace: number): Promise<boolean> {
    assertRotatable(req);
    const { sid, session } = this.#generateBeside(req);
    if (sid === req.sessionID) {
      throw invalidValue(
        "RedisStore: rotate got the same id again from the option genid of express-session",
        "return a new random id at each call",
      );
    }
    // If a save under way fails, the next save must repeat it.
    await this.#tracking.get(req.session)?.write?.catch(() => {});
    const [from, to] = [this.#refs.of(req.sessionID), this.#refs.of(sid)];
    const isFound = await this.#writer.queue.add(from, "", () => this.#sessions.rotateRef(from, to, grace));
    if (!isFound) return false;
    if (!req.session) {
      // The request has destroyed it meanwhile. Without a grace, the old id no longer led to it.
      await this.destroy(sid);
      return false;
    }
    const tracked = this.#tracking.get(req.session);
    // The cookie, too.
    Object.assign(session, req.session);
    this.#tracking.addWithCopies(session, tracked?.copy(sid));
    req.sessionID = sid;
    req.session = session;
    return true;
  }

  /** Has express-session make new ids until one belongs to the same shard: a session never moves to another one. */
  #generateBeside(req: WithSession): ReturnType<typeof generate> {
    const from = this.#refs.of(req.sessionID);
    for (let attempt = 0; attempt < MAX_GENERATED; attempt++) {
      const generated = generate(req);
      if (this.#sessions.areTogether(from, this.#refs.of(generated.sid))) return generated;
    }
    throw invalidValue(
      `RedisStore: rotate found no new id for the session's shard among ${MAX_GENERATED}`,
      "the option genid of session() must return another random id with each call",
    );
  }

  /** Ends all sessions of a user but `except` (an id or a ref), and bars those of connect-redis. */
  async killUser(id: string, except: string | undefined): Promise<number> {
    if (this.#connectRedis !== undefined && except !== undefined) {
      // The bar would also refuse the excepted session, if it still is where connect-redis wrote it.
      const sid = this.#refs.sidOfEither(except);
      if (sid !== undefined) await this.#connectRedis.takeOver(sid);
    }
    const exceptRef = except === undefined ? undefined : this.#refs.ofEither(except);
    return this.#sessions.index.killUser(id, exceptRef, this.#connectRedis?.barTtl);
  }

  /** Ends all sessions, and bars those of connect-redis. */
  killAll(): Promise<number> {
    return this.#sessions.index.killAll(this.#connectRedis?.barTtl);
  }

  /**
   * Merges keys into all sessions of a user. Returns how many were changed.
   * @param id the user as JSON
   */
  async setAll(id: string, d: object): Promise<number> {
    const { userId, serializer, bounds } = this.#settings;
    assertKeepsUser("setAll", d, userId);
    const changes = changesOf(d);
    const changed = await withinTimeout(this.#connection, changedLines(changes, serializer));
    return this.#sessions.setAll(id, removalLines(changes) + changed, bounds, true);
  }

  /** Adds to an integer under a key of a session. Returns null if the session does not exist. */
  async increment(sid: string, key: string, by: number, max: number | undefined): Promise<Incremented | null> {
    const { userId, serializer, bounds } = this.#settings;
    if (serializer !== undefined) {
      throw invalidValue("RedisStore: increment needs JSON, because Redis cannot read what a serializer has written");
    }
    assertKeepsUser("increment", { [key]: by }, userId);
    const ref = this.#refs.of(sid);
    // Without a value, the line of a key is that of its removal.
    const increment = { key: line(quoteKey(key), ""), by, max, path: pathOf("session", key) };
    const result = await this.#writer.queue.add(ref, "", () => this.#sessions.increment(ref, increment, bounds, false));
    // Only a call by token finds an Absence.
    return result instanceof Absence ? null : result;
  }

  /** @throws SessionError `invalidValue` with `legacy: false`: a logout would not find the sessions that are left */
  importSessions(options: ImportOptions): Promise<Imported> {
    if (this.#connectRedis === undefined) {
      throw invalidValue("importSessions does not work with legacy: false", "set it when the import is complete");
    }
    return this.#connectRedis.importAll(options);
  }

  /** A session of a list, as a load would return it. */
  read(stored: StoredSession): SessionData | Promise<SessionData> {
    const { serializer } = this.#settings;
    return withinTimeout(this.#connection, fromStored(stored, stored.la, stored.ttl, serializer));
  }

  /**
   * Tracks `made`, which was made of a session's data.
   *
   * Data that this store did not return is a copy that a wrapper made of loaded data. A save then sends what differs from
   * `made` as it is now. Nobody knows when the session expires.
   */
  passOn(sid: string, data: SessionData, made: SessionData): void {
    const tracked =
      this.#tracking.get(data)?.copy() ??
      new TrackedSession(sid, {
        id: userIfValid(made, this.#settings.userId),
        lines: snapshot(made),
        expires: UNKNOWN_EXPIRY,
      });
    this.#tracking.addWithCopies(made, tracked);
  }

  /** A function may return a shorter TTL by now. The touch asks the function, and prolongs then. */
  get #readingProlongs(): boolean {
    return this.#settings.touches && typeof this.#settings.ttl !== "function";
  }

  #read(sid: string): Promise<StoredSession | null> {
    const ref = this.#refs.of(sid);
    return this.#writer.queue.add(ref, "", () =>
      this.#sessions.getCached(ref, this.#readingProlongs, READ_TOUCH_INTERVAL),
    );
  }

  /**
   * Makes a session of its text, and tracks it. Returns a promise only if there is a serializer.
   * @param now when the reading began, ms
   */
  #load(sid: string, stored: StoredSession, now: number): SessionData | null | Promise<SessionData | null> {
    const { serializer, endless } = this.#settings;
    const { la, ttl } = stored;
    // The same condition as in lua/get.lua.
    const touched = this.#readingProlongs && Math.abs(now - la) >= READ_TOUCH_INTERVAL ? now : la;
    const track = (data: SessionData): SessionData | null => {
      // Reading has prolonged the session, though its cookie ends at a fixed date.
      if (!endless && isPast(data.cookie, now)) return null;
      const lines = serializer === undefined ? stored.lines : snapshot(data);
      const expires = expiresAt({ now: touched, ttl });
      this.#tracking.add(data, new TrackedSession(sid, { id: stored.id || ANONYMOUS, lines, expires }));
      return data;
    };
    const data = withinTimeout(this.#connection, fromStored(stored, touched, ttl, serializer));
    return data instanceof Promise ? data.then(track) : track(data);
  }
}

/**
 * What the first save of an untracked session may be written over. A plain object is the caller's explicit wish, and a
 * Session of express-session is newly generated. Any other object comes from a framework that does not tell whether it
 * loaded the session, which may have been ended since.
 */
function modeFor(session: object): "any" | "unended" {
  return isOfFramework(session) ? "unended" : "any";
}

/** Whether another framework than express-session made this session (@fastify/session). */
export function isOfFramework(value: object): boolean {
  return !(value instanceof session.Session || isPlainObject(value));
}
