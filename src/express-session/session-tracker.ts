import session, { type SessionData } from "express-session";
import { isRefusal, tooLarge, tooManyKeys } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import type { AppSessions } from "../sessions/app-sessions.js";
import { ANONYMOUS, quoteId } from "../sessions/keys.js";
import type { Bounds, ReplaceMode } from "../sessions/operations.js";
import { encodeHeader, line, StoredSession } from "../sessions/session-text.js";
import { isPlainObject } from "../util/objects.js";
import {
  difference,
  fromStored,
  SERIALIZER_LATE,
  type Serializer,
  type Snapshot,
  snapshot,
  toLines,
  withCookieJson,
  without,
} from "./changes.js";
import { legacyTtl, parseLegacy, readLegacy, removeLegacy } from "./connect-redis.js";
import { DEFAULT_PREFIX, defaultUserId, idOf, type RedisStoreOptions } from "./options.js";
import { SaveQueue } from "./save-queue.js";
import { idOfStoreRef, isStoreRef, storeRefOf } from "./store-ref.js";
import { cookieToJson } from "./stored-cookie.js";
import { type IdleTimeout, idleTimeoutOf, isPast, MAX_TTL, type Ttl } from "./ttl.js";

/** Less than this is not worth a round trip, in ms; nor is a tenth of a life that is shorter than ten times this. */
const TOUCH_AFTER = 1000;

/**
 * How long after its last use reading prolongs a session, in ms. Shorter than the engine's second: the date that the
 * cookie shows follows from it, and express-session promises that each request renews that.
 */
const PROLONG_AFTER = 50;

/**
 * How long a bar keeps sessions of connect-redis from being taken over, in ms: no browser keeps a cookie for longer than
 * 400 days.
 */
const BARRED_FOR = 400 * 86_400_000;

/** How long it is known in Redis that a store takes sessions over, and how often that is said again, in ms. */
const ANNOUNCED_FOR = 30 * 86_400_000;
const ANNOUNCE_AFTER = 86_400_000;

const UNBOUNDED: Bounds = { maxBytes: Number.POSITIVE_INFINITY, maxKeys: Number.POSITIVE_INFINITY };

/**
 * express-session's sessions in the engine. Remembers what it has handed out, so that a save sends what has changed
 * since, and only to a session that lives.
 */
export class SessionTracker {
  readonly #sessions: AppSessions;
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #ttl: Ttl;
  readonly #endless: boolean;
  readonly #touches: boolean;
  readonly #legacy: boolean;
  /** When Redis is told next that this store takes sessions over, as performance.now() has it. */
  #announceAt = 0;
  readonly #hashIds: boolean;
  readonly #serializer: Serializer | undefined;
  readonly #userId: NonNullable<RedisStoreOptions["userId"]>;
  /** Where a session that was handed out keeps what is known of it. (A WeakMap would burden the garbage collector.) */
  readonly #trackingKey = Symbol("RedisStore");
  /** Marks a session of which a first save was sent. Whether it took effect, its answer tells, or nobody. */
  readonly #sent = Symbol("RedisStore: sent");
  readonly #queue: SaveQueue;
  readonly #bounds: Bounds;

  constructor(sessions: AppSessions, connection: Connection, options: RedisStoreOptions) {
    this.#sessions = sessions;
    this.#connection = connection;
    this.#queue = new SaveQueue(connection);
    this.#prefix = options.prefix ?? DEFAULT_PREFIX;
    this.#ttl = options.ttl ?? 86_400;
    this.#endless = options.disableTTL ?? false;
    this.#touches = !(this.#endless || (options.disableTouch ?? false));
    this.#legacy = options.legacy ?? true;
    this.#hashIds = options.hashIds ?? false;
    this.#serializer = options.serializer === JSON ? undefined : options.serializer;
    this.#userId = options.userId ?? defaultUserId;
    this.#bounds = { maxBytes: options.maxBytes ?? 9 * 1024 * 1024, maxKeys: options.maxKeys ?? 25_000 };
  }

