import { readFileSync } from "node:fs";
import { checkApp } from "../engine/checks.js";
import { invalidValue } from "../errors.js";
import { type ApiKey, MIN_KEY_LENGTH } from "../rest/authorize.js";

/** The texts of its keys are secrets: whatever is wrong with one is said by its place. */

const REMEDY = "make one with: openssl rand -hex 16";

/** A line that counts, by its number. */
interface Line {
  readonly number: number;
  readonly text: string;
}

/** The API keys of `--key-file`, or of RS_API_KEYS (separated by commas); none when neither is given. */
export function readKeys(file: string | undefined): ApiKey[] {
  return file === undefined ? keysOfVariable(process.env.RS_API_KEYS) : keysOfFile(file);
}

function keysOfVariable(value: string | undefined): ApiKey[] {
  if (value === undefined) return [];
  const texts = new Set(value.split(",").map((key) => key.trim()));
  texts.delete("");
  const keys = [...texts].map((key) => ({ key }));
  // Whoever sets it does not mean to let everybody in: maybe the command that was to make the key has failed.
  if (keys.length === 0) {
    throw invalidValue("RS_API_KEYS is set, but holds no key", `${REMEDY}; unset it to serve everybody on localhost`);
  }
  for (const [i, { key }] of keys.entries()) checkLength(key, `RS_API_KEYS: key ${i + 1}`);
  return keys;
}

/**
 * A line of the file is a key, which may be followed by `apps=webapp,shop` and `read-only`. What follows a # at the start
 * of the line or after a space is a comment.
 */
function keysOfFile(file: string): ApiKey[] {
  const where = `--key-file ${file}`;
  const lines = readLines(file)
    .map((line, i) => ({ number: i + 1, text: line.replace(/(^|\s)#.*/, "").trim() }))
    .filter(({ text }) => text !== "");
  // Whoever names a file does not mean to let everybody in.
  if (lines.length === 0) throw invalidValue(`${where} holds no key`, REMEDY);
  const seen = new Map<string, number>();
  return lines.map((line) => {
    const place = `${where}, line ${line.number}`;
    const parsed = parseKey(line, place);
    const before = seen.get(parsed.key);
    if (before !== undefined) {
      throw invalidValue(
        `${place}: the key stands in line ${before} already`,
        "write it once, with all that it may do",
      );
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
  if (lists.length > 1) throw invalidValue(`${place}: apps= stands twice`, "write one list: apps=webapp,shop");
  if (grants.some((grant) => grant !== lists[0] && grant !== "read-only")) {
    throw invalidValue(
      `${place}: the key is followed by something else than apps=… and read-only`,
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
    const hint = "3 to 20 of A-Z a-z 0-9 _ - each, separated by commas without spaces: apps=webapp,shop";
    throw invalidValue(`${place}: among its apps is one that is none`, hint);
  }
}

function checkLength(key: string, what: string): void {
  if (key.length < MIN_KEY_LENGTH) throw invalidValue(`${what} has fewer than ${MIN_KEY_LENGTH} characters`, REMEDY);
}
