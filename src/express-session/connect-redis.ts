import type { SessionData } from "express-session";
import { checkImportOptions } from "../engine/checks.js";
import { isForbidden, SessionError } from "../errors.js";
import type { Commands } from "../redis/client.js";
import type { Connection } from "../redis/connection.js";
import { toNumber } from "../redis/reply.js";
import { ANNOUNCEMENT_TTL, BAR_TTL, type ImportOutcome, importAll } from "../sessions/import.js";
import type { SessionLists } from "../sessions/sessions.js";
import type { Imported, ImportOptions } from "../types.js";
import { isPlainObject } from "../util/objects.js";
import { checkNames } from "../util/rules.js";
import { type Snapshot, snapshot } from "./changes.js";
import type { StoreSettings } from "./options.js";
import { type Serializer, withinTimeout } from "./serializer.js";
import type { SessionWriter } from "./session-writer.js";
import { idleTimeoutOf, MAX_TTL } from "./ttl.js";
import { userIfValid } from "./user-id.js";

/** How often the store repeats that it takes sessions over, in ms. */
const ANNOUNCEMENT_INTERVAL = 86_400_000;

/**
 * Sessions that connect-redis wrote: strings under `<prefix><id>`.
 *
 * A session is taken over when a request first brings its id: it is read, written in our layout, and only then removed, so
 * that a crash between two steps loses none. A session that is ended between the steps does not come back: ending it
 * leaves a tombstone (lua/include/leave-tombstone.lua), and `replace` in the mode "absent" does not write over that. It does not
 * come back after a crash either: writing it sets a mark, which stays until a moment after the source was removed.
 *
 * `killsoid` and `clear` cannot find the sessions that were not taken over yet. They set a bar in Redis, and `replace` in
 * the mode "absent" does not write while there is one for the session's user or for the app.
 */
export class ConnectRedisSessions {
  readonly #index: SessionLists;
  readonly #connection: Connection;
  readonly #settings: StoreSettings;
  readonly #writer: SessionWriter;
  /** When to announce again, ms. */
  #announceAt = 0;

  constructor(index: SessionLists, connection: Connection, settings: StoreSettings, writer: SessionWriter) {
    this.#index = index;
    this.#connection = connection;
    this.#settings = settings;
    this.#writer = writer;
  }

