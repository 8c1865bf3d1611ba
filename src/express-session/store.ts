import session, { type SessionData } from "express-session";
import type { AppSessions } from "../engine/app-sessions.js";
import { type Stored, toSession } from "../engine/codec.js";
import type { Connection } from "../engine/connection.js";
import { connectionOf, RedisSessions, sessionsOf } from "../engine/engine.js";
import { NOBODY, quoteId } from "../engine/keys.js";
import { deliver } from "../engine/method.js";
import { refOf } from "../engine/token.js";
import type { Killed, Session, SessionList } from "../engine/types.js";
import { checkId, checkInteger, checkSpan } from "../engine/validate.js";
import { readLegacy, removeLegacy } from "./legacy.js";
import { appOfPrefix, checkStoreOptions, defaultUserId, type RedisStoreOptions } from "./options.js";
import { watchOutage } from "./outage.js";
import { difference, fromStored, type Serializer, type Snapshot, snapshot, toFields, without } from "./serialize.js";

type Done<Result = void> = (error: unknown, result?: Result) => void;

/** What is known of a session that the store has handed out or written. */
interface Known {
  sid: string;
  /** whose it is in the index; undefined when nobody knows whether the last write took effect */
  id: string | undefined;
  fields: Snapshot;
  /** when it was last prolonged, ms */
  prolonged: number;
  /** seconds that it may rest since then */
  ttl: number;
}

/** Less than this is not worth a round trip, in ms; nor is a tenth of a life that is shorter than ten times this. */
const TOUCH_AFTER = 1000;

/**
 * How long after its last use reading prolongs a session, in ms. Shorter than the engine's second: the date that the
 * cookie shows follows from it, and express-session promises that each request renews that.
 */
const PROLONG_AFTER = 50;

/** A hundred years, in seconds: what lives longer (`ttl: Infinity`) is more than Redis and dates can count. */
const LONGEST = 100 * 365 * 86_400;

/**
 * How long a session that was ended cannot be brought back by a request that does not tell whether it had loaded it
 * (@fastify/session), in ms. Longer than requests take.
 */
const GRAVE = 60_000;

/**
 * A store for express-session that loses no update, revives no session that was ended, and knows whose session it is.
 * It takes the place of connect-redis; @fastify/session takes it as well.
 *
 * Each method takes a callback, or returns a promise.
 */
export class RedisStore extends session.Store {
  readonly #sessions: AppSessions;
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #ttl: number | ((session: SessionData) => number);
  readonly #endless: boolean;
  readonly #touches: boolean;
  readonly #legacy: boolean;
  readonly #hashIds: boolean;
  readonly #serializer: Serializer | undefined;
  readonly #userId: (session: SessionData) => string | undefined;
  readonly #known = new WeakMap<object, Known>();

