import { SessionError } from "../errors.js";
import { toText } from "../redis/reply.js";
import type { EndReason, Session } from "../types.js";
import { TimeSlice } from "../util/time-slice.js";

/** A key of the data and its value as JSON; null removes the key. */
export type DataEntry = readonly [key: string, json: string | null];

/**
 * A session is one text. Its first eight lines are the header, see lua/include/session.lua. Each further line is a key of the
 * data and its value, `"key":value`. JSON contains no raw line feed, so a line feed always ends a line.
 */

/** The text that is stored in place of a session that has ended or was rotated. */
export class Tombstone {
  /** The session's new ref if it was rotated; empty if it has ended. */
  readonly redirect: string;
  readonly reason: EndReason | undefined;
  constructor(redirect: string, reason?: EndReason) {
    this.redirect = redirect;
    this.reason = reason;
  }
}

/** The value of the flag `maxAge` if the browser deletes the session's cookie when it is closed: a session cookie. */
export const UNTIL_CLOSED = "session";

/** What follows ">" in the tombstone of a session whose token was reused. No ref contains a space. */
const REUSED = " reused";

/** The optional fields of a new session's header. */
interface HeaderFields {
  /** as JSON */
  id?: string | undefined;
  ip?: string;
  device?: string | undefined;
  no_resave?: boolean;
  /** The number of reads, and of writes; default 1. */
  r?: number;
  w?: number;
  /** When it was created, ms; default `now`. */
  created?: number;
  /** Flags with a value, by name. A flag whose value is undefined is omitted. */
  flags?: Readonly<Record<string, string | number | undefined>> | undefined;
}

/** Returns the header of a new session. `now` is ms, `ttl` seconds. */
export function encodeHeader(
  now: number,
  ttl: number,
  { id = "", ip, device, no_resave, r = 1, w = 1, created = now, flags }: HeaderFields,
): string {
  const allFlags = (no_resave ? " no_resave" : "") + (flags === undefined ? "" : encodeFlags(flags));
  return `${now}\n${r}\n${w}\n${ttl}${allFlags}\n${created}\n${id}\n${jsonOrEmpty(ip)}\n${jsonOrEmpty(device)}`;
}

/** Returns flags with a value in the form of the header's fourth line. */
function encodeFlags(flags: Readonly<Record<string, string | number | undefined>>): string {
  let text = "";
  for (const name in flags) {
    const value = flags[name];
    if (value !== undefined) text += ` ${name}=${encodeURIComponent(String(value).toWellFormed())}`;
  }
  return text;
}

/** Above this many characters, the numbers of reads and writes of a text are padded; as in lua/get.lua. */
const PADDED_ABOVE = 1024;

/** Above this many characters, line 4 is padded. Less than a text that is larger than a script reads, see lua/include/read.lua. */
const RESERVED_ABOVE = 64 * 1024;

/** The width of line 4 of a large session, in characters; as in lua/include/pad-numbers.lua. */
const LINE_4 = 512;

/**
 * Pads the numbers of reads and writes of a new session's text with zeros, unless the text is short. Scripts can then change
 * them in place. Otherwise the append-only file and replicas would receive the whole text when a number gets another digit.
 * In a long text, also reserves room for flags.
 */
export function padNumbers(text: string): string {
  if (text.length <= PADDED_ABOVE) return text;
  const isLong = text.length > RESERVED_ABOVE;
  return text.replace(
    /^(\d+)\n(\d+)\n(\d+)\n(.*)/,
    (_all, la, r, w, line4) => `${la}\n${padNumber(r)}\n${padNumber(w)}\n${isLong ? reserve(line4) : line4}`,
  );
}

/** Returns a number of reads or writes in its padded form. */
export function padNumber(number: string | number | undefined): string {
  return String(Number(number)).padStart(10, "0");
}

/** Reserves room for more flags on line 4: spaces, which readers ignore. Scripts change the header of a large session in place. */
export function reserve(line4: string): string {
  return line4.trimEnd().padEnd(LINE_4);
}

/** Returns where a session is used, as on lines 7 and 8 of its text. Undefined if unknown. */
export function encodeOrigin(ip: string | undefined, device: string | undefined): string {
  return `${jsonOrEmpty(ip)}\n${jsonOrEmpty(device)}`;
}

function jsonOrEmpty(text: string | undefined): string {
  return text === undefined ? "" : JSON.stringify(text);
}

/** Returns the data lines of a new session, which follow the header. Null values are omitted. */
export function encodeData(d: readonly DataEntry[]): string {
  return encodeChanges(d.filter(([, json]) => json !== null));
}