  /** Reads and prolongs a session, or takes over the one that connect-redis left. */
  async get(sid: string): Promise<SessionData | null> {
    const loading = this.#load(sid);
    this.#announce();
    return (await loading) ?? (this.#legacy ? this.#takeOver(sid) : null);
  }

  async set(sid: string, session: SessionData): Promise<void> {
    const life = idleTimeoutOf(session, this.#ttl);
    if (life.ttl <= 0) return this.destroy(sid);
    const known = this.#knownOf(session);
    if (known?.sid === sid) return this.#update(known, session, snapshot(session), this.#idOf(session), life);
    await this.#replace(sid, session, life, this.#sent in session ? "unended" : modeFor(session));
    // A caller's own object may replace what nobody has met so far, and would come back when this one has ended.
    if (this.#legacy && isPlainObject(session)) await removeLegacy(this.#connection, { prefix: this.#prefix, sid });
  }

  async touch(sid: string, session: SessionData): Promise<void> {
    if (!this.#touches) return;
    const life = idleTimeoutOf(session, this.#ttl);
    if (life.ttl <= 0) return this.destroy(sid);
    const known = this.#knownOf(session);
    if (known?.sid === sid) {
      // express-session has found the data unchanged, so in nearly every request there is nothing to do.
      const cookie = cookieToJson(session.cookie);
      if (!this.#isDue(known, life) && jsonOf(known, '"cookie"') === cookie) {
        // Its failure is for the save to report.
        if (known.writing !== undefined) await known.writing.catch(() => {});
        return;
      }
      return this.#update(known, session, withCookieJson(fieldsOf(known), cookie), known.id, life);
    }
    // Of a session that was not loaded here nothing but its life is known to be meant.
    const ref = this.ref(sid);
    await this.#queue.add(ref, "", (changes) =>
      this.#sessions.update({ ref, id: "", ...life, changes, ...this.#bounds }),
    );
  }

  /** @param sid or a ref */
  async destroy(sid: string): Promise<void> {
    const ref = this.ref(sid);
    const killed = await this.#queue.add(ref, "", () => this.#sessions.kill(ref));
    const isRef = killed === 0 && isStoreRef(sid);
    if (isRef) await this.#sessions.kill(sid);
    if (!this.#legacy) return;
    await removeLegacy(this.#connection, { prefix: this.#prefix, sid });
    const own = isRef ? this.#idOfEither(sid) : undefined;
    if (own !== undefined) await removeLegacy(this.#connection, { prefix: this.#prefix, sid: own });
  }

  /** Ends all sessions of a user but `except` (an id or a ref), also those that connect-redis left. */
  async killUser(id: string, except: string | undefined): Promise<number> {
    // The bar would refuse this one, too, if nobody has met it yet.
    const sid = this.#legacy && except !== undefined ? this.#idOfEither(except) : undefined;
    if (sid !== undefined) await this.#adopt(sid);
    const spare = except === undefined ? undefined : this.refOfEither(except);
    return this.#sessions.index.killUser(id, spare, this.#barFor);
  }

  /** Ends all sessions, also those that connect-redis left. */
  killAll(): Promise<number> {
    return this.#sessions.index.killAll(this.#barFor);
  }

  /** A session that was met in a list, as a load would show it. */
  read(stored: StoredSession): SessionData | Promise<SessionData> {
    return this.#inTime(fromStored(stored, stored.la, stored.ttl, this.#serializer));
  }

  /**
   * Makes known what was made of a session's data: from here on it stands for the session. Data that this store did not
   * return itself is a copy that a wrapper made. It was loaded all the same, so what it holds now is what a save is
   * compared with; when the session was prolonged last is unknown.
   */
  passOn(sid: string, data: SessionData, made: SessionData): void {
    const known = this.#knownOf(data) ?? {
      sid,
      id: this.#idIfSound(made),
      fields: snapshot(made),
      prolonged: 0,
      ttl: 0,
    };
    this.#know(made, { ...known });
  }

  ref(given: string): string {
    // As in connect-redis, a value that is not a string is accepted: there is no such session.
    return storeRefOf(String(given), this.#hashIds);
  }

  /** The ref that an id or a ref means. */
  refOfEither(sid: string): string {
    return isStoreRef(sid) ? sid : this.ref(sid);
  }

  /** The id of a listed session; with `hashIds`, where Redis does not have it, its ref. */
  idOfRef(ref: string): string {
    return this.#hashIds ? ref : idOfStoreRef(ref);
  }

  #knownOf(session: object): TrackedSession | undefined {
    return (session as { [key: symbol]: TrackedSession | undefined })[this.#trackingKey];
  }

  /** Not enumerable, so that neither JSON nor a copy of the session has it. */
  #know(session: object, known: TrackedSession | undefined): void {
    Object.defineProperty(session, this.#trackingKey, { value: known, configurable: true });
  }

  async #load(sid: string): Promise<SessionData | null> {
    const now = Date.now();
    // What a function gave for it may be less by now: then the touch prolongs, which asks it.
    const prolongs = this.#touches && typeof this.#ttl !== "function";
    const ref = this.ref(sid);
    const stored = await this.#queue.add(ref, "", () => this.#sessions.get(ref, prolongs, PROLONG_AFTER));
    if (stored === null) return null;
    const { la, ttl } = stored;
    // As lua/get.lua decides it.
    const prolonged = prolongs && Math.abs(now - la) >= PROLONG_AFTER ? now : la;
    const data = await this.#inTime(fromStored(stored, prolonged, ttl, this.#serializer));
    // Reading has prolonged it like any other, though its end is a date.
    if (!this.#endless && isPast(data.cookie, now)) return null;
    const fields = this.#serializer === undefined ? stored : snapshot(data);
    this.#know(data, { sid, id: stored.id || ANONYMOUS, fields, prolonged, ttl });
    return data;
  }

  /** Whether the session would end at another time than it is to. */
  #isDue(known: TrackedSession, { now, ttl }: IdleTimeout): boolean {
    const due = now + ttl * 1000 - (known.prolonged + known.ttl * 1000);
    return !this.#endless && Math.abs(due) >= Math.min(TOUCH_AFTER, ttl * 100);
  }

  /** Sends what has changed since the session was loaded; nothing when nothing has, and it was prolonged just now. */
  async #update(
    known: TrackedSession,
    session: SessionData,
    fields: Snapshot,
    id: string | undefined,
    life: IdleTimeout,
  ): Promise<void> {
    const { changed, removed } = difference(fieldsOf(known), fields);
    const prolong = this.#isDue(known, life);
    if (changed.length === 0 && removed.length === 0 && !prolong) {
      // What it would write is under way with an earlier save: it is done, or fails, with that one.
      await known.writing;
      return;
    }

    // Where this request has not changed whose session it is, another that is under way may have.
    const newId = id === undefined || id === known.id ? "" : id;
    // What `get` has prolonged just now is left at that.
    const fresh = this.#touches && !prolong && newId === "";
    // Noted before the answer: a second save that overlaps this one goes on from here.
    known.id = id;
    known.fields = fields;
    if (!fresh) {
      known.prolonged = life.now;
      known.ttl = life.ttl;
    }
    const ref = this.ref(known.sid);
    const rest = { ref, id: newId, now: life.now, ttl: fresh ? null : this.#restOf(life) };
    const gone = removed.map((key) => line(key, "")).join("");
    const send = () =>
      this.#queue.add(ref, toLines(changed, this.#serializer), (lines) =>
        this.#sessions.update({ ...rest, changes: gone + lines, ...this.#bounds }),
      );
    const write = async () => {
      if ((await send()) || known.isSaved === undefined) return;
      // Redis lacked the script of the first save, which was sent once more, behind this one.
      if (await known.isSaved) await send();
      // There is nothing to go on from: this is the first save.
      else await this.#replace(known.sid, session, life, "unended");
    };
    try {
      await noteWriting(known, write());
    } catch (error) {
      // Whether it was written is unknown, so the next save sends it again.
      known.id = undefined;
      known.prolonged = 0;
      known.fields = without(fieldsOf(known), changed, removed);
      throw error;
    }
  }

  async #replace(
    sid: string,
    session: SessionData,
    life: IdleTimeout,
    mode: ReplaceMode,
    id = this.#idOf(session),
  ): Promise<void> {
    const { now } = life;
    const ttl = this.#restOf(life);
    const fields = snapshot(session);
    // What connect-redis left is taken over whatever its size: refused, it would fail each of its user's requests.
    const { maxBytes, maxKeys } = mode === "absent" ? UNBOUNDED : this.#bounds;
    if (fields.size > maxKeys) throw tooManyKeys("RedisStore: the session has", maxKeys);
    const own = encodeHeader(now, ttl, { id: id === ANONYMOUS ? undefined : id });
    const known: TrackedSession = { sid, id, fields, prolonged: now, ttl: life.ttl };
    let staged: string | undefined;
    const stageIfLarge = (lines: string): string | Promise<string> => {
      if (Buffer.byteLength(lines) > maxBytes) throw tooLarge("RedisStore: the session is", maxBytes);
      const staging = this.#sessions.stageIfLarge(own + lines);
      if (staging === undefined) return own + lines;
      return staging.then((key) => {
        staged = key;
        return "";
      });
    };
    const lines = toLines(fields, this.#serializer);
    const text = typeof lines === "string" ? stageIfLarge(lines) : lines.then(stageIfLarge);
    // A plain object is a caller's own: it replaces the next time, too.
    if (!isPlainObject(session)) {
      Object.defineProperty(session, this.#sent, { value: true, configurable: true });
      // Before the answer, as in #update.
      this.#know(session, known);
    }
    const ref = this.ref(sid);
    const saving = noteWriting(
      known,
      this.#queue.add(ref, text, (text) => this.#sessions.replace({ ref, id, now, ttl, mode, text, staged })),
    );
    known.isSaved = saving.then(
      () => true,
      () => {
        if (this.#knownOf(session) === known) this.#know(session, undefined);
        return false;
      },
    );
    await saving;
  }

  /** ms that a mass logout keeps sessions of connect-redis from being taken over; undefined to leave that to others. */
  get #barFor(): number | undefined {
    if (!this.#legacy) return undefined;
    return this.#endless ? MAX_TTL * 1000 : BARRED_FOR;
  }

  /**
   * Tells others that end sessions of this app (an engine, REST, the command) that sessions of connect-redis are taken
   * over. Nobody waits for it; when it fails, a later call says it again.
   */
  #announce(): void {
    const now = performance.now();
    if (this.#barFor === undefined || now < this.#announceAt) return;
    this.#announceAt = now + ANNOUNCE_AFTER;
    this.#sessions.index.announceLegacy(this.#barFor, ANNOUNCED_FOR).catch(() => {
      this.#announceAt = 0;
    });
  }

  /** The id that an id or a ref means; undefined for the hash of one. */
  #idOfEither(given: string): string | undefined {
    if (!isStoreRef(given)) return String(given);
    return this.#hashIds ? undefined : idOfStoreRef(given);
  }

  /** What connect-redis left under an id, and what became of it: null when there is none, or none any more. */
  async #takeOver(sid: string): Promise<SessionData | null> {
    await this.#adopt(sid);
    // Whatever came of it: another request may have been faster, and its user may have logged out.
    return this.#load(sid);
  }

  /** Moves a session that connect-redis left into our layout, unless it was ended or barred meanwhile. */
  async #adopt(sid: string): Promise<void> {
    const key = { prefix: this.#prefix, sid };
    const text = await readLegacy(this.#connection, key);
    // To take it over is to use it, which prolongs a session only where the store touches.
    const rest = text === null || this.#touches ? undefined : await legacyTtl(this.#connection, key);
    if (text === null || rest === 0) return;
    const left = await this.#inTime(parseLegacy(text, this.#serializer ?? JSON));
    const now = Date.now();
    // connect-redis leaves the date of the last write; the cookie's age is what it was derived from.
    const age = left.cookie?.originalMaxAge;
    if (typeof age === "number") left.cookie.expires = new Date(now + age);
    const ttl = Math.min(rest ?? Number.POSITIVE_INFINITY, idleTimeoutOf(left, this.#ttl, now).ttl);
    if (ttl > 0 || this.#endless) await this.#replace(sid, left, { now, ttl }, "absent", this.#idIfSound(left));
    await removeLegacy(this.#connection, key);
  }

  /** What a serializer gives later, or an error when it takes longer than Redis may. */
  #inTime<Result>(result: Result | Promise<Result>): Result | Promise<Result> {
    if (!(result instanceof Promise)) return result;
    return this.#connection.within(this.#connection.deadline(), () => result, SERIALIZER_LATE);
  }

  /** The seconds of a life as they are stored. */
  #restOf({ ttl }: IdleTimeout): number {
    return this.#endless ? 0 : ttl;
  }

  #idOf(session: SessionData): string {
    const id = this.#userId(session);
    return id === undefined || id === null ? ANONYMOUS : quoteId(idOf(id));
  }

  /** The same, for a session that is only read: one that is refused is nobody's. */
  #idIfSound(session: SessionData): string {
    try {
      return this.#idOf(session);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return ANONYMOUS;
    }
  }
}

/** Notes a write of a session for as long as it is under way. */
function noteWriting<Result>(known: TrackedSession, write: Promise<Result>): Promise<Result> {
  known.writing = write;
  const done = () => {
    if (known.writing === write) delete known.writing;
  };
  write.then(done, done);
  return write;
}

/**
 * Over what a session may be written that was not loaded through the store. A plain object is a caller's explicit wish,
 * and a Session of express-session is newly generated. Any other object is the session of a framework that does not
 * tell what it loaded: that one may have been ended meanwhile.
 */
function modeFor(given: object): ReplaceMode {
  return isOfFramework(given) ? "unended" : "any";
}

/** Whether a session was made by another framework than express-session (@fastify/session). */
export function isOfFramework(given: object): boolean {
  return !(given instanceof session.Session || isPlainObject(given));
}

/** What is known of a session that was handed out or written. */
export interface TrackedSession {
  sid: string;
  /** whose it is in the index; undefined when nobody knows whether the last write took effect */
  id: string | undefined;
  /** its data; as it came, until somebody wants to know more than the cookie */
  fields: Snapshot | StoredSession;
  /** when it was last prolonged, ms; 0 when nobody knows, as with `id` */
  prolonged: number;
  /** seconds that it may rest since then */
  ttl: number;
  /** the write that is under way: what has nothing to add to it must not be answered before it */
  writing?: Promise<unknown>;
  /** what comes of the session's first save: if that fails, there may be nothing to change */
  isSaved?: Promise<boolean>;
}

export function fieldsOf(known: TrackedSession): Snapshot {
  if (known.fields instanceof StoredSession) known.fields = known.fields.data();
  return known.fields;
}

/** The JSON of one key of its data, by the key as quoteKey has it. */
export function jsonOf({ fields }: TrackedSession, quotedKey: string): string | undefined {
  return fields instanceof StoredSession ? fields.value(quotedKey) : fields.get(quotedKey);
}
