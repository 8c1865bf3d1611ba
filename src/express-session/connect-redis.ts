import type { SessionData } from "express-session";
import { isForbidden, SessionError } from "../errors.js";
import type { Commands } from "../redis/client.js";
import type { Connection } from "../redis/connection.js";
import { toNumber } from "../redis/reply.js";
import type { SessionLists } from "../sessions/sessions.js";
import type { StoreSettings } from "./options.js";
import { type Serializer, withinTimeout } from "./serializer.js";
import type { SessionWriter } from "./session-writer.js";
import { idleTimeoutOf, MAX_TTL } from "./ttl.js";
import { userIfValid } from "./user-id.js";

/**
 * How long a bar keeps sessions of connect-redis from being taken over, in ms: no browser keeps a cookie for longer than
 * 400 days.
 */
const BAR_TTL = 400 * 86_400_000;

/** How long Redis remembers that a store takes sessions over, and how often the store repeats it, in ms. */
const ANNOUNCEMENT_TTL = 30 * 86_400_000;
const ANNOUNCEMENT_INTERVAL = 86_400_000;

/**
 * Sessions that connect-redis wrote: strings under `<prefix><id>`.
 *
 * A session is taken over when a request first brings its id: it is read, written in our layout, and only then removed, so
 * that a crash between two steps loses none. A session that is ended between the steps does not come back: ending it
 * leaves a tombstone (lua/include/leave-tombstone.lua), and `replace` in the mode "absent" does not write over that.
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
    // connect-redis stored the cookie's `expires` as of the last write. It follows from the cookie's age.
    const age = session.cookie?.originalMaxAge;
    if (typeof age === "number") session.cookie.expires = new Date(now + age);
    const ttl = Math.min(ttlLeft, idleTimeoutOf(session, this.#settings, now).ttl);
    if (ttl > 0 || endless) {
      await this.#writer.replace(sid, session, { now, ttl }, "absent", userIfValid(session, userId));
    }
    await this.remove(sid);
  }

  async remove(sid: string): Promise<void> {
    await this.#command(sid, (client, key) => client.del(key));
  }

  /** How long the bar of a mass logout lasts, in ms. */
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
