import type { SessionData } from "express-session";
import { invalidValue } from "../errors.js";
import { line, parseData, quoteKey, type StoredSession } from "../sessions/session-text.js";
import { cookieFromJson, cookieToJson, isTick } from "./stored-cookie.js";

/** KeyedQueue sessions into text and back; may be asynchronous. Gets the session in pieces of one key each. */
export interface Serializer {
  /** KeyedQueue a piece's text into an object of the one key that `stringify` got. What it throws fails the call. */
  parse(text: string): object | Promise<object>;
  /** KeyedQueue an object of one key into text. Anything else than a string fails the call. */
  stringify(session: object): string | Promise<string>;
}

/** What there is to say of a serializer that takes longer than Redis may. */
export const SERIALIZER_LATE = "RedisStore: the serializer took longer than the engine's timeout";

/** The data of a session in the form in which two of them are compared: JSON-quoted key → JSON of the value. */
export type Snapshot = ReadonlyMap<string, string>;

/** How a session that is at hand differs from what was loaded. */
export interface Difference {
  changed: [name: string, json: string][];
  removed: string[];
}

export function snapshot(session: object): Snapshot {
  const fields = new Map<string, string>();
  const cookie = cookieToJson((session as { cookie?: unknown }).cookie);
  if (cookie !== undefined) fields.set('"cookie"', cookie);
  for (const [key, value] of Object.entries(session)) {
    const json = key === "cookie" ? undefined : JSON.stringify(value);
    // What JSON has no text for (undefined, a function) is left out, as JSON.stringify does in an object.
    if (json !== undefined) fields.set(quoteKey(key), json);
  }
  return fields;
}

/** The same fields with another cookie, as cookieToJson gives it. */
export function withCookieJson(fields: Snapshot, cookie: string | undefined): Snapshot {
  const changed = new Map(fields);
  if (cookie === undefined) changed.delete('"cookie"');
  else changed.set('"cookie"', cookie);
  return changed;
}

export function difference(before: Snapshot, now: Snapshot): Difference {
  const changed: Difference["changed"] = [];
  const removed: Difference["removed"] = [];
  for (const [name, json] of now) {
    const stored = before.get(name);
    if (stored !== json && !isUnchangedCookie(name, stored, json)) changed.push([name, json]);
  }
  for (const name of before.keys()) if (!now.has(name)) removed.push(name);
  return { changed, removed };
}

/** A snapshot from which a difference that may not have been written will be found again. */
export function without(fields: Snapshot, changed: Difference["changed"], removed: Difference["removed"]): Snapshot {
  const rest = new Map(fields);
  for (const [name] of changed) rest.set(name, "");
  for (const name of removed) rest.set(name, "");
  return rest;
}

type Fields = Iterable<readonly [name: string, json: string]>;

/** Fields and values as lines, as they are written. A promise only where there is a serializer. */
export function toLines(fields: Fields, serializer: Serializer | undefined): string | Promise<string> {
  if (serializer !== undefined) return serializeEach(fields, serializer);
  let lines = "";
  for (const [name, json] of fields) lines += line(name, json);
  return lines;
}

/** A serializer's text is kept as a JSON string, so that it is one line. */
async function serializeEach(fields: Fields, serializer: Serializer): Promise<string> {
  let lines = "";
  for (const [name, json] of fields) {
    const text = await serializer.stringify(JSON.parse(`{${name}:${json}}`));
    if (typeof text !== "string") throw invalidValue("RedisStore: serializer.stringify must give a string");
    lines += line(name, JSON.stringify(text));
  }
  return lines;
}

/**
 * The session that was stored, with the cookie's `expires` as it follows from when the session was last
 * prolonged (ms) and its `ttl` (seconds; 0 for a session without end, whose cookie may end all the same). A promise only
 * where there is a serializer.
 */
export function fromStored(
  stored: StoredSession,
  prolonged: number,
  ttl: number,
  serializer: Serializer | undefined,
): SessionData | Promise<SessionData> {
  // Seconds with a fraction do not multiply to whole ms, and a date drops the rest.
  const endOf = (age: number) => prolonged + (ttl > 0 ? Math.round(ttl * 1000) : age);
  if (serializer === undefined) return withCookie(parseData(stored.json()) as Parsed, endOf);
  return parseEach(stored.data(), serializer).then((session) => withCookie(session, endOf));
}

interface Parsed {
  cookie?: unknown;
}

/** express-session shows another age of the cookie now and then, though nobody has changed it. */
function isUnchangedCookie(name: string, before: string | undefined, now: string): boolean {
  return name === '"cookie"' && before !== undefined && before !== "" && isTick(before, now);
}

function withCookie(session: Parsed, endOf: (age: number) => number): SessionData {
  const cookie = cookieFromJson(session.cookie, endOf);
  if (cookie === undefined) delete session.cookie;
  else session.cookie = cookie;
  return session as SessionData;
}

async function parseEach(data: Snapshot, serializer: Serializer): Promise<Parsed> {
  const entries: [string, unknown][] = [];
  for (const json of data.values()) entries.push(...Object.entries(await serializer.parse(JSON.parse(json))));
  // Unlike an assignment this takes "__proto__" for a key like any other.
  return Object.fromEntries(entries);
}