/** Returns changes of the data in the form of lua/include/search.lua. Null removes a key. */
export function encodeChanges(d: readonly DataEntry[]): string {
  let lines = "";
  for (const [key, json] of d) lines += line(quoteKey(key), json ?? "");
  return lines;
}

/** Returns a data line. An empty `json` removes the key. */
export function line(quotedKey: string, json: string): string {
  return `\n${quotedKey}:${json}`;
}

/** Parses data lines. Returns the keys in the form of quoteKey(), with JSON values. */
export function parseLines(lines: string): Map<string, string> {
  const data = new Map<string, string>();
  for (const text of lines.split("\n")) {
    const end = text.indexOf('"', 1) + 1;
    if (end > 0) data.set(text.slice(0, end), text.slice(end + 1));
  }
  return data;
}

/** Counts data lines. */
export function countLines(lines: string): number {
  let count = 0;
  for (let at = lines.indexOf("\n"); at !== -1; at = lines.indexOf("\n", at + 1)) count++;
  return count;
}

/** Returns the JSON of a key in data lines; undefined if the key does not exist. The key has the form of quoteKey(). */
export function valueIn(lines: string, quotedKey: string): string | undefined {
  const start = lines.indexOf(line(quotedKey, ""));
  if (start === -1) return undefined;
  const from = start + quotedKey.length + 2;
  const end = lines.indexOf("\n", from);
  return lines.slice(from, end === -1 ? undefined : end);
}

