import { nanoid } from "nanoid";
import { inexact, isOutOfMemory, notAnInteger, tooLarge, tooManyKeys } from "../errors.js";
import { toNumber } from "../redis/reply.js";
import type { Incremented } from "../types.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import type { AppConnection } from "./app-connection.js";
import { ANONYMOUS, type Keys } from "./keys.js";
import * as operations from "./operations.js";
import { decode, padNumber, reserve, type StoredSession, Tombstone, valueIn } from "./session-text.js";

/** Changes of the data, or a function that returns them for a session. Null changes nothing. */
type ChangesOf = (stored: StoredSession) => string | null;

/** The maximum number of bytes that a script reads of a session, as in lua/include/read.lua. */
const MAX_TEXT = 256 * 1024 + 4096;

/** The number of bytes that one command reads. */
const PIECE = 512 * 1024;

/** How long a staged text outlives the deadline of its call, in ms, because Redis may run the script late. */
const STAGED_AFTER_DEADLINE = 1000;

/** The largest number of keys that a script changes, as in lua/include/search.lua. */
const MAX_CHANGES = 500;

/** Characters of the shortest change: a line feed, a key in quotation marks and a colon. */
const MIN_LINE = 4;

/** The number of header lines. */
const HEADER_LINES = 8;

/** Bytes at the beginning of a text that contain the header lines. */
const HEADER_BYTES = 4096;

/** A change of the header. */
export interface HeaderChange {
  /** ms of this process's clock */
  now: number;
  /** as JSON, or ANONYMOUS; empty to keep the id */
  id: string;
  /** the new ttl in seconds; "use" to touch the session as `set` does, "keep" to keep ttl and expiry */
  ttl: number | "use" | "keep";
  /** How many sessions the new user may have, this one included; undefined for no limit. */
  maxPerUser?: number | undefined;
  /** Called if the new user has as many sessions. Ends others, or throws. Then the change is repeated. */
  makeRoom?(): Promise<void>;
}

/**
 * Reads and changes sessions for which a script would block Redis for more than 10 ms. The text is read in pieces and changed
 * in this process. The new text is staged under a key of its own, and a script moves it to the session's key if the session has
 * not changed since it was read. If it has changed, the procedure is repeated.
 */
export class LargeSessions {
  readonly #connection: AppConnection;
  readonly #keys: Keys;
  /** Changes by ref. Concurrent changes of one session would make each other repeat. */
  readonly #queue = new KeyedQueue();

  constructor(connection: AppConnection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /** Reads a session without counting the read. */
  async read(ref: string, deadline: number): Promise<StoredSession | Tombstone | null> {
    return decode(await this.readText(ref, deadline), ref);
  }

  /**
   * Changes a session after all changes that were requested earlier. Returns the changed session, but with the time of its last
   * use before this change.
   * @param changes a function is called again if the session has changed meanwhile
   * @throws SessionError `invalidValue` if its data would exceed the limits
   */
  change(
    ref: string,
    changes: string | ChangesOf,
    headerChange: HeaderChange,
    bounds: operations.Bounds,
    deadline: number,
  ): Promise<StoredSession | Tombstone | null> {
    const work = () => this.#change(ref, changes, headerChange, bounds, deadline);
    return this.#connection.within(deadline, () => this.#queue.run(ref, work));
  }

  /** Writes a session again, with room on line 4 for more flags. Counts no write. Returns what was found under the ref. */
  makeRoom(ref: string, deadline: number): Promise<StoredSession | Tombstone | null> {
    // Without changes, no limit applies.
    const bounds = { maxBytes: Number.POSITIVE_INFINITY, maxKeys: Number.POSITIVE_INFINITY };
    return this.change(ref, "", { now: Date.now(), id: "", ttl: "keep" }, bounds, deadline);
  }

  /**
   * Whether a change must be made here. That holds for changes of more keys than a script takes, and for all changes of a
   * session while another is made here: it must not be overtaken.
   */
  mustChange(ref: string, changes: string): boolean {
    return (
      this.#queue.has(ref) || (changes.length > MIN_LINE * MAX_CHANGES && changes.split("\n").length > MAX_CHANGES)
    );
  }

  async #change(
    ref: string,
    changesOf: string | ChangesOf,
    headerChange: HeaderChange,
    bounds: operations.Bounds,
    deadline: number,
  ): Promise<StoredSession | Tombstone | null> {
    for (;;) {
      this.#connection.assertInTime(deadline);
      const before = await this.readText(ref, deadline);
      const stored = decode(before, ref);
      if (before === null || stored === null || stored instanceof Tombstone) return stored;
      const changes = typeof changesOf === "string" ? changesOf : changesOf(stored);
      if (changes === null) return stored;
      const { header, data } = split(before);
      const [la, r, w, ttlLine = "", created, id, ip, device] = header as [string, ...string[]];
      const merged = changes === "" ? data : merge(data, changes, bounds);
      const isTouched =
        headerChange.ttl !== "keep" && (headerChange.ttl !== "use" || Math.abs(headerChange.now - Number(la)) >= 1000);
      const lines = [
        isTouched ? headerChange.now : la,
        padNumber(r),
        padNumber(changes === "" ? Number(w) : Number(w) + 1),
        reserve(typeof headerChange.ttl === "number" ? ttlLine.replace(/^[^ ]*/, String(headerChange.ttl)) : ttlLine),
        created,
        headerChange.id === "" ? id : headerChange.id === ANONYMOUS ? "" : headerChange.id,
        ip,
        device,
      ];
      const text = lines.join("\n") + merged;
      const [read, size] = [header.slice(2, 6).join("\n"), Buffer.byteLength(before)];
      const to = await this.stage(text, deadline);
      this.#connection.assertInTime(deadline);
      const { now, ttl: use, maxPerUser, makeRoom } = headerChange;
      const input = { ref, to, now, use, read, size, maxPerUser };
      const reply = await this.#connection.run(operations.exchange, this.#keys, input, deadline);
      if (typeof reply === "string") {
        const changed = decode([la, ...lines.slice(1, 3), reply, ...lines.slice(4)].join("\n") + merged, ref);
        if (isTouched) (changed as StoredSession).touchIfDue(headerChange.now, 0);
        return changed;
      }
      if (reply === operations.FULL) await makeRoom?.();
      else if (reply !== false) return reply;
    }
  }