  /** Moves a session into our layout, unless it was ended or barred meanwhile. Does nothing if there is none. */
  async takeOver(sid: string): Promise<void> {
    const { touches, endless, serializer, userId } = this.#settings;
    const text = await this.#command(sid, (client, key) => client.get(key));
    if (text === null) return;
    // To take a session over is to use it. That prolongs it only where the store touches.
    const ttlLeft = touches ? Number.POSITIVE_INFINITY : await this.#ttlLeft(sid);
    if (ttlLeft === 0) return;
    const session = await withinTimeout(this.#connection, parse(text, serializer ?? JSON));
    const now = Date.now();
    const ttl = Math.min(ttlLeft, this.#idleTimeoutOf(session, now));
    if (ttl > 0 || endless) {
      const id = userIfValid(session, userId);
      await this.#writer.takeOver(sid, snapshot(session), { now, ttl }, id, now, this.barTtl);
    }
    await this.#removeTakenOver(sid);
  }

  /** Moves all sessions into our layout. They keep the time that they have left. */
  async importAll(options: ImportOptions): Promise<Imported> {
    checkNames({ name: "importSessions", call: "store.importSessions({ dryRun })" }, options, [
      "dryRun",
      "onProgress",
      "signal",
    ]);
    const { dryRun } = checkImportOptions(options);
    const { prefix } = this.#settings;
    const sizeOf = (client: Commands, key: string) => client.strlen(key);
    // A logout during the import must bar the sessions that are left.
    if (!dryRun) await this.#index.announceLegacy(this.barTtl, ANNOUNCEMENT_TTL);
    return importAll(this.#connection, { prefix, type: "string", sizeOf }, options, async (key) => {
      const sid = key.slice(prefix.length);
      const outcome = await this.#import(sid, dryRun);
      if (outcome !== undefined && outcome !== "damaged" && !dryRun) await this.#removeTakenOver(sid);
      return outcome;
    });
  }

  async #import(sid: string, dryRun: boolean): Promise<ImportOutcome> {
    const [text, ttlLeft] = await Promise.all([
      this.#command(sid, (client, key) => client.get(key)),
      this.#ttlLeft(sid),
    ]);
    if (text === null || ttlLeft === 0) return undefined;
    const session = await withinTimeout(this.#connection, parseIfSession(text, this.#settings.serializer ?? JSON));
    if (session === undefined) return "damaged";
    const now = Date.now();
    const timeout = this.#idleTimeoutOf(session, now);
    if (timeout <= 0 && !this.#settings.endless) return "expired";
    // The option `ttl` of connect-redis may have been longer than that of this store, which applies from the next use on.
    const ttl = Number.isFinite(ttlLeft) ? Math.max(timeout, Math.min(ttlLeft, MAX_TTL)) : timeout;
    const lines = snapshotIfWritable(session);
    if (lines === undefined) return "damaged";
    const id = userIfValid(session, this.#settings.userId);
    // It was last used when it had its whole idle timeout.
    const used = ttlLeft < ttl ? Math.round(now - (ttl - ttlLeft) * 1000) : now;
    const replaced = dryRun
      ? await this.#writer.wouldTakeOver(sid, id)
      : await this.#writer.takeOver(sid, lines, { now: used, ttl }, id, now, this.barTtl);
    return replaced === "written" ? "imported" : replaced;
  }

  /** The idle timeout of a session that is used at `now` (ms), in seconds. */
  #idleTimeoutOf(session: SessionData, now: number): number {
    // connect-redis stored the cookie's `expires` as of the last write. It follows from the cookie's age.
    const age = session.cookie?.originalMaxAge;
    if (typeof age === "number") session.cookie.expires = new Date(now + age);
    return idleTimeoutOf(session, this.#settings, now).ttl;
  }

  async #removeTakenOver(sid: string): Promise<void> {
    await this.remove(sid);
    await this.#writer.endMark(sid);
  }

  async remove(sid: string): Promise<void> {
    await this.#command(sid, (client, key) => client.del(key));
  }

  /** How long the bar of a mass logout, and the mark of a session that was taken over, last, in ms. */
  get barTtl(): number {
    return this.#settings.endless ? MAX_TTL * 1000 : BAR_TTL;
  }

  /**
   * Tells others that end sessions of this app (an engine, REST, the command) that this store takes sessions over, so
   * that they set a bar, too. Nobody waits for it. If it fails, a later call repeats it.
   * @param now ms
   */
  announce(now: number): void {
    if (now < this.#announceAt) return;
    this.#announceAt = now + ANNOUNCEMENT_INTERVAL;
    this.#index.announceLegacy(this.barTtl, ANNOUNCEMENT_TTL).catch(() => {
      this.#announceAt = 0;
    });
  }

  /** The TTL of a session in seconds: 0 if it is gone, Infinity if it has none. */
  async #ttlLeft(sid: string): Promise<number> {
    const left = toNumber(await this.#command(sid, (client, key) => client.pttl(key)));
    return left === -1 ? Number.POSITIVE_INFINITY : Math.max(left, 0) / 1000;
  }

  /** @throws SessionError whose hint names the keys, if the Redis user may not use them */
  async #command<Reply>(sid: string, send: (client: Commands, key: string) => Promise<Reply>): Promise<Reply> {
    const { prefix } = this.#settings;
    try {
      return await this.#connection.command((client) => send(client, prefix + sid));
    } catch (error) {
      if (!isForbidden(error)) throw error;
      const { name, message, cause } = error;
      const hint = `RedisStore looks for sessions of connect-redis: allow the keys ~${prefix}*, or set legacy: false`;
      throw new SessionError(name, message, { hint, cause });
    }
  }
}

/**
 * Parses a session that express-session wrote: it has a cookie. The prefix of an import may also be that of other keys of the
 * app. Returns undefined if the text is anything else.
 */
async function parseIfSession(text: string, serializer: Serializer): Promise<SessionData | undefined> {
  const parsed = await parse(text, serializer).catch(() => undefined);
  return isPlainObject(parsed?.cookie) ? parsed : undefined;
}

/** Returns undefined for a session that is nested too deeply: JSON.parse can read it, but JSON.stringify cannot write it. */
function snapshotIfWritable(session: object): Snapshot | undefined {
  try {
    return snapshot(session);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** @throws SessionError `redisError` if the text is not a session */
async function parse(text: string, serializer: Serializer): Promise<SessionData> {
  let parsed: unknown;
  try {
    parsed = await serializer.parse(text);
  } catch {
    // The parser's message may quote the session.
  }
  if (typeof parsed === "object" && parsed !== null) return parsed as SessionData;
  throw new SessionError(
    "redisError",
    "A session that connect-redis wrote cannot be read. Was it written with another serializer?",
  );
}
