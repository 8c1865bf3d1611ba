import type { Commands } from "../redis/client.js";
import type { Connection } from "../redis/connection.js";
import { toNumber } from "../redis/reply.js";
import { ANNOUNCEMENT_TTL, BAR_TTL, type ImportOutcome, importAll } from "../sessions/import.js";
import { quoteId } from "../sessions/keys.js";
import { encodeData, encodeHeader } from "../sessions/session-text.js";
import type { Sessions } from "../sessions/sessions.js";
import { refOf } from "../sessions/token.js";
import type { Imported } from "../types.js";
import { checkId, checkIp, isToken, MAX_SECONDS } from "./checks.js";
import { toEntries } from "./data.js";
import type { Checked } from "./options.js";

/** The fields of the hash of a session. `la` and `ttl` are in seconds. */
const FIELDS = ["id", "r", "w", "ttl", "d", "la", "ip", "no_resave"] as const;

type Fields = { readonly [Name in (typeof FIELDS)[number]]?: string | null };

/** redis-sessions was first published in 2013. A token that seems to be older has another form. */
const FIRST_VERSION = Date.UTC(2013);

/** A session of redis-sessions in our form. */
interface ForeignSession {
  readonly id: string;
  /** ms */
  readonly expires: number;
  readonly text: string;
}

/**
 * Sessions of an app that redis-sessions 2 to 4 wrote. Its keys:
 *
 * - `<namespace>:<app>:<token>`: hash, a session
 * - `<namespace>:<app>:us:<id>`: set, the tokens of a user
 * - `<namespace>:<app>:_sessions`: zset, `<token>:<id>` → last use
 * - `<namespace>:<app>:_users`: zset, id → last use
 * - `<namespace>:SESSIONS`: zset, `<app>:<token>:<id>` → when the wiper ends the session
 *
 * A session is written in our layout, then removed there, so that a crash between two steps loses none. The session may end
 * between these steps, and the import may then be repeated. So writing it also sets a mark, which stays until a moment after the
 * session was removed from redis-sessions.
 */
export class RedisSessionsSource {
  readonly #connection: Connection;
  readonly #sessions: Sessions;
  readonly #namespace: string;
  readonly #app: string;
  /** What all keys of the app begin with. */
  readonly #prefix: string;

  constructor(connection: Connection, sessions: Sessions, namespace: string, app: string) {
    this.#connection = connection;
    this.#sessions = sessions;
    this.#namespace = namespace;
    this.#app = app;
    this.#prefix = `${namespace}:${app}:`;
  }

  /** Moves all sessions into our layout. They keep the time that they have left. */
  async importAll(options: Checked<"importSessions">): Promise<Imported> {
    const { dryRun } = options;
    const sizeOf = (client: Commands, key: string) => client.hstrlen(key, "d");
    // A logout during the import must bar the sessions that are left.
    if (!dryRun) await this.#sessions.index.announceLegacy(BAR_TTL, ANNOUNCEMENT_TTL);
    const source = { prefix: this.#prefix, type: "hash", sizeOf } as const;
    const done = await importAll(this.#connection, source, options, async (key) => {
      const token = key.slice(this.#prefix.length);
      return isToken(token) ? this.#import(key, token, dryRun) : undefined;
    });
    if (done.complete && !dryRun) await this.#removeUsers();
    return done;
  }

  async #import(key: string, token: string, dryRun: boolean): Promise<ImportOutcome> {
    const values = await this.#connection.command((client) => client.hmget(key, ...FIELDS));
    if (values.every((value) => value === null)) return undefined;
    const fields: Fields = Object.fromEntries(FIELDS.map((name, i) => [name, values[i]]));
    const outcome = await this.#importFields(fields, token, dryRun);
    if (outcome === "damaged" || dryRun) return outcome;
    await this.#remove(key, token, fields.id ?? "");
    await this.#sessions.endMark(refOf(token));
    return outcome;
  }

