import { SessionError } from "../errors.js";
import { toText } from "../redis/reply.js";
import type { Session } from "../types.js";
import { TimeSlice } from "../util/time-slice.js";

/** A key of the data and its value as JSON; null in the place of that removes the key. */
export type DataEntry = readonly [key: string, json: string | null];

/**
 * A session is one text. Its first lines tell of the session itself, see lua/include/session.lua; each further one is a
 * key of its data with its value, `"key":value`. No JSON text has a raw line feed, so lines end where they seem to.
 */

/** What was left where a session was: it goes on under another ref, or (an empty one) shall not come back. */
export class Tombstone {
  readonly to: string;
  constructor(to: string) {
    this.to = to;
  }
}

/** What a new session tells of itself. */
interface Own {
  /** as JSON */
  id?: string | undefined;
  ip?: string;
  device?: string | undefined;
  no_resave?: boolean;
}

/** The text of a new session, up to its data. `now` is ms, `ttl` seconds. */
export function encodeHead(now: number, ttl: number, { id = "", ip, device, no_resave }: Own): string {
  const terms = no_resave ? " no_resave" : "";
  return `${now}\n1\n1\n${ttl}${terms}\n${now}\n${id}\n${optional(ip)}\n${optional(device)}`;
}

function optional(text: string | undefined): string {
  return text === undefined ? "" : JSON.stringify(text);
}

/** Data of a new session, as its text goes on. What is null is left out. */
export function encodeData(d: readonly DataEntry[]): string {
  return encodeChanges(d.filter(([, json]) => json !== null));
}

/** Changes of data, as lua/include/merge.lua takes them: null removes a key. */
export function encodeChanges(d: readonly DataEntry[]): string {
  let lines = "";
  for (const [key, json] of d) lines += line(quoteKey(key), json ?? "");
  return lines;
}

/** A key and its JSON, or nothing in the place of that where the key goes. */
export function line(quotedKey: string, json: string): string {
  return `\n${quotedKey}:${json}`;
}