/** Returns a key as JSON. Quotation marks in the key are written as \u0022, so scripts can find the end of the key. */
export function quoteKey(key: string): string {
  const json = JSON.stringify(key);
  return json.includes("\\") ? json.replace(/\\(["\\])/g, (_, c) => (c === '"' ? "\\u0022" : "\\u005c")) : json;
}

/** The number of header lines. */
const HEADER_LINES = 8;

/** The largest size of a session that is kept as an object, too, in characters. */
const MAX_ORIGINAL = 4096;

/** What a read may add to the flags, see lua/get.lua. */
const LEFT = / left=\S+/;

/** A session as it is stored in Redis. The header is parsed; the data is parsed only when it is needed. */
export class StoredSession {
  readonly ref: string;
  /** When it was last used, ms. */
  readonly la: number;
  readonly r: number;
  readonly w: number;
  /** The idle timeout in seconds; 0 if the session never expires. */
  readonly ttl: number;
  readonly no_resave: boolean;
  /** When it was created, ms. */
  readonly created: number;
  /** As JSON, like the next two; empty if there is no value. */
  readonly id: string;
  readonly ip: string;
  readonly device: string;
  /** What follows the ttl on line 4: each flag with a space in front. */
  #flags: string;
  /** The data lines, each with a line feed in front. */
  readonly #data: string;

  /** When the session was touched last, ms: `la`, or the time of the call that returned it. */
  #touched: number;

  /** When Redis was asked, ms, if the session is served from memory. */
  #readAt: number | undefined;

  /** How far the clock of `skew` is ahead of this process's, ms, if the session is served from memory. */
  #clockAhead = 0;

  /** What callers get copies of, if the session is served from memory. Null if it cannot be copied key by key. */
  #original: Session<object> | null | undefined;

  private constructor(ref: string, header: readonly string[], data: string) {
    const [la, r, w, ttl, created, id, ip, device] = header as [string, ...string[]];
    this.ref = ref;
    this.la = Number(la);
    this.#touched = this.la;
    this.r = Number(r);
    this.w = Number(w);
    this.ttl = Number.parseFloat(ttl as string);
    const flags = (ttl as string).indexOf(" ");
    this.#flags = flags === -1 ? "" : (ttl as string).slice(flags);
    this.no_resave = this.#flags.includes(" no_resave");
    this.created = Number(created);
    this.id = id as string;
    this.ip = ip as string;
    this.device = device as string;
    this.#data = data;
  }

  /** Parses a session's text. Returns undefined if it is not one. */
  static parse(text: string, ref: string): StoredSession | undefined {
    const header: string[] = [];
    let end = -1;
    while (header.length < HEADER_LINES) {
      const start = end + 1;
      end = text.indexOf("\n", start);
      // Without data, the last header line ends the text.
      if (end === -1) end = header.length === HEADER_LINES - 1 ? text.length : -1;
      if (end === -1) return undefined;
      header.push(text.slice(start, end));
    }
    return new StoredSession(ref, header, text.slice(end));
  }

  /** Returns the session with another header; undefined if that is malformed. */
  withHeader(header: string): StoredSession | undefined {
    return StoredSession.parse(header + this.#data, this.ref);
  }

  /** Notes that the call at `now` (ms) has touched the session, if its last use is at least `interval` ms ago. */
  touchIfDue(now: number, interval: number): void {
    if (Math.abs(now - this.la) >= interval) this.#touched = now + this.#clockAhead;
  }

  /**
   * When the session ends if nobody uses it again, ms of Redis's clock. Infinity if it never ends. It is computed, because `PTTL`
   * would add a fifth to the time of each read in Redis.
   */
  get expires(): number {
    if (this.#flags === "" && this.ttl > 0) return Math.round(this.#touched + this.ttl * 1000);
    const skew = Number(this.flag("skew") ?? 0);
    const start = (this.no_resave ? this.created : this.#touched) - skew;
    const idleEnd = this.ttl === 0 ? Number.POSITIVE_INFINITY : start + this.ttl * 1000;
    return Math.round(Math.min(idleEnd, this.absoluteEnd));
  }

  /** When the session ends however it is used, ms of Redis's clock. Infinity if it has no absolute lifetime. */
  get absoluteEnd(): number {
    return Number(/ until (\d+)/.exec(this.#flags)?.[1] ?? Number.POSITIVE_INFINITY);
  }

  /**
   * Notes that the session, which was read at `now` (ms), will be served from memory.
   * @param left how long it then lived if nobody used it, ms; -1 if it had no end
   */
  keepSince(now: number, left: number): void {
    this.#readAt = now;
    // The flag may be of another server whose clock differs. Hits count from this process's clock, so they must be converted.
    const skew = now - (this.expires - left);
    const ahead = Number(this.flag("skew") ?? 0) - skew;
    // A smaller difference is the time that the read took.
    if (Number.isFinite(ahead) && Math.abs(ahead) >= 1000) this.#clockAhead = ahead;
    this.#flags = this.#flags.replace(LEFT, "");
  }

  /** Whether the session is served from memory, more than once. */
  get isKept(): boolean {
    return this.#readAt !== undefined;
  }

  /** Seconds since the last use before the read, for a caller whose clock shows `now` (ms). */
  idleAt(now: number): number {
    return Math.max(0, seconds((this.#readAt ?? now) - this.la));
  }

  /** How long the session lived when it was read, ms; -1 if it had no end. 0 if the read did not ask for it. */
  get left(): number {
    return Number(this.flag("left") ?? 0);
  }

  /** Where the session was used last, in the form of encodeOrigin(). */
  get origin(): string {
    return `${this.flag("lastIp") ?? this.ip}\n${this.flag("lastDevice") ?? this.device}`;
  }

  /** Whether another read has returned the same session. Its uses in between do not matter. */
  hasContentOf(other: StoredSession): boolean {
    return (
      this.w === other.w &&
      this.ttl === other.ttl &&
      this.created === other.created &&
      this.id === other.id &&
      this.#data === other.#data &&
      this.#flags.replace(LEFT, "") === other.#flags.replace(LEFT, "")
    );
  }

  /** As toSession(), for a session that is kept. To copy an object is several times as fast as to parse the text. */
  copy(now: number): Session<object> {
    this.#original ??= this.#makeOriginal(now);
    const original = this.#original;
    if (original === null) return makeSession(this, now);
    const { d } = original;
    if (d === undefined) return { ...original, idle: this.idleAt(now), expires: this.expires };
    return { ...original, idle: this.idleAt(now), expires: this.expires, d: { ...d } };
  }

  #makeOriginal(now: number): Session<object> | null {
    if (this.size > MAX_ORIGINAL || this.no_resave) return null;
    const session = makeSession<object>(this, now);
    const isFlat = Object.values(session.d ?? {}).every((value) => typeof value !== "object" || value === null);
    return isFlat ? session : null;
  }

  /** Returns the value of a flag of the form `name=value`. Returns undefined if the session does not have the flag. */
  flag(name: string): string | undefined {
    if (this.#flags === "") return undefined;
    const start = this.#flags.indexOf(` ${name}=`);
    if (start === -1) return undefined;
    const from = start + name.length + 2;
    const end = this.#flags.indexOf(" ", from);
    return decodeURIComponent(this.#flags.slice(from, end === -1 ? undefined : end));
  }

  /** When the user was authenticated last, ms. */
  get authTime(): number {
    return Number(this.flag("authTime") ?? this.created);
  }

  /** The address of the last use, if it is not `ip`. */
  get lastIp(): string | undefined {
    return this.#unquotedFlag("lastIp");
  }

  /** The device of the last use, if it is not `device`. */
  get lastDevice(): string | undefined {
    return this.#unquotedFlag("lastDevice");
  }

  /** Whether the read that returned the session has recorded another address or device than those of the last use. */
  get hasMoved(): boolean {
    return this.#flags.includes(" moved");
  }

  #unquotedFlag(name: string): string | undefined {
    const json = this.flag(name);
    return json === undefined ? undefined : unquote(json);
  }

  /** Who uses the session in the user's place. Undefined if the user does. */
  get actor(): string | undefined {
    return this.flag("actor");
  }

  /** How long the browser keeps the session's cookie: seconds, or null until it is closed. Undefined if it is not stored. */
  get maxAge(): number | null | undefined {
    const maxAge = this.flag("maxAge");
    return maxAge === undefined ? undefined : maxAge === UNTIL_CLOSED ? null : Number(maxAge);
  }

  /** Whether the session was rotated. */
  get isRotated(): boolean {
    return this.#flags.includes(" rotated=");
  }

  /** The data lines, each with a line feed in front. */
  get lines(): string {
    return this.#data;
  }

  /** Returns the data as one JSON object. (To replace the line feeds in the whole text would take longer.) */
  json(): string {
    const data = this.#data;
    let json = "{";
    let from = 1;
    for (let to = data.indexOf("\n", from); to !== -1; to = data.indexOf("\n", from)) {
      json += `${data.slice(from, to)},`;
      from = to + 1;
    }
    return `${json}${data.slice(from)}}`;
  }

  /** The approximate number of characters of the text. */
  get size(): number {
    return 200 + this.#data.length;
  }

  get isEmpty(): boolean {
    return this.#data === "";
  }
}

/** Parses Redis's reply for the session `ref`. Returns null if there is neither a session nor a tombstone. */
export function decode(reply: string | null, ref: string): StoredSession | Tombstone | null {
  const text = toText(reply);
  if (!text) return null;
  return parseTombstone(text) ?? StoredSession.parse(text, ref) ?? null;
}

/** Parses a reply that is a tombstone. Returns undefined for any other reply. */
export function parseTombstone(reply: string | number): Tombstone | undefined {
  if (typeof reply !== "string" || !reply.startsWith(">")) return undefined;
  const text = reply.slice(1);
  return text === REUSED ? new Tombstone("", "reused") : new Tombstone(text);
}

/**
 * Parses JSON of a session, such as the result of StoredSession.json(). The key "__proto__" is read like any other.
 * @throws SessionError `redisError` if the text is damaged; the message does not quote it
 */
export function parseData(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw new SessionError("redisError", "The value at the session's key is not a session");
  }
}

/** Returns the session in the form that callers receive. `now` is ms of this process's clock. */
export function toSession<Data>(stored: StoredSession, now: number): Session<Data> {
  // The text decides what the data is. The caller says of which type.
  return stored.isKept ? (stored.copy(now) as Session<Data>) : makeSession<Data>(stored, now);
}

function makeSession<Data>(stored: StoredSession, now: number): Session<Data> {
  const session = withoutData<Data>(stored, now);
  if (!stored.isEmpty) session.d = parseData(stored.json()) as Data;
  return session;
}

/**
 * Converts many sessions without blocking the event loop. Damaged sessions are omitted. Each session is parsed separately: in a
 * common parse a damaged text could change its neighbours.
 */
export async function toSessions<Data>(stored: readonly StoredSession[], now: number): Promise<Session<Data>[]> {
  const sessions: Session<Data>[] = [];
  const slice = new TimeSlice();
  for (const one of stored) {
    if (slice.isOver) await slice.yield();
    const session = toSessionIfValid<Data>(one, now);
    if (session !== undefined) sessions.push(session);
  }
  return sessions;
}

function toSessionIfValid<Data>(stored: StoredSession, now: number): Session<Data> | undefined {
  try {
    return toSession(stored, now);
  } catch {
    return undefined;
  }
}

/** Returns the session without its data. */
export function withoutData<Data>(stored: StoredSession, now: number): Session<Data> {
  const { ref, r, w, created, expires, authTime, maxAge, actor, lastIp, lastDevice } = stored;
  const session: Session<Data> = {
    ref,
    id: unquote(stored.id),
    ip: unquote(stored.ip),
    r,
    w,
    ttl: stored.no_resave ? Math.max(0, stored.ttl - seconds(now - created)) : stored.ttl,
    idle: stored.idleAt(now),
    created,
    expires,
    authTime,
  };
  if (stored.device !== "") session.device = unquote(stored.device);
  if (maxAge !== undefined) session.maxAge = maxAge;
  if (lastIp !== undefined) session.lastIp = lastIp;
  if (lastDevice !== undefined) session.lastDevice = lastDevice;
  if (actor !== undefined) session.actor = actor;
  if (stored.no_resave) session.no_resave = true;
  return session;
}

/** Parses a JSON string, or returns an empty text as it is. Cutting off the quotation marks is faster than JSON.parse. */
function unquote(json: string): string {
  return json.includes("\\") ? String(parseData(json)) : json.slice(1, -1);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
