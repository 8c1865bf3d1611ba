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

/** What a new session tells of itself. */
interface Own {
  /** as JSON */
  id?: string | undefined;
  ip?: string;
  device?: string | undefined;
  no_resave?: boolean;
}

/** The fields of its own that a new session has, `la` first, and their values, as lines. */
export function encodeOwn(now: number, ttl: number, { id, ip, device, no_resave }: Own): string {
  let lines = `la\n${now}\nttl\n${ttl}\ncreated\n${now}\nr\n1\nw\n1\n`;
  if (id !== undefined) lines += `id\n${id}\n`;
  if (ip !== undefined) lines += `ip\n${JSON.stringify(ip)}\n`;
  if (device !== undefined) lines += `device\n${JSON.stringify(device)}\n`;
  if (no_resave) lines += "no_resave\n1\n";
  return lines;
}

/** The fields and values that store `d`, and the fields that its nulls remove, as lines. */
export function encodeChanges(d: object): { write: string; remove: string } {
  let write = "";
  let remove = "";
  for (const [key, value] of Object.entries(d)) {
    const name = JSON.stringify(key);
    if (value === null) remove += `${name}\n`;
    else write += `${name}\n${encode(value)}\n`;
  }
  return { write, remove };
}

/** A session as Redis holds it. It is taken apart when it is asked for: the way of most is through `toSession`. */
export class Stored {
  readonly ref: string;
  /** Names and values, one after the other. */
  readonly lines: readonly string[];

  constructor(ref: string, lines: readonly string[]) {
    this.ref = ref;
    this.lines = lines;
  }

  /** The value of a field. */
  get(name: string): string | undefined {
    for (let i = 0; i + 1 < this.lines.length; i += 2) {
      if (this.lines[i] === name) return this.lines[i + 1];
    }
    return undefined;
  }

  /** The data: JSON-quoted keys with JSON values. */
  data(): Map<string, string> {
    const data = new Map<string, string>();
    for (let i = 0; i + 1 < this.lines.length; i += 2) {
      const name = this.lines[i] as string;
      if (isData(name)) data.set(name, this.lines[i + 1] as string);
    }
    return data;
  }

  /** The data as the JSON of one object. */
  json(): string {
    let json = "";
    for (let i = 0; i + 1 < this.lines.length; i += 2) {
      const name = this.lines[i] as string;
      if (isData(name)) json += `${json === "" ? "{" : ","}${name}:${this.lines[i + 1]}`;
    }
    return json === "" ? "{}" : `${json}}`;
  }
}

const QUOTE = 0x22;

function isData(name: string): boolean {
  return name.charCodeAt(0) === QUOTE;
}

/** What a script answered for the session `ref`: lines, or nothing. */
export function decode(reply: string | null, ref: string): Stored | Moved | null {
  if (!reply) return null;
  const lines = reply.split("\n");
  return lines[0] === "to" ? new Moved(lines[1] ?? "") : new Stored(ref, lines);
}

/** The session as callers see it. `now` is ms of our clock. */
export function toSession<Data>(stored: Stored, now: number): Session<Data> {
  const { ref, lines } = stored;
  const session: Session<Data> = { ref, id: "", ip: "", r: 0, w: 0, ttl: 0, idle: 0, created: 0 };
  for (let i = 0; i + 1 < lines.length; i += 2) read(session, lines[i] as string, lines[i + 1] as string, now);
  if (session.no_resave) session.ttl = Math.max(0, session.ttl - seconds(now - session.created));
  // One parse for all keys; it takes "__proto__" for a key like any other.
  const json = stored.json();
  if (json !== "{}") session.d = JSON.parse(json);
  return session;
}

function read(session: Session<unknown>, name: string, value: string, now: number): void {
  switch (name) {
    case "id":
    case "ip":
    case "device":
      session[name] = unquote(value);
      break;
    case "r":
    case "w":
    case "ttl":
    case "created":
      session[name] = Number(value);
      break;
    case "la":
      session.idle = Math.max(0, seconds(now - Number(value)));
      break;
    case "no_resave":
      session.no_resave = true;
  }
}

/** JSON.parse for a string, without its cost for those that have nothing escaped. */
function unquote(json: string): string {
  return json.includes("\\") ? JSON.parse(json) : json.slice(1, -1);
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
