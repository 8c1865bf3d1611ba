import { valueIn } from "../sessions/session-text.js";
import { isPlainObject } from "../util/objects.js";
import { type Changes, differences, type Snapshot, withUnknown } from "./changes.js";
import { expiresAt, type IdleTimeout } from "./ttl.js";

/** A shorter extension of a session is not worth a round trip, in ms. */
const TOUCH_INTERVAL = 1000;

/** What Redis holds of a session, or will hold when the writes under way succeed. */
interface Content {
  /** The user as JSON, or ANONYMOUS. Undefined when a write failed, so that nobody knows which user the index has. */
  id: string | undefined;
  lines: Snapshot;
  /** When the session ends unless it is used, in ms of our clock; UNKNOWN_EXPIRY if nobody knows. */
  expires: number;
}

/** No session ends at this time, so the next save or touch sends the expiry. */
export const UNKNOWN_EXPIRY = 0;

/**
 * What the store knows of one session that it loaded or wrote. A save compares the session with it, and sends what differs.
 *
 * A session object is in one of these states:
 *
 *     state          how it gets there                     the next save sends
 *     untracked      not loaded here, and never saved      all of it (`replace`)
 *     first save     a `replace` is under way              changed keys (`update`), and all of it if the first save failed
 *     tracked        loaded, or the write succeeded        changed keys, or nothing
 *     uncertain      an `update` failed                    the keys of that update again
 *     lost           the first save failed                 all of it, unless the session was ended meanwhile
 *
 * "untracked" and "lost" have no TrackedSession; Tracking tells them apart.
 */
export class TrackedSession {
  /** Private, like all fields, so that no log of the session's hidden properties shows the id. */
  readonly #sid: string;
  readonly #content: Content;
  /** The last write, while it is under way. */
  #write: Promise<void> | undefined;
  /** Whether the first save succeeded; undefined for a session that was loaded. */
  #firstSave: Promise<boolean> | undefined;

  constructor(sid: string, content: Content) {
    this.#sid = sid;
    this.#content = content;
  }

  /** The same state for another object of this session, which is then saved independently. */
  copy(sid = this.#sid): TrackedSession {
    const copy = new TrackedSession(sid, { ...this.#content });
    copy.#write = this.#write;
    copy.#firstSave = this.#firstSave;
    return copy;
  }

  get sid(): string {
    return this.#sid;
  }

  get id(): string | undefined {
    return this.#content.id;
  }

  get lines(): Snapshot {
    return this.#content.lines;
  }

  /** The cookie as cookieToJson returns it. */
  get cookie(): string | undefined {
    return valueIn(this.#content.lines, '"cookie"');
  }

  changesTo(lines: Snapshot): Changes {
    return differences(this.#content.lines, lines);
  }

  /** Whether the expiry is so far from the wanted one that it must be sent. */
  needsTouch(timeout: IdleTimeout): boolean {
    const missing = expiresAt(timeout) - this.#content.expires;
    // The interval of a short session is a tenth of its TTL.
    return Math.abs(missing) >= Math.min(TOUCH_INTERVAL, timeout.ttl * 100);
  }

  /**
   * Takes a write for done before its reply, so that a save that overlaps it is compared with what this one writes.
   * @param expires undefined when the write keeps the expiry
   */
  assumeWritten(id: string | undefined, lines: Snapshot, expires: number | undefined): void {
    this.#content.id = id;
    this.#content.lines = lines;
    if (expires !== undefined) this.#content.expires = expires;
  }

  /**
   * Remembers a write until it ends. Returns its end.
   * @param changes what it writes, if nobody will know after a failure whether it was written
   */
  trackWrite(write: Promise<unknown>, changes?: Changes): Promise<void> {
    const ended: Promise<void> = write.then(
      () => this.#forget(ended),
      (error) => {
        this.#forget(ended);
        if (changes !== undefined) this.#markUncertain(changes);
        throw error;
      },
    );
    this.#write = ended;
    return ended;
  }

  #forget(write: Promise<void>): void {
    if (this.#write === write) this.#write = undefined;
  }

  /** Nobody knows whether these changes were written: the next save must send them, the user and the expiry again. */
  #markUncertain(changes: Changes): void {
    this.#content.id = undefined;
    this.#content.expires = UNKNOWN_EXPIRY;
    this.#content.lines = withUnknown(this.#content.lines, changes);
  }

  /** The write under way. A save or touch that has nothing to send must not be answered before it. */
  get write(): Promise<void> | undefined {
    return this.#write;
  }

  trackFirstSave(succeeds: Promise<boolean>): void {
    this.#firstSave = succeeds;
  }

  /** Whether the first save succeeded; undefined for a session that was loaded. */
  get firstSave(): Promise<boolean> | undefined {
    return this.#firstSave;
  }
}

interface Trackable {
  [key: symbol]: TrackedSession | undefined;
}

/**
 * Which sessions a store tracks. The session objects themselves hold the TrackedSession, since a WeakMap would burden
 * the garbage collector. The properties are not enumerable, so neither JSON nor a copy of the session has them.
 */
export class Tracking {
  readonly #tracked = Symbol("RedisStore");
  readonly #firstSaveSent = Symbol("RedisStore: sent");

  /** A wrapper of the store may pass `set` a copy of a request's session. The copy has the same cookie object. */
  get(session: object): TrackedSession | undefined {
    const tracked = (session as Trackable)[this.#tracked];
    if (tracked !== undefined || !isPlainObject(session)) return tracked;
    return (session as { cookie?: Trackable | null }).cookie?.[this.#tracked];
  }

  add(session: object, tracked: TrackedSession | undefined): void {
    Object.defineProperty(session, this.#tracked, { value: tracked, configurable: true });
  }

  /** Tracks a session and its cookie, so that `get` also finds a shallow copy of the session. */
  addWithCopies(session: object, tracked: TrackedSession | undefined): void {
    this.add(session, tracked);
    const { cookie } = session as { cookie?: unknown };
    if (typeof cookie === "object" && cookie !== null) this.add(cookie, tracked);
  }

  addFirstSave(session: object, tracked: TrackedSession): void {
    Object.defineProperty(session, this.#firstSaveSent, { value: true, configurable: true });
    this.addWithCopies(session, tracked);
  }

  /** After a failed first save, unless a later one has taken its place. */
  remove(session: object, tracked: TrackedSession): void {
    if (this.get(session) === tracked) this.addWithCopies(session, undefined);
  }

  /** Whether a first save of this object was sent, even if it failed: its session may have existed, and ended. */
  wasFirstSaveSent(session: object): boolean {
    return this.#firstSaveSent in session;
  }
}
