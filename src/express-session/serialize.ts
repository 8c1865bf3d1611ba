import type { SessionData } from "express-session";
import type { Stored } from "../engine/codec.js";

/** Turns sessions into text and back; may be asynchronous. Gets the session in pieces of one key each. */
export interface Serializer {
  parse(text: string): object | Promise<object>;
  stringify(session: object): string | Promise<string>;
}

/** The data of a session in the form in which two of them are compared: JSON-quoted key → JSON of the value. */
export type Snapshot = ReadonlyMap<string, string>;

/** How a session that is at hand differs from what was loaded. */
export interface Difference {
  changed: [name: string, json: string][];
  removed: string[];
}

export function snapshot(session: object): Snapshot {
  const fields = new Map<string, string>();
  for (const [key, value] of Object.entries(session)) {
    const json = key === "cookie" ? cookieJson(value) : JSON.stringify(value);
    // What JSON has no text for (undefined, a function) is left out, as JSON.stringify does in an object.
    if (json !== undefined) fields.set(JSON.stringify(key), json);
  }
  return fields;
}

export function difference(before: Snapshot, now: Snapshot): Difference {
  return {
    changed: [...now].filter(([name, json]) => before.get(name) !== json),
    removed: [...before.keys()].filter((name) => !now.has(name)),
  };
}

/** Fields and values as they are written. A serializer's text is kept as a JSON string, so that it is one line. */
export async function toFields(
  fields: Iterable<readonly [name: string, json: string]>,
  serializer: Serializer | undefined,
): Promise<string[]> {
  if (serializer === undefined) return [...fields].flat();
  const written: string[] = [];
  for (const [name, json] of fields) {
    written.push(name, JSON.stringify(await serializer.stringify(JSON.parse(`{${name}:${json}}`))));
  }
  return written;
}

/** The session that was stored, with the cookie's `expires` as it follows from when it was last prolonged. */
export async function fromStored(
  { data }: Stored,
  expires: number,
  serializer: Serializer | undefined,
): Promise<SessionData> {
  const session = serializer === undefined ? parseAll(data) : await parseEach(data, serializer);
  if (session.cookie?.expires === DERIVED) {
    Object.assign(session.cookie, { expires: new Date(expires).toISOString() });
  }
  return session as unknown as SessionData;
}

/**
 * Stands for the cookie's `expires`. A date that is stored would be wrong as soon as another request prolongs the
 * session, and would make each request a write.
 */
const DERIVED = true;

interface Parsed {
  cookie?: { expires?: unknown };
}

function cookieJson(cookie: { expires?: unknown; toJSON?: () => object }): string | undefined {
  const data: { expires?: unknown } = cookie?.toJSON?.() ?? cookie;
  return JSON.stringify(data?.expires ? { ...data, expires: DERIVED } : data);
}

function parseAll(data: Stored["data"]): Parsed {
  return JSON.parse(`{${data.map(([name, json]) => `${name}:${json}`).join()}}`);
}

async function parseEach(data: Stored["data"], serializer: Serializer): Promise<Parsed> {
  const session = {};
  for (const [, json] of data) Object.assign(session, await serializer.parse(JSON.parse(json)));
  return session;
}
