/** A change of a session, as a script has announced it. See lua/include/announce.lua. */
export type Change =
  | { readonly kind: "created" | "changed"; readonly ref: string; readonly id: string }
  | { readonly kind: "rotated"; readonly ref: string; readonly id: string; readonly to: string }
  | { readonly kind: "ended"; readonly ref: string; readonly id: string; readonly reason: string };

/** All changes of one run of a script. */
export interface Announcement {
  /** ms of Redis's clock */
  readonly at: number;
  readonly changes: readonly Change[];
}

/** The number of lines of a change. */
const LINES = 4;

/** Parses a message of an app's channel. Skips changes of a kind that it does not know, which a newer version may announce. */
export function parseAnnouncement(message: string): Announcement {
  const [at, ...lines] = message.split("\n");
  const changes: Change[] = [];
  for (let i = 0; i + LINES <= lines.length; i += LINES) {
    const change = toChange(...(lines.slice(i, i + LINES) as [string, string, string, string]));
    if (change !== undefined) changes.push(change);
  }
  return { at: Number(at), changes };
}

/** Returns the refs of all changes of a message, also of a kind that only a newer version knows. */
export function changedRefs(message: string): string[] {
  const lines = message.split("\n");
  const refs: string[] = [];
  // The time comes first. The second line of a change is its ref.
  for (let i = 1; i + LINES <= lines.length; i += LINES) refs.push(lines[i + 1] as string);
  return refs;
}

/** @param id as JSON; empty for an anonymous session */
export function toChange(kind: string, ref: string, id: string, detail: string): Change | undefined {
  const which = { ref, id: id === "" ? "" : parseId(id) };
  if (kind === "created" || kind === "changed") return { kind, ...which };
  if (kind === "rotated") return { kind, ...which, to: detail };
  return kind === "ended" ? { kind, ...which, reason: detail } : undefined;
}

function parseId(json: string): string {
  try {
    return String(JSON.parse(json));
  } catch {
    return "";
  }
}
