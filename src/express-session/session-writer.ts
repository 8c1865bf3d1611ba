import { tooLarge, tooManyKeys } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { ANONYMOUS } from "../sessions/keys.js";
import type { Bounds, Replaced } from "../sessions/operations.js";
import { countLines, encodeHeader } from "../sessions/session-text.js";
import type { Sessions } from "../sessions/sessions.js";
import { isPlainObject } from "../util/objects.js";
import { changedLines, isEmpty, removalLines, type Snapshot, snapshot, storedLines } from "./changes.js";
import type { StoreSettings } from "./options.js";
import { SaveQueue } from "./save-queue.js";
import type { StoreRefs } from "./store-ref.js";
import { TrackedSession, type Tracking } from "./tracked-session.js";
import { expiresAt, type IdleTimeout } from "./ttl.js";
import { userOf } from "./user-id.js";

const UNBOUNDED: Bounds = { maxBytes: Number.POSITIVE_INFINITY, maxKeys: Number.POSITIVE_INFINITY };

/**
 * Writes sessions: `update` sends what has changed in a tracked session (lua/update.lua), `replace` sends a whole session
 * (lua/replace.lua). TrackedSession describes when the store uses which.
 */
export class SessionWriter {
  /** Everything that concerns one session is sent through this queue. */
  readonly queue: SaveQueue;
  readonly #sessions: Sessions;
  readonly #settings: StoreSettings;
  readonly #refs: StoreRefs;
  readonly #tracking: Tracking;

  constructor(
    sessions: Sessions,
    connection: Connection,
    settings: StoreSettings,
    refs: StoreRefs,
    tracking: Tracking,
  ) {
    this.#sessions = sessions;
    this.queue = new SaveQueue(connection);
    this.#settings = settings;
    this.#refs = refs;
    this.#tracking = tracking;
  }

