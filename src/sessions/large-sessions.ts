import { nanoid } from "nanoid";
import { tooLarge, tooManyKeys } from "../errors.js";
import type { Connection } from "../redis/connection.js";
import { KeyedQueue } from "../util/keyed-queue.js";
import { ANONYMOUS, type Keys } from "./keys.js";
import * as operations from "./operations.js";
import { decode, type StoredSession, Tombstone } from "./session-text.js";

/** Bytes of a session's text that scripts take in, as lua/include/read.lua has it. */
const MAX_TEXT = 256 * 1024 + 4096;

/** How many bytes are read at once. */
const PIECE = 512 * 1024;

/** How long a staged text outlives the deadline of its call, in ms: Redis may be late. */
const STAGED_AFTER = 1000;

/** Lines before the data. */
const OWN_LINES = 8;

/** What changes, beside the data. */
export interface Use {
  /** ms of our clock */
  now: number;
  /** as JSON, or ANONYMOUS; empty to leave it as it is */
  id: string;
  /** seconds; "use" to prolong the session as `set` does, "keep" to leave its life as it is */
  ttl: number | "use" | "keep";
}

/**
 * Sessions that are too large for a script, and changes that are too much work for one: it would hold Redis for longer
 * than 10 ms. Their text is read in pieces and changed here; then it is written beside the session, and a script puts it
 * into its place, if the session is still the one that was read. Otherwise all is done again.
 */
export class LargeSessions {
  readonly #connection: Connection;
  readonly #keys: Keys;
  /** By ref: at once, each would undo the work of the others. */
  readonly #turns = new KeyedQueue();

  constructor(connection: Connection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /** Reads a session and leaves no trace. */
  async read(ref: string, deadline: number): Promise<StoredSession | Tombstone | null> {
    return decode(await this.#text(ref, deadline), ref);
  }

  /**
   * Changes a session, after the changes that were begun before. Answers with the session as it is then, but for when it was last used.
   * @throws SessionError `invalidValue` where its data would be too large
   */
  change(
    ref: string,
    changes: string,
    use: Use,
    bounds: operations.Bounds,
    deadline: number,
  ): Promise<StoredSession | Tombstone | null> {
    const work = () => this.#change(ref, changes, use, bounds, deadline);
    return this.#connection.within(deadline, () => this.#turns.run(ref, work));
  }

  async #change(
    ref: string,
    changes: string,
    use: Use,
    bounds: operations.Bounds,
    deadline: number,
  ): Promise<StoredSession | Tombstone | null> {
    for (;;) {
      this.#connection.assertInTime(deadline);
      const before = await this.#text(ref, deadline);
      const stored = decode(before, ref);
      if (before === null || stored === null || stored instanceof Tombstone) return stored;
      const { own, data } = split(before);
      const [la, r, w, life = "", created, id, ip, device] = own as [string, ...string[]];
      const merged = changes === "" ? data : merge(data, changes, bounds);
      const isUsed = use.ttl !== "keep" && (use.ttl !== "use" || Math.abs(use.now - Number(la)) >= 1000);
      const lines = [
        isUsed ? use.now : la,
        padded(r),
        padded(changes === "" ? Number(w) : Number(w) + 1),
        typeof use.ttl === "number" ? life.replace(/^[^ ]*/, String(use.ttl)) : life,
        created,
        use.id === "" ? id : use.id === ANONYMOUS ? "" : use.id,
        ip,
        device,
      ];
      const text = lines.join("\n") + merged;
      const [written, size] = [w as string, Buffer.byteLength(before)];
      const to = await this.stage(text, deadline);
      this.#connection.assertInTime(deadline);
      const input = { ref, to, now: use.now, use: use.ttl, created: created as string, written, size };
      const reply = await this.#connection.run(operations.exchange, this.#keys, input, deadline);
      if (reply === true) return decode([la, ...lines.slice(1)].join("\n") + merged, ref);
      if (reply !== false) return reply;
    }
  }

  /**
   * Writes a text where a script finds it, and answers with the key. The script takes the text away; where it is never
   * sent, the text ends by itself soon after the deadline.
   */
  async stage(text: string, deadline: number): Promise<string> {
    const key = this.#keys.staged(nanoid());
    const left = Math.ceil(Math.max(0, deadline - performance.now()) + STAGED_AFTER);
    await this.#connection.command((client) => client.set(key, text, "PX", left));
    return key;
  }

  /** A session's text, in pieces; again, where it was changed meanwhile. */
  async #text(ref: string, deadline: number): Promise<string | null> {
    const key = this.#keys.session(ref);
    for (;;) {
      const size = await this.#connection.command((client) => client.strlen(key));
      const pieces: Buffer[] = [];
      for (let at = 0; at < size; at += PIECE) {
        this.#connection.assertInTime(deadline);
        pieces.push(await this.#connection.command((client) => client.getrangeBuffer(key, at, at + PIECE - 1)));
      }
      const text = Buffer.concat(pieces);
      const head = await this.#connection.command((client) => client.getrangeBuffer(key, 0, 2047));
      const now = await this.#connection.command((client) => client.strlen(key));
      if (now === size && text.length === size && versionOf(head) === versionOf(text)) {
        return size === 0 ? null : text.toString();
      }
      this.#connection.assertInTime(deadline);
    }
  }
}

/** Whether a text is more than a script takes in. */
export function isLarge(text: string): boolean {
  // A character has three bytes at most for each of its units.
  return text.length > MAX_TEXT / 3 && Buffer.byteLength(text) > MAX_TEXT;
}

/** The text of a new session, with zeros in front of the numbers that change in place later. */
export function padNumbers(text: string): string {
  return text.replace(/^(\d+)\n(\d+)\n(\d+)\n/, (_all, la, r, w) => `${la}\n${padded(r)}\n${padded(w)}\n`);
}

function padded(number: string | number | undefined): string {
  return String(Number(number)).padStart(10, "0");
}

/** What tells one text of a session from the next: how often it was written, when it was created, or all of a mark. */
function versionOf(text: Buffer): string {
  const [, , w, , created] = text.subarray(0, 2048).toString("latin1").split("\n");
  return created === undefined ? text.toString("latin1") : `${w} ${created}`;
}

/** The lines before a session's data, and these. */
function split(text: string): { own: string[]; data: string } {
  let end = -1;
  const own: string[] = [];
  while (own.length < OWN_LINES) {
    const start = end + 1;
    end = text.indexOf("\n", start);
    if (end === -1) end = text.length;
    own.push(text.slice(start, end));
  }
  return { own, data: text.slice(end) };
}

/** Data with its changes, as lua/include/merge.lua does it. */
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

/** The lines of data or changes, by their beginning up to the colon. */
function linesOf(data: string): [key: string, line: string][] {
  return data
    .slice(1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => [line.slice(0, line.indexOf('"', 1) + 2), line]);
}