  async #importFields(fields: Fields, token: string, dryRun: boolean): Promise<NonNullable<ImportOutcome>> {
    // A `get` or `set` of redis-sessions that races a `kill` leaves a hash without an id.
    if (fields.id === null) return "ended";
    const session = toOurForm(fields, token);
    if (session === undefined) return "damaged";
    const now = Date.now();
    const ttl = (session.expires - now) / 1000;
    if (ttl <= 0) return "expired";
    const { id, text } = session;
    const ref = refOf(token);
    if (dryRun) {
      const would = await this.#sessions.wouldTakeOver(ref, id);
      return would === "written" ? "imported" : would;
    }
    const staged = await this.#sessions.stageIfLarge(ref, text);
    const inline = staged === undefined ? text : "";
    const replaced = await this.#sessions.takeOver({ ref, id, now, ttl, text: inline, staged, markTtl: BAR_TTL });
    return replaced === "written" ? "imported" : replaced;
  }

  /** Removes a session of redis-sessions, and its tokens, which are in its index, too. */
  async #remove(key: string, token: string, id: string): Promise<void> {
    const command = this.#connection.command.bind(this.#connection);
    await Promise.all([
      command((client) => client.zrem(`${this.#prefix}_sessions`, `${token}:${id}`)),
      command((client) => client.srem(`${this.#prefix}us:${id}`, token)),
      command((client) => client.zrem(`${this.#namespace}:SESSIONS`, `${this.#app}:${token}:${id}`)),
    ]);
    // Last: until then, another run finds the session, and repeats this.
    await command((client) => client.del(key));
  }

  /** Removes the list of users when no session is left. */
  async #removeUsers(): Promise<void> {
    const left = toNumber(await this.#connection.command((client) => client.zcard(`${this.#prefix}_sessions`)));
    if (left === 0) await this.#connection.command((client) => client.del(`${this.#prefix}_users`));
  }
}

/** Converts a session. Returns undefined if redis-sessions could not have written it. */
function toOurForm(fields: Fields, token: string): ForeignSession | undefined {
  const [r, w, ttl, la] = [fields.r, fields.w, fields.ttl, fields.la].map(toWhole);
  if (r === undefined || w === undefined || ttl === undefined || la === undefined) return undefined;
  const used = Math.min(la * 1000, Date.now());
  const created = createdOf(token, used);
  const no_resave = fields.no_resave === "1";
  // Here the ttl of a session that use does not prolong begins when it is created, there when it is read.
  const start = no_resave ? created : used;
  const idle = no_resave ? Math.floor((used - created) / 1000) + ttl : ttl;
  try {
    const id = quoteId(checkId(fields.id));
    const ip = fields.ip ? checkIp(fields.ip) : "";
    const head = encodeHeader(used, idle, { id, ...(ip !== "" && { ip }), no_resave, r, w, created });
    return { id, expires: start + idle * 1000, text: head + dataOf(fields.d) };
  } catch {
    // The error of a parser may quote the session.
    return undefined;
  }
}

/** The data lines of a session. Throws if the text is not an object that `set` accepts. */
function dataOf(json: string | null | undefined): string {
  if (!json) return "";
  const d: unknown = JSON.parse(json);
  if (typeof d !== "object" || d === null || Array.isArray(d)) throw new TypeError("d is not an object");
  return encodeData(toEntries(d, true));
}

/**
 * When a session was created, in ms: redis-sessions appends it to the token, after a "Z". If the token has no such end, the
 * last use is the earliest time that is known.
 */
function createdOf(token: string, used: number): number {
  const created = Number.parseInt(token.slice(token.lastIndexOf("Z") + 1), 36);
  // The last use is in whole seconds.
  return created >= FIRST_VERSION && created < used + 1000 ? created : used;
}

/** Reads a whole number. redis-sessions accepts a ttl that Redis could not count. */
function toWhole(text: string | null | undefined): number | undefined {
  return /^\d+$/.test(text ?? "") ? Math.min(Number(text), MAX_SECONDS) : undefined;
}