  /**
   * Stages a text for a script and returns its key. The script moves or deletes the text. If the script never runs, the text
   * expires soon after the deadline.
   */
  async stage(text: string, deadline: number): Promise<string> {
    const key = this.#keys.staged(nanoid());
    await this.#connection.command((client) => client.set(key, text, "PX", stagedTtl(deadline)), deadline);
    return key;
  }

  /** The same for a text that moves here: also when Redis is out of memory, because calls that do not write need it, too. */
  async stageMoved(text: string, deadline: number): Promise<string> {
    try {
      return await this.stage(text, deadline);
    } catch (error) {
      if (!isOutOfMemory(error)) throw error;
    }
    const key = this.#keys.staged(nanoid());
    await this.#connection.run(operations.putAbsent, this.#keys, { key, text, ttl: stagedTtl(deadline) }, deadline);
    return key;
  }

  /** Reads a session's text in pieces, and repeats that if the session was changed meanwhile. */
  readText(ref: string, deadline: number): Promise<string | null> {
    return this.readKey(this.#keys.session(ref), deadline);
  }

  async readKey(key: string, deadline: number): Promise<string | null> {
    for (;;) {
      const size = toNumber(await this.#connection.command((client) => client.strlen(key), deadline));
      const pieces: Buffer[] = [];
      for (let at = 0; at < size; at += PIECE) {
        this.#connection.assertInTime(deadline);
        pieces.push(
          await this.#connection.command((client) => client.getrangeBuffer(key, at, at + PIECE - 1), deadline),
        );
      }
      const text = Buffer.concat(pieces);
      const header = await this.#connection.command(
        (client) => client.getrangeBuffer(key, 0, HEADER_BYTES - 1),
        deadline,
      );
      const sizeAfter = toNumber(await this.#connection.command((client) => client.strlen(key), deadline));
      if (sizeAfter === size && text.length === size && versionOf(header) === versionOf(text)) {
        return size === 0 ? null : text.toString();
      }
      this.#connection.assertInTime(deadline);
    }
  }
}

/** The TTL of a staged text, in ms. */
function stagedTtl(deadline: number): number {
  return Math.ceil(Math.max(0, deadline - performance.now()) + STAGED_AFTER_DEADLINE);
}

/** Returns whether a text is larger than a script reads. */
export function isLarge(text: string): boolean {
  // A UTF-16 unit has at most three bytes in UTF-8. Most texts are so short that their bytes need not be counted.
  return text.length > MAX_TEXT / 3 && Buffer.byteLength(text) > MAX_TEXT;
}

/** Identifies a version of a session's text: number of writes and time of creation. For a tombstone it is the whole text. */
function versionOf(text: Buffer): string {
  const [, , w, , created] = text.subarray(0, HEADER_BYTES).toString("latin1").split("\n");
  return created === undefined ? text.toString("latin1") : `${w} ${created}`;
}

/** Splits a session's text into its header lines and its data. */
function split(text: string): { header: string[]; data: string } {
  let end = -1;
  const header: string[] = [];
  while (header.length < HEADER_LINES) {
    const start = end + 1;
    end = text.indexOf("\n", start);
    if (end === -1) end = text.length;
    header.push(text.slice(start, end));
  }
  return { header, data: text.slice(end) };
}

/** Merges changes into data, like lua/include/merge.lua. */
function merge(data: string, changes: string, { maxBytes, maxKeys }: operations.Bounds): string {
  const lines = new Map(linesOf(data));
  const keys = lines.size;
  for (const [key, line] of linesOf(changes)) {
    if (line.length === key.length) lines.delete(key);
    else lines.set(key, line);
  }
  const merged = [...lines.values()].map((line) => `\n${line}`).join("");
  const size = Buffer.byteLength(merged);
  if (size > maxBytes && size > Buffer.byteLength(data)) throw tooLarge("The session's data would be", maxBytes);
  if (lines.size > maxKeys && lines.size > keys) throw tooManyKeys("The session's data would have", maxKeys);
  return merged;
}

/**
 * Adds to a key's value, like lua/increment.lua.
 * @throws SessionError `invalidValue` if the value is not an integer, or if the new one is not exact
 */
export function incremented(stored: StoredSession, { key, by, max, path }: operations.Increment): Incremented {
  // Between the line feed and the colon.
  const json = valueIn(stored.lines, key.slice(1, -1)) ?? "0";
  const value = Number(json) + 0;
  if (!/^-?\d+$/.test(json) || !Number.isSafeInteger(value)) throw notAnInteger(path);
  const sum = value + by;
  if (max !== undefined && by > 0 && sum > max) return { value, applied: false };
  if (!Number.isSafeInteger(sum)) throw inexact(path);
  return { value: sum, applied: true };
}

/** Returns the lines of data or changes, each with its key up to and including the colon. */
function linesOf(data: string): [key: string, line: string][] {
  return data
    .slice(1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => [line.slice(0, line.indexOf('"', 1) + 2), line]);
}
