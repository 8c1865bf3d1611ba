import { once } from "node:events";
import { createInterface } from "node:readline/promises";
import type { Session, SessionList } from "../types.js";

/** Formats sessions as a table. */
export function table(sessions: readonly Session[]): string {
  if (sessions.length === 0) return "No sessions.";
  const rows = sessions.map(({ ref, id, actor, ip, device = "", created, idle, ttl, expires }) => [
    ref,
    actor === undefined ? id : `${id} (by ${actor})`,
    ip,
    device,
    minute(created),
    `${idle} s`,
    `${ttl} s`,
    // A session of RedisStore may never end.
    Number.isFinite(expires) ? minute(expires) : "never",
  ]);
  const lines = [["REF", "USER", "IP", "DEVICE", "SINCE (UTC)", "IDLE", "TTL", "ENDS (UTC)"], ...rows].map((row) =>
    row.map(printable),
  );
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => widthOf(line[i] ?? "")))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - widthOf(cell)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Formats a moment (ms since 1970) as date, hour and minute in UTC. */
function minute(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

/**
 * Characters that are two columns wide in a terminal, and characters without width. An approximation: the package
 * string-width would add four dependencies.
 */
const WIDE =
  /[\p{sc=Han}\p{sc=Hangul}\p{sc=Hiragana}\p{sc=Katakana}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60]/gu;
const NARROWEST = /[\p{Mn}\p{Me}\p{Cf}]/gu;

function widthOf(text: string): number {
  return [...text.replace(NARROWEST, "").replace(WIDE, "xx")].length;
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** Asks a yes-or-no question. Without a terminal, returns false at once. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // Ctrl-C and Ctrl-D close the interface, and the question may then never settle. Both count as no, and end the line.
  const refused = () => "\n";
  const closed = once(terminal, "close").then(refused);
  const answer = await Promise.race([terminal.question(`${question} [y/N] `).catch(refused), closed]);
  terminal.close();
  if (answer === "\n") console.error();
  return /^y(es)?$/i.test(answer.trim());
}

/**
 * Writes to the standard output. A closed pipe (`| head`) is ignored. Any other error makes the command fail.
 */
export function print(text: string): void {
  process.stdout.once("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    console.error(`ioredis-sessions: the output could not be written: ${error.message}`);
    process.exitCode = 1;
  });
  process.stdout.write(text);
}

/**
 * Formats JSON with one session on each line. Deeply nested data would be a thousand times as long if it was indented.
 * Control characters that JSON does not escape are escaped too, so that they cannot steer the terminal.
 */
export function json(value: unknown): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const { sessions } = value as Partial<SessionList>;
  const text =
    sessions === undefined
      ? JSON.stringify(value)
      : `{"sessions":[\n${sessions.map((one) => JSON.stringify(one)).join(",\n")}\n]}`;
  return text.replace(/[\x7f-\x9f]|\p{Bidi_Control}/gu, escaped);
}

/** Replaces characters of users' input that could steer the terminal or reverse the direction of other text. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu, "�");
}
