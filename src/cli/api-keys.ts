import { readFileSync } from "node:fs";
import { checkApp } from "../engine/checks.js";
import { invalidValue } from "../errors.js";
import { type ApiKey, MIN_KEY_LENGTH } from "../rest/authorize.js";

/** Keys are secrets: error messages name the place of a key and never quote it. */

const REMEDY = "create one with: openssl rand -hex 16";

/** A line that is neither empty nor a comment. */
interface Line {
  readonly number: number;
  readonly text: string;
}

/** Reads the API keys from `--key-file`, or else from RS_API_KEYS (separated by commas). Empty if neither is set. */
export function readKeys(file: string | undefined): ApiKey[] {
  return file === undefined ? keysOfVariable(process.env.RS_API_KEYS) : keysOfFile(file);
}

function keysOfVariable(value: string | undefined): ApiKey[] {
  if (value === undefined) return [];
  const texts = new Set(value.split(",").map((key) => key.trim()));
  texts.delete("");
  const keys = [...texts].map((key) => ({ key }));
  // An empty variable must not disable the keys: perhaps the command that should have created the key failed.
  if (keys.length === 0) {
    throw invalidValue("RS_API_KEYS is set but contains no key", `${REMEDY}; unset it to serve everybody on localhost`);
  }
  for (const [i, { key }] of keys.entries()) checkLength(key, `RS_API_KEYS: key ${i + 1}`);
  return keys;
}

/**
 * Reads one key from each line. `apps=webapp,shop` and `read-only` may follow the key. A # at the start of a line or after
 * a space begins a comment.
 */
function keysOfFile(file: string): ApiKey[] {
  const where = `--key-file ${file}`;
  const lines = readLines(file)
    .map((line, i) => ({ number: i + 1, text: line.replace(/(^|\s)#.*/, "").trim() }))
    .filter(({ text }) => text !== "");
  // An empty file must not disable the keys.
  if (lines.length === 0) throw invalidValue(`${where} contains no key`, REMEDY);
  const seen = new Map<string, number>();
  return lines.map((line) => {
    const place = `${where}, line ${line.number}`;
    const parsed = parseKey(line, place);
    const before = seen.get(parsed.key);
    if (before !== undefined) {
      throw invalidValue(`${place}: the key is already in line ${before}`, "list it once, with all its apps");
    }
    seen.set(parsed.key, line.number);
    return parsed;
  });
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch (error) {
    throw invalidValue(`--key-file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function parseKey({ text }: Line, place: string): ApiKey & { key: string } {
  const [key = "", ...grants] = text.split(/\s+/);
  checkLength(key, `${place}: the key`);
  const lists = grants.filter((grant) => grant.startsWith("apps="));
  if (lists.length > 1) throw invalidValue(`${place}: apps= appears twice`, "write one list: apps=webapp,shop");
  if (grants.some((grant) => grant !== lists[0] && grant !== "read-only")) {
    throw invalidValue(
      `${place}: only apps=… and read-only may follow the key`,
      "apps are separated by commas without spaces: apps=webapp,shop",
    );
  }
  const apps = lists[0]?.slice("apps=".length).split(",");
  if (apps !== undefined) checkApps(apps, place);
  return { key, ...(apps !== undefined && { apps }), ...(grants.includes("read-only") && { readOnly: true }) };
}

function checkApps(apps: readonly string[], place: string): void {
  try {
    apps.forEach(checkApp);
  } catch {
    const hint = "each app has 3 to 20 of A-Z a-z 0-9 _ -, separated by commas without spaces: apps=webapp,shop";
    throw invalidValue(`${place}: an app is malformed`, hint);
  }
}

function checkLength(key: string, what: string): void {
  if (key.length < MIN_KEY_LENGTH) throw invalidValue(`${what} has fewer than ${MIN_KEY_LENGTH} characters`, REMEDY);
}
