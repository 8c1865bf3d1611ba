import { createInterface } from "node:readline/promises";
import type { Session } from "../engine/types.js";

/** Sessions as a table for people. */
export function table(sessions: readonly Session[]): string {
  if (sessions.length === 0) return "No sessions.";
  const rows = sessions.map(({ ref, id, ip, device = "", created, idle, ttl }) => [
    ref,
    id,
    ip,
    device,
    new Date(created).toISOString().slice(0, 16).replace("T", " "),
    `${idle} s`,
    `${ttl} s`,
  ]);
  const lines = [["REF", "USER", "IP", "DEVICE", "SINCE (UTC)", "IDLE", "TTL"], ...rows].map((row) =>
    row.map(printable),
  );
  const widths = lines[0]?.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** Asks yes or no; without a terminal there is nobody to ask. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** What users chose themselves must not steer the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "�");
}