  /** @throws SessionError `invalidValue` for a misspelt or bad option; it names the right one */
  constructor(options: RedisStoreOptions) {
    super();
    checkStoreOptions(options);
    const { client, prefix = "sess:" } = options;
    const rs = options.rs ?? new RedisSessions(client === undefined ? {} : { client });
    this.#sessions = sessionsOf(rs, options.app ?? appOfPrefix(prefix));
    this.#connection = connectionOf(rs);
    this.#prefix = prefix;
    this.#ttl = options.ttl ?? 86_400;
    this.#endless = options.disableTTL ?? false;
    this.#touches = !(this.#endless || (options.disableTouch ?? false));
    this.#legacy = options.legacy ?? true;
    this.#hashIds = options.hashIds ?? false;
    this.#serializer = options.serializer === JSON ? undefined : options.serializer;
    this.#userId = options.userId ?? defaultUserId;
    watchOutage(this.#connection.client, this);
  }

  /** Reads a session and prolongs it. Gives null when there is none. */
  override get(sid: string, done: Done<SessionData | null>): void;
  override get(sid: string): Promise<SessionData | null>;
  override get(sid: string, done?: Done<SessionData | null>): Promise<SessionData | null> | void {
    return deliver(this.#get(sid), done);
  }

  /**
   * Writes a session. One that was loaded through the store is changed key by key, if it still lives; any other is
   * written whole.
   */
  override set(sid: string, session: SessionData, done: Done): void;
  override set(sid: string, session: SessionData): Promise<void>;
  override set(sid: string, session: SessionData, done?: Done): Promise<void> | void {
    return deliver(this.#set(sid, session), done);
  }

  /** Prolongs a session, if it lives. Costs no round trip when `get` has just done so. */
  override touch(sid: string, session: SessionData, done: Done): void;
  override touch(sid: string, session: SessionData): Promise<void>;
  override touch(sid: string, session: SessionData, done?: Done): Promise<void> | void {
    return deliver(this.#touch(sid, session), done);
  }

  /** Ends a session, by its id (with `hashIds` also by its ref). */
  override destroy(sid: string, done: Done): void;
  override destroy(sid: string): Promise<void>;
  override destroy(sid: string, done?: Done): Promise<void> | void {
    const ended = this.#destroy(sid);
    // `req.session.destroy()` leaves nobody to hear of an outage, and a rejection that nobody hears ends the process.
    ended.catch(() => {});
    return deliver(ended, done);
  }

  /** Ends all sessions of the store. */
  override clear(done: Done): void;
  override clear(): Promise<void>;
  override clear(done?: Done): Promise<void> | void {
    return deliver(
      this.#sessions.killAll(GRAVE).then(() => undefined),
      done,
    );
  }

  /** Counts the sessions. */
  override length(done: Done<number>): void;
  override length(): Promise<number>;
  override length(done?: Done<number>): Promise<number> | void {
    return deliver(this.#sessions.count(), done);
  }

  /** The ids of all sessions; with `hashIds`, their refs. */
  ids(done: Done<string[]>): void;
  ids(): Promise<string[]>;
  ids(done?: Done<string[]>): Promise<string[]> | void {
    return deliver(this.#sessions.refs(), done);
  }

  /** All sessions, each with its `id` (with `hashIds`, its ref). */
  override all(done: Done<SessionData[]>): void;
  override all(): Promise<SessionData[]>;
  override all(done?: Done<SessionData[]>): Promise<SessionData[]> | void {
    return deliver(this.#all(), done);
  }

  /** The sessions of a user, newest first. `d` is the session's data. */
  async soid(id: string): Promise<SessionList<SessionData>> {
    return this.#list(await this.#sessions.ofUser(quoteId(checkId(id))));
  }

  /** Ends all sessions of a user, or all but the one whose id (with `hashIds`, id or ref) is `except`. */
  async killsoid(id: string, { except }: { except?: string } = {}): Promise<Killed> {
    const spare = except === undefined ? undefined : this.#isRef(except) ? except : this.#ref(except);
    return { kill: await this.#sessions.killUser(quoteId(checkId(id)), spare, GRAVE) };
  }

  /** The sessions that were active in the last `dt` seconds, most recently active first. */
  async soapp(
    dt: number,
    { limit, offset = 0 }: { limit?: number; offset?: number } = {},
  ): Promise<SessionList<SessionData>> {
    const since = Date.now() - checkSpan({ dt }) * 1000;
    const most = limit === undefined ? Number.POSITIVE_INFINITY : checkInteger("limit", limit, 1);
    return this.#list(await this.#sessions.active(since, checkInteger("offset", offset, 0), most));
  }

  /** How many users were active in the last `dt` seconds. */
  async activity(dt: number): Promise<{ activity: number }> {
    return { activity: await this.#sessions.countUsers(Date.now() - checkSpan({ dt }) * 1000) };
  }

  /** express-session's moment of handing a loaded session to the request: from here on the store knows it. */
  override createSession(
    req: Parameters<session.Store["createSession"]>[0],
    data: SessionData,
  ): ReturnType<session.Store["createSession"]> {
    const known = this.#known.get(data);
    const created = super.createSession(req, data);
    if (known !== undefined) this.#known.set(created, { ...known });
    return created;
  }

  async #get(sid: string): Promise<SessionData | null> {
    return (await this.#load(sid)) ?? (this.#legacy ? this.#takeOver(sid) : null);
  }

  async #load(sid: string): Promise<SessionData | null> {
    const now = Date.now();
    const stored = await this.#sessions.get(this.#ref(sid), this.#touches, PROLONG_AFTER);
    if (stored === null) return null;
    const { la, ttl } = lifeOf(stored);
    // As lua/include/prolong.lua decides it.
    const prolonged = this.#touches && Math.abs(now - la) >= PROLONG_AFTER ? now : la;
    const data = await fromStored(stored, prolonged, ttl, this.#serializer);
    const fields = this.#serializer === undefined ? new Map(stored.data) : snapshot(data);
    this.#known.set(data, { sid, id: stored.own.id ?? NOBODY, fields, prolonged, ttl });
    return data;
  }

  async #set(sid: string, session: SessionData): Promise<void> {
    const ttl = this.#ttlOf(session);
    if (!(ttl > 0)) return this.#destroy(sid);
    const known = this.#known.get(session);
    if (known?.sid === sid) return this.#update(known, session, ttl);
    await this.#replace(sid, session, ttl, modeFor(session));
  }

  async #touch(sid: string, session: SessionData): Promise<void> {
    if (!this.#touches) return;
    const ttl = this.#ttlOf(session);
    if (!(ttl > 0)) return this.#destroy(sid);
    const known = this.#known.get(session);
    // Of a session that was not loaded here nothing but its life is known to be meant.
    if (known?.sid !== sid)
      await this.#sessions.update(this.#ref(sid), Date.now(), { id: "", ttl, write: [], remove: [] });
    else await this.#update(known, session, ttl);
  }

  async #destroy(sid: string): Promise<void> {
    const killed = await this.#sessions.kill(this.#ref(sid), GRAVE);
    if (killed === 0 && this.#isRef(sid)) await this.#sessions.kill(sid, GRAVE);
    if (this.#legacy) await removeLegacy(this.#connection, this.#prefix + sid);
  }

  async #all(): Promise<SessionData[]> {
    const all: SessionData[] = [];
    for await (const stored of this.#sessions.all()) {
      all.push(Object.assign(await this.#read(stored), { id: stored.ref }));
    }
    return all;
  }

  /** Sends what has changed since the session was loaded; nothing when nothing has, and it was prolonged just now. */
  async #update(known: Known, session: SessionData, ttl: number): Promise<void> {
    const fields = snapshot(session);
    const { changed, removed } = difference(known.fields, fields);
    const now = Date.now();
    const due = now + ttl * 1000 - (known.prolonged + known.ttl * 1000);
    const prolong = this.#touches && Math.abs(due) >= Math.min(TOUCH_AFTER, ttl * 100);
    if (changed.length === 0 && removed.length === 0 && !prolong) return;

    const id = this.#idOf(session);
    // Where this request has not changed whose session it is, another that is under way may have.
    const change = { id: id === known.id ? "" : id, ttl: this.#endless ? 0 : ttl };
    // Noted before the answer: a second save that overlaps this one goes on from here.
    Object.assign(known, { id, fields, prolonged: now, ttl });
    try {
      const write = await toFields(changed, this.#serializer);
      await this.#sessions.update(this.#ref(known.sid), now, { ...change, write, remove: removed });
    } catch (error) {
      // Whether it was written is unknown, so the next save sends it again.
      known.id = undefined;
      known.fields = without(known.fields, changed, removed);
      throw error;
    }
  }

  async #replace(sid: string, session: SessionData, ttl: number, mode: "any" | "unended" | "absent"): Promise<boolean> {
    const id = this.#idOf(session);
    const fields = snapshot(session);
    const now = Date.now();
    const life = this.#endless ? 0 : ttl;
    const own = ["la", now, "ttl", life, "created", now, "r", 1, "w", 1, ...(id === NOBODY ? [] : ["id", id])];
    const written = await this.#sessions.replace({
      ref: this.#ref(sid),
      id,
      now,
      ttl: life,
      mode,
      fields: [...own, ...(await toFields(fields, this.#serializer))],
    });
    // A plain object is a caller's own: it replaces the next time, too.
    if (!isPlain(session)) this.#known.set(session, { sid, id, fields, prolonged: now, ttl });
    return written;
  }

  /** Moves a session that connect-redis left into our layout, unless it was ended meanwhile. */
  async #takeOver(sid: string): Promise<SessionData | null> {
    const text = await readLegacy(this.#connection, this.#prefix + sid);
    // Between our two looks another request may have taken it over.
    if (text === null) return this.#load(sid);
    const left = (await (this.#serializer ?? JSON).parse(text)) as SessionData;
    // connect-redis leaves the date of the last write; the cookie's age is what it was derived from.
    const age = left.cookie?.originalMaxAge;
    if (typeof age === "number") left.cookie.expires = new Date(Date.now() + age);
    const ttl = this.#ttlOf(left);
    if (ttl > 0) await this.#replace(sid, left, ttl, "absent");
    await removeLegacy(this.#connection, this.#prefix + sid);
    // Not `left`: another request may have been faster, and its user may have logged out.
    return this.#load(sid);
  }

  async #list(found: readonly Stored[]): Promise<SessionList<SessionData>> {
    const now = Date.now();
    const sessions: Session<SessionData>[] = [];
    for (const stored of found) {
      const { d: _, ...own } = toSession(stored, now);
      sessions.push({ ...own, d: await this.#read(stored) });
    }
    return { sessions };
  }

  #read(stored: Stored): Promise<SessionData> {
    const { la, ttl } = lifeOf(stored);
    return fromStored(stored, la, ttl, this.#serializer);
  }

  /** Seconds that the session may rest, as connect-redis has it, but to the millisecond. */
  #ttlOf(session: SessionData): number {
    if (typeof this.#ttl === "function") return Math.min(this.#ttl(session), LONGEST);
    const expires = session.cookie?.expires;
    return Math.min(expires ? (new Date(expires).getTime() - Date.now()) / 1000 : this.#ttl, LONGEST);
  }

  #idOf(session: SessionData): string {
    const id = this.#userId(session);
    return id === undefined ? NOBODY : quoteId(checkId(id));
  }

  #ref(sid: string): string {
    return this.#hashIds ? refOf(sid) : sid;
  }

  /** Whether it may be a ref rather than an id. */
  #isRef(sid: string): boolean {
    return this.#hashIds && /^[\w-]{27}$/.test(sid);
  }
}

function lifeOf({ own }: Stored): { la: number; ttl: number } {
  return { la: Number(own.la), ttl: Number(own.ttl) };
}

/**
 * Over what a session may be written that was not loaded through the store. A plain object is a caller's explicit wish,
 * and a Session of express-session is newly generated. Any other object is the session of a framework that does not
 * tell what it loaded: that one may have been ended meanwhile.
 */
function modeFor(given: object): "any" | "unended" {
  return isPlain(given) || given instanceof session.Session ? "any" : "unended";
}

function isPlain(given: object): boolean {
  const prototype = Object.getPrototypeOf(given);
  return prototype === null || prototype === Object.prototype;
}
