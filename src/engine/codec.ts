import type { Session } from "./types.js";

/**
 * The hash of a session holds its own fields under plain names and the data under JSON-quoted names, one field
 * for each top-level key, with the value as JSON. Neither JSON text holds a raw line feed, so a script answers
 * a whole session as one string of lines.
 */

/** What was left where a session was: it goes on under another ref, or (an empty one) shall not come back. */
export class Moved {
  readonly to: string;
  constructor(to: string) {
    this.to = to;
  }
}

/** JSON of a value that `validate` let pass. JSON.stringify would make a 0 of -0. */
function encode(value: unknown): string {
  return Object.is(value, -0) ? "-0" : JSON.stringify(value);
}

/** The fields and values that store `d`, one after the other, and the fields that its nulls remove. */
export function encodeChanges(d: object): { write: string[]; remove: string[] } {
  const write: string[] = [];
  const remove: string[] = [];
  for (const [key, value] of Object.entries(d)) {
    if (value === null) remove.push(JSON.stringify(key));
    else write.push(JSON.stringify(key), encode(value));
  }
  return { write, remove };
}

/** A session as Redis holds it. */
export interface Stored {
  ref: string;
  /** The session's own fields, by name. */
  own: Readonly<Record<string, string>>;
  /** The data: JSON-quoted keys with JSON values. */
  data: readonly (readonly [name: string, json: string])[];
}

/** What a script answered for the session `ref`: lines, or nothing. */
export function decode(reply: string | null, ref: string): Stored | Moved | null {
  if (!reply) return null;
  const lines = reply.split("\n");
  const own: Record<string, string> = {};
  const data: [string, string][] = [];
  for (let i = 0; i + 1 < lines.length; i += 2) {
    const name = lines[i] as string;
    const value = lines[i + 1] as string;
    if (name.startsWith('"')) data.push([name, value]);
    else own[name] = value;
  }
  return own.to === undefined ? { ref, own, data } : new Moved(own.to);
}

/** The session as callers see it. `now` is ms of our clock. */
export function toSession<Data>({ ref, own, data }: Stored, now: number): Session<Data> {
  const created = Number(own.created);
  const ttl = Number(own.ttl);
  return {
    ref,
    id: own.id === undefined ? "" : JSON.parse(own.id),
    ip: own.ip === undefined ? "" : JSON.parse(own.ip),
    r: Number(own.r),
    w: Number(own.w),
    ttl: own.no_resave === "1" ? Math.max(0, ttl - seconds(now - created)) : ttl,
    idle: Math.max(0, seconds(now - Number(own.la))),
    created,
    ...(own.device !== undefined && { device: JSON.parse(own.device) }),
    ...(own.no_resave === "1" && { no_resave: true }),
    // One parse for all keys; it takes "__proto__" for a key like any other.
    ...(data.length > 0 && { d: JSON.parse(`{${data.map(([name, json]) => `${name}:${json}`).join()}}`) }),
  };
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