/** A key as JSON in which no quotation mark is within the key, so that scripts find its end by the next one. */
export function quoteKey(key: string): string {
  const json = JSON.stringify(key);
  return json.includes("\\") ? json.replace(/\\(["\\])/g, (_, c) => (c === '"' ? "\\u0022" : "\\u005c")) : json;
}

/** How many lines come before the data. */
const OWN_LINES = 8;

/** A session as Redis holds it, taken apart as far as every reader needs. */
export class StoredSession {
  readonly ref: string;
  /** When it was last used, ms. */
  readonly la: number;
  readonly r: number;
  readonly w: number;
  /** Seconds that it may rest; 0 when it has no end. */
  readonly ttl: number;
  readonly no_resave: boolean;
  /** When it was created, ms. */
  readonly created: number;
  /** As JSON; empty where there is none, as are the next two. */
  readonly id: string;
  readonly ip: string;
  readonly device: string;
  /** The data as lines, each with a line feed in front of it. */
  readonly #data: string;

  private constructor(ref: string, own: readonly string[], data: string) {
    const [la, r, w, life, created, id, ip, device] = own as [string, ...string[]];
    this.ref = ref;
    this.la = Number(la);
    this.r = Number(r);
    this.w = Number(w);
    this.ttl = Number.parseFloat(life as string);
    this.no_resave = life?.includes(" no_resave") ?? false;
    this.created = Number(created);
    this.id = id as string;
    this.ip = ip as string;
    this.device = device as string;
    this.#data = data;
  }

  /** Undefined for a text that is no session. */
  static parse(text: string, ref: string): StoredSession | undefined {
    const own: string[] = [];
    let end = -1;
    while (own.length < OWN_LINES) {
      const start = end + 1;
      end = text.indexOf("\n", start);
      // Behind the last line there may be no data.
      if (end === -1) end = own.length === OWN_LINES - 1 ? text.length : -1;
      if (end === -1) return undefined;
      own.push(text.slice(start, end));
    }
    return new StoredSession(ref, own, text.slice(end));
  }

  /** The same data with other lines before it; undefined where these are none. */
  withOwn(own: string): StoredSession | undefined {
    return StoredSession.parse(own + this.#data, this.ref);
  }

  /** The data: keys as quoteKey has them, with JSON values. */
  data(): Map<string, string> {
    const data = new Map<string, string>();
    for (const text of this.#data.split("\n")) {
      const end = text.indexOf('"', 1) + 1;
      if (end > 0) data.set(text.slice(0, end), text.slice(end + 1));
    }
    return data;
  }

  /** The JSON of a key of the data, by the key as quoteKey has it. */
  value(quotedKey: string): string | undefined {
    const start = this.#data.indexOf(line(quotedKey, ""));
    if (start === -1) return undefined;
    const from = start + quotedKey.length + 2;
    const end = this.#data.indexOf("\n", from);
    return this.#data.slice(from, end === -1 ? undefined : end);
  }

  /** The data as the JSON of one object, but for line feeds in the place of its commas. */
  json(): string {
    return `{${this.#data.slice(1)}}`;
  }

  /** About as many characters as the session has. */
  get size(): number {
    return 200 + this.#data.length;
  }

  get isEmpty(): boolean {
    return this.#data === "";
  }
}

/** What Redis answered for the session `ref`: its text, the mark that was left there, or nothing. */
export function decode(reply: string | null, ref: string): StoredSession | Tombstone | null {
  const text = toText(reply);
  if (!text) return null;
  return parseTombstone(text) ?? StoredSession.parse(text, ref) ?? null;
}

/** What a reply says when it is a mark. */
export function parseTombstone(reply: string | number): Tombstone | undefined {
  return typeof reply === "string" && reply.startsWith(">") ? new Tombstone(reply.slice(1)) : undefined;
}

/**
 * Reads JSON of a session, such as what StoredSession's json() gives. It takes "__proto__" for a key like any other.
 * @throws SessionError `redisError` for what somebody else has written there; it does not quote that
 */
export function parseData(json: string): unknown {
  try {
    return JSON.parse(json.replaceAll("\n", ","));
  } catch {
    throw new SessionError("redisError", "What stands in the place of the session is no session");
  }
}

/** The session as callers see it. `now` is ms of our clock. */
export function toSession<Data>(stored: StoredSession, now: number): Session<Data> {
  const session = withoutData<Data>(stored, now);
  if (!stored.isEmpty) session.d = parseData(stored.json()) as Data;
  return session;
}

/**
 * The same for many, in steps. Those that somebody else has spoilt are left out. Each is parsed by itself: in one parse for
 * many a spoilt text could take in, or stand in for, its neighbours.
 */
export async function toSessions<Data>(stored: readonly StoredSession[], now: number): Promise<Session<Data>[]> {
  const sessions: Session<Data>[] = [];
  const slice = new TimeSlice();
  for (const one of stored) {
    if (slice.isOver) await slice.yield();
    const session = toSessionIfSound<Data>(one, now);
    if (session !== undefined) sessions.push(session);
  }
  return sessions;
}

function toSessionIfSound<Data>(stored: StoredSession, now: number): Session<Data> | undefined {
  try {
    return toSession(stored, now);
  } catch {
    return undefined;
  }
}

/** The session without its data. */
export function withoutData<Data>(stored: StoredSession, now: number): Session<Data> {
  const { ref, r, w, la, created } = stored;
  const session: Session<Data> = {
    ref,
    id: unquote(stored.id),
    ip: unquote(stored.ip),
    r,
    w,
    ttl: stored.no_resave ? Math.max(0, stored.ttl - seconds(now - created)) : stored.ttl,
    idle: Math.max(0, seconds(now - la)),
    created,
  };
  if (stored.device !== "") session.device = unquote(stored.device);
  if (stored.no_resave) session.no_resave = true;
  return session;
}

/** Reads a string or nothing, without the cost of JSON for those that have nothing escaped. */
function unquote(json: string): string {
  return json.includes("\\") ? String(parseData(json)) : json.slice(1, -1);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
