import type { SessionData } from "express-session";
import { line, parseData, quoteKey, type StoredSession } from "../sessions/session-text.js";
import { parseEach, type Serializer, serialize } from "./serializer.js";
import { cookieFromJson, cookieToJson, isTick } from "./stored-cookie.js";

/** A session's data in the form in which two versions are compared: JSON-quoted key → JSON of the value. */
export type Snapshot = ReadonlyMap<string, string>;

/** How a session differs from what Redis holds. */
export interface Changes {
  changed: [name: string, json: string][];
  removed: string[];
}

/** Stands for a value that Redis may or may not hold: no JSON equals it, so the key counts as changed. */
const UNKNOWN = "";

export function snapshot(session: object): Snapshot {
  const fields = new Map<string, string>();
  const cookie = cookieToJson((session as { cookie?: unknown }).cookie);
  if (cookie !== undefined) fields.set('"cookie"', cookie);
  for (const [key, value] of Object.entries(session)) {
    const json = key === "cookie" ? undefined : JSON.stringify(value);
    // JSON has no text for undefined and functions. JSON.stringify leaves them out of an object, too.
    if (json !== undefined) fields.set(quoteKey(key), json);
  }
  return fields;
}

/** The same fields with another cookie, as cookieToJson returns it. */
export function withCookieJson(fields: Snapshot, cookie: string | undefined): Snapshot {
  const changed = new Map(fields);
  if (cookie === undefined) changed.delete('"cookie"');
  else changed.set('"cookie"', cookie);
  return changed;
}

export function differences(before: Snapshot, now: Snapshot): Changes {
  const changed: Changes["changed"] = [];
  const removed: Changes["removed"] = [];
  for (const [name, json] of now) {
    const stored = before.get(name);
    if (stored !== json && !isUnchangedCookie(name, stored, json)) changed.push([name, json]);
  }
  for (const name of before.keys()) if (!now.has(name)) removed.push(name);
  return { changed, removed };
}

export function isEmpty({ changed, removed }: Changes): boolean {
  return changed.length === 0 && removed.length === 0;
}

/** The fields with unknown values for these changes, so that `differences` finds the changes again. */
export function withUnknown(fields: Snapshot, { changed, removed }: Changes): Snapshot {
  const uncertain = new Map(fields);
  for (const [name] of changed) uncertain.set(name, UNKNOWN);
  for (const name of removed) uncertain.set(name, UNKNOWN);
  return uncertain;
}

type Fields = Iterable<readonly [name: string, json: string]>;

/** The lines that remove keys, as lua/include/merge.lua takes them. */
export function removalLines({ removed }: Changes): string {
  return removed.map((name) => line(name, "")).join("");
}

/** Keys and values as lines, as they are written. Returns a promise only if there is a serializer. */
export function toLines(fields: Fields, serializer: Serializer | undefined): string | Promise<string> {
  if (serializer !== undefined) return toSerializedLines(fields, serializer);
  let lines = "";
  for (const [name, json] of fields) lines += line(name, json);
  return lines;
}

async function toSerializedLines(fields: Fields, serializer: Serializer): Promise<string> {
  let lines = "";
  for (const [name, json] of fields) lines += line(name, await serialize(serializer, name, json));
  return lines;
}

/**
 * The session that was stored. Returns a promise only if there is a serializer.
 * @param touched when the session was last prolonged, in ms; the cookie's `expires` follows from it
 * @param ttl seconds; 0 for a session without a TTL, whose cookie may expire all the same
 */
export function fromStored(
  stored: StoredSession,
  touched: number,
  ttl: number,
  serializer: Serializer | undefined,
): SessionData | Promise<SessionData> {
  // A fraction of seconds may not multiply to whole ms, and a date drops the rest.
  const endOf = (age: number) => touched + (ttl > 0 ? Math.round(ttl * 1000) : age);
  if (serializer === undefined) return withCookie(parseData(stored.json()) as Parsed, endOf);
  return parseEach(serializer, stored.data().values()).then((session) => withCookie(session, endOf));
}

interface Parsed {
  cookie?: unknown;
}

/** express-session now and then shows another age of the cookie, though nobody has changed it. */
function isUnchangedCookie(name: string, before: string | undefined, now: string): boolean {
  return name === '"cookie"' && before !== undefined && before !== UNKNOWN && isTick(before, now);
}

function withCookie(session: Parsed, endOf: (age: number) => number): SessionData {
  const cookie = cookieFromJson(session.cookie, endOf);
  if (cookie === undefined) delete session.cookie;
  else session.cookie = cookie;
  return session as SessionData;
}