  /**
   * Sends what has changed since the session was loaded or saved. Sends nothing if nothing has changed and the expiry in
   * Redis is right.
   * @param lines the session's data now
   * @param id its user; undefined to leave the user that it has
   */
  update(
    tracked: TrackedSession,
    session: object,
    lines: Snapshot,
    id: string | undefined,
    timeout: IdleTimeout,
  ): Promise<void> {
    const { endless, touches, serializer, bounds, limits } = this.#settings;
    const changes = tracked.changesTo(lines);
    const needsTouch = !endless && tracked.needsTouch(timeout);
    // With nothing to send, an earlier save has sent this state. This save succeeds or fails with that one, and is
    // answered after it: both wait for the same promise.
    if (isEmpty(changes) && !needsTouch) return tracked.write ?? Promise.resolve();

    // Send the user only if this request has changed it. Otherwise it would undo the login of a parallel request.
    const newId = id === undefined || id === tracked.id ? "" : id;
    // Keep the expiry that `get` has just set. If the user changes, the script needs the TTL for the index.
    const keepsExpiry = touches && !needsTouch && newId === "";
    tracked.assumeWritten(id, lines, keepsExpiry ? undefined : expiresAt(timeout));

    const ref = this.#refs.of(tracked.sid);
    const ttl = keepsExpiry ? null : this.#storedTtl(timeout);
    const { now } = timeout;
    const { maxBytes, maxKeys } = bounds;
    const { overflow } = limits;
    const maxPerUser = newId === "" ? undefined : limits.maxPerUser;
    const removals = removalLines(changes);
    const send = () =>
      this.queue.add(
        ref,
        changedLines(changes, serializer),
        (changed) =>
          this.#sessions.update({
            ref,
            id: newId,
            now,
            ttl,
            changes: removals + changed,
            maxBytes,
            maxKeys,
            maxPerUser,
            overflow,
          }),
        maxPerUser !== undefined,
      );
    const { firstSave } = tracked;
    // Most sessions were loaded, so they have no first save.
    const write = firstSave === undefined ? send() : this.#updateAfter(firstSave, send, tracked.sid, session, timeout);
    return tracked.trackWrite(write, changes);
  }

  /** Updates a session whose first save may be under way or has failed. */
  async #updateAfter(
    firstSave: Promise<boolean>,
    send: () => Promise<true | null>,
    sid: string,
    session: object,
    timeout: IdleTimeout,
  ): Promise<void> {
    if (await send()) return;
    // The session was not in Redis. Either the first save failed, or this update overtook it: Redis lacked the script of
    // the first save, so that was sent again, after this update.
    if (await firstSave) await send();
    else await this.replace(sid, session, timeout, "unended", userOf(session, this.#settings.userId));
  }

  /**
   * Sends a whole session, and tracks it from now on.
   * @param mode what it may be written over
   */
  replace(sid: string, session: object, timeout: IdleTimeout, mode: "any" | "unended", id: string): Promise<void> {
    const lines = snapshot(session);
    const { bounds } = this.#settings;
    if (countLines(lines) > bounds.maxKeys) throw tooManyKeys("RedisStore: the session has", bounds.maxKeys);
    const ttl = this.#storedTtl(timeout);
    const head = encodeHeader(timeout.now, ttl, { id: id === ANONYMOUS ? undefined : id });
    const ref = this.#refs.of(sid);
    const text = this.#textOf(ref, head, lines, bounds);
    const tracked = new TrackedSession(sid, { id, lines, expires: expiresAt(timeout) });
    // A plain object belongs to the caller, and replaces the session the next time, too.
    if (!isPlainObject(session)) this.#tracking.addFirstSave(session, tracked);
    const { now } = timeout;
    const { absolute, maxPerUser, overflow } = this.#settings.limits;
    const write = tracked.trackWrite(
      this.queue.add(
        ref,
        text.inline,
        (inline) =>
          this.#sessions.replace({
            ref,
            id,
            now,
            ttl,
            mode,
            text: inline,
            staged: text.staged,
            absolute,
            maxPerUser,
            overflow,
          }),
        maxPerUser !== undefined,
      ),
    );
    tracked.trackFirstSave(
      write.then(
        () => true,
        () => {
          this.#tracking.remove(session, tracked);
          return false;
        },
      ),
    );
    return write;
  }

  /**
   * Writes a session that connect-redis left, unless there is one, or it was taken over before, ended or barred. Whatever its
   * size: otherwise every request of its user would fail.
   * @param lines its data
   * @param timeout as of its last use
   * @param now ms
   * @param markTtl as for AppSessions.takeOver()
   */
  takeOver(
    sid: string,
    lines: Snapshot,
    timeout: IdleTimeout,
    id: string,
    now: number,
    markTtl: number,
  ): Promise<Replaced> {
    const ref = this.#refs.of(sid);
    const head = encodeHeader(timeout.now, this.#storedTtl(timeout), { id: id === ANONYMOUS ? undefined : id });
    const text = this.#textOf(ref, head, lines, UNBOUNDED);
    const ttl = this.#storedTtl({ now, ttl: timeout.ttl - (now - timeout.now) / 1000 });
    // To take a session over is no sign-in, so maxPerUser does not apply.
    const { absolute } = this.#settings.limits;
    return this.queue.add(ref, text.inline, (inline) =>
      this.#sessions.takeOver({ ref, id, now, ttl, text: inline, staged: text.staged, absolute, markTtl }),
    );
  }

  /** Must be called when the source of a session that was taken over is removed. */
  endMark(sid: string): Promise<void> {
    return this.#sessions.endMark(this.#refs.of(sid));
  }

  /** What `takeOver` would do. Writes nothing. */
  wouldTakeOver(sid: string, id: string): Promise<Replaced> {
    return this.#sessions.wouldTakeOver(this.#refs.of(sid), id);
  }

  /**
   * The text of a session. A large text is first written to a separate key: then `inline` resolves to an empty text, and
   * `staged` is that key.
   * @throws SessionError `invalidValue` if it is larger than `maxBytes`
   */
  #textOf(ref: string, head: string, snapshotLines: Snapshot, { maxBytes }: Bounds): SessionText {
    const stageIfLarge = (lines: string): string | Promise<string> => {
      if (Buffer.byteLength(lines) > maxBytes) throw tooLarge("RedisStore: the session is", maxBytes);
      const staging = this.#sessions.stageIfLarge(ref, head + lines);
      if (staging === undefined) return head + lines;
      return staging.then((key) => {
        text.staged = key;
        return "";
      });
    };
    const text: SessionText = { inline: "", staged: undefined };
    const lines = storedLines(snapshotLines, this.#settings.serializer);
    text.inline = typeof lines === "string" ? stageIfLarge(lines) : lines.then(stageIfLarge);
    return text;
  }

  #storedTtl({ ttl }: IdleTimeout): number {
    return this.#settings.endless ? 0 : ttl;
  }
}

interface SessionText {
  inline: string | Promise<string>;
  staged: string | undefined;
}
