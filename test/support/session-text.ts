import type { Redis } from "ioredis";

/**
 * A session's text as docs/storage-layout.md documents it, without the engine's code. Fields have names,
 * and data keys are in quotation marks. A tombstone or redirect has only `to`.
 */
export type Fields = Record<string, string>;

/** The flag that records a difference between the clocks is left out: many tests pass invented times to the scripts. */
const SKEW = / skew=\S+/;

const OWN = ["la", "r", "w", "life", "created", "id", "ip", "device"];

export function fieldsOf(text: string | null): Fields {
  if (text === null) return {};
  if (text.startsWith(">")) return { to: text.slice(1) };
  const lines = text.split("\n");
  const fields: Fields = {};
  for (const [i, name] of OWN.entries()) if (lines[i] !== "") fields[name] = lines[i] as string;
  const { life = "", ...rest } = fields;
  // Spaces at the end make room for other flags.
  const [, ttl, no_resave, first = "", end, second = ""] =
    /^([^ ]+)( no_resave)?((?: \w+=\S*)*)(?: until (\d+))?((?: \w+=\S*)*) *$/.exec(life.replace(SKEW, "")) ?? [];
  const flags = first + second;
  const data = lines.slice(OWN.length).map((line) => /^("[^"]*"):(.*)$/s.exec(line)?.slice(1) as [string, string]);
  return {
    ...rest,
    ...(ttl !== undefined && { ttl }),
    ...(no_resave && { no_resave: "1" }),
    ...(flags && { flags: flags.slice(1) }),
    ...(end !== undefined && { end }),
    ...Object.fromEntries(data),
  };
}

export function textOf({ to, ttl, no_resave, flags, end, ...fields }: Record<string, unknown>): string {
  if (to !== undefined) return `>${to}`;
  const life = [
    ttl ?? "",
    ...(no_resave ? ["no_resave"] : []),
    ...(flags ? [flags] : []),
    ...(end ? ["until", end] : []),
  ];
  const own = OWN.map((name) => (name === "life" ? life.join(" ") : (fields[name] ?? "")));
  const data = Object.entries(fields).filter(([name]) => name.startsWith('"'));
  return [...own, ...data.map(([name, value]) => `${name}:${value}`)].join("\n");
}

/** Reads the fields of the session at a key. */
export async function readFields(db: Redis, key: string): Promise<Fields> {
  return fieldsOf(await db.get(key));
}

/** Changes fields of the session at a key. A value `{ add }` is added to the number. Keeps the expiry. */
export async function editFields(
  db: Redis,
  key: string,
  changes: Record<string, string | number | { add: number }>,
): Promise<void> {
  const fields: Record<string, unknown> = await readFields(db, key);
  for (const [name, change] of Object.entries(changes)) {
    fields[name] = typeof change === "object" ? Number(fields[name]) + change.add : change;
  }
  // XX: do not recreate a session that has ended meanwhile.
  await db.set(key, textOf(fields), "XX", "KEEPTTL" as never);
}
