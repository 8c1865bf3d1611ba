import type { SessionData } from "express-session";
import { line, parseData, parseLines, quoteKey, type StoredSession } from "../sessions/session-text.js";
import { parseEach, type Serializer, serializeEach } from "./serializer.js";
import { cookieFromJson, cookieToJson, isTick } from "./stored-cookie.js";

/** A session's data in the form in which two versions are compared: its data lines, with JSON values. */
export type Snapshot = string;

/** How a session differs from what Redis holds. */
export interface Changes {
  changed: [name: string, json: string][];
  removed: string[];
}

/** Stands for a value that Redis may or may not hold: no JSON equals it, so the key counts as changed. */
const UNKNOWN = "";

export function snapshot(session: object): Snapshot {
  const cookie = cookieToJson((session as { cookie?: unknown }).cookie);
  let lines = cookie === undefined ? "" : line('"cookie"', cookie);
  for (const key of Object.keys(session)) {
    if (key === "cookie") continue;
    const json = JSON.stringify((session as Record<string, unknown>)[key]);
    // JSON has no text for undefined and functions. JSON.stringify leaves them out of an object, too.
    if (json !== undefined) lines += line(quoteKey(key), json);
  }
  return lines;
}

/** Changes of single keys, as an assignment to a session makes them: a value without JSON, such as undefined, removes its key. */
export function changesOf(d: object): Changes {
  const changes: Changes = { changed: [], removed: [] };
  for (const [key, value] of Object.entries(d)) {
    const json = JSON.stringify(value);
    if (json === undefined) changes.removed.push(quoteKey(key));
    else changes.changed.push([quoteKey(key), json]);
  }
  return changes;
}

/** The same data with another cookie, as cookieToJson returns it. */
export function withCookieJson(lines: Snapshot, cookie: string | undefined): Snapshot {
  const fields = parseLines(lines);
  if (cookie === undefined) fields.delete('"cookie"');
  else fields.set('"cookie"', cookie);
  return toJsonLines(fields);
}

export function differences(before: Snapshot, now: Snapshot): Changes {
  const changed: Changes["changed"] = [];
  // Most saves change few keys and keep the order of the others, so only the lines in between are parsed.
  const start = commonStart(before, now);
  const end = commonEnd(before, now, start);
  const stored = parseLines(before.slice(start, before.length - end));
  for (const [name, json] of parseLines(now.slice(start, now.length - end))) {
    const old = stored.get(name);
    stored.delete(name);
    if (old !== json && !isUnchangedCookie(name, old, json)) changed.push([name, json]);
  }
  return { changed, removed: [...stored.keys()] };
}

/** The length of the lines with which both texts begin. */
function commonStart(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  if (at === a.length && at === b.length) return at;
  return Math.max(0, b.lastIndexOf("\n", at - 1));
}

/** The length of the lines with which both texts end after `start`. */
function commonEnd(a: string, b: string, start: number): number {
  const length = Math.min(a.length, b.length) - start;
  let end = 0;
  while (end < length && a.charCodeAt(a.length - 1 - end) === b.charCodeAt(b.length - 1 - end)) end++;
  const at = b.indexOf("\n", b.length - end);
  return at === -1 ? 0 : b.length - at;
}

export function isEmpty({ changed, removed }: Changes): boolean {
  return changed.length === 0 && removed.length === 0;
}

/** The data with unknown values for these changes, so that `differences` finds the changes again. */
export function withUnknown(lines: Snapshot, { changed, removed }: Changes): Snapshot {
  const uncertain = parseLines(lines);
  for (const [name] of changed) uncertain.set(name, UNKNOWN);
  for (const name of removed) uncertain.set(name, UNKNOWN);
  return toJsonLines(uncertain);
}

/** The lines that remove keys, as lua/include/merge.lua takes them. */
export function removalLines({ removed }: Changes): string {
  return removed.map((name) => line(name, "")).join("");
}

/** The lines of changed keys, as they are written. Returns a promise only if there is a serializer. */
export function changedLines({ changed }: Changes, serializer: Serializer | undefined): string | Promise<string> {
  return serializer === undefined ? toJsonLines(changed) : serializeEach(serializer, changed).then(toJsonLines);
}

/** The lines of a whole session, as they are written. Returns a promise only if there is a serializer. */
export function storedLines(lines: Snapshot, serializer: Serializer | undefined): string | Promise<string> {
  return serializer === undefined ? lines : serializeEach(serializer, [...parseLines(lines)]).then(toJsonLines);
}

function toJsonLines(fields: Iterable<readonly [name: string, json: string]>): string {
  let lines = "";
  for (const [name, json] of fields) lines += line(name, json);
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
  const endOf = (age: number) => Math.min(touched + (ttl > 0 ? Math.round(ttl * 1000) : age), stored.absoluteEnd);
  if (serializer === undefined) return withCookie(parseData(stored.json()) as Parsed, endOf);
  const pieces = [...parseLines(stored.lines).values()];
  return parseEach(serializer, pieces).then((session) => withCookie(session, endOf));
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
