import { invalidValue } from "../errors.js";
import type { Connection } from "../redis/connection.js";

/**
 * Turns sessions into text and back. May be asynchronous. It gets a session in pieces, `{ [key]: value }`, since each
 * top-level key is stored by itself, and up to 100 pieces at once.
 */
export interface Serializer {
  /** Turns the text of a piece into the object that `stringify` got. If it throws, the call fails with that error. */
  parse(text: string): object | Promise<object>;
  /** Turns an object of one key into text. If it returns anything but a string, the call fails. */
  stringify(session: object): string | Promise<string>;
}

/** The message of the error for a serializer that takes longer than the engine's `timeout`. */
export const SERIALIZER_LATE = "RedisStore: the serializer took longer than the engine's timeout";

/**
 * The result of a serializer.
 * @throws SessionError `timeout` if it takes longer than the engine's `timeout`
 */
export function withinTimeout<Result>(
  connection: Connection,
  result: Result | Promise<Result>,
): Result | Promise<Result> {
  if (!(result instanceof Promise)) return result;
  return connection.within(connection.deadline(), () => result, SERIALIZER_LATE);
}

/** How many keys of one session are in the serializer at the same time. It bounds the memory for a session of many keys. */
const MAX_AT_ONCE = 100;

/** Awaits the results for all items, in their order. At most MAX_AT_ONCE are under way. */
async function forEach<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let from = 0; from < items.length; from += MAX_AT_ONCE) {
    results.push(...(await Promise.all(items.slice(from, from + MAX_AT_ONCE).map(work))));
  }
  return results;
}

/**
 * Serializes the values of keys, all at once. A serializer's text is stored as a JSON string, so that it is one line.
 * @param fields the keys as quoteKey returns them, with JSON values
 * @throws SessionError `invalidValue` if the serializer does not return a string
 */
export function serializeEach(
  serializer: Serializer,
  fields: readonly (readonly [name: string, json: string])[],
): Promise<[name: string, json: string][]> {
  return forEach(fields, async ([name, json]) => {
    const text = await serializer.stringify(JSON.parse(`{${name}:${json}}`));
    if (typeof text !== "string") throw invalidValue("RedisStore: serializer.stringify must return a string");
    return [name, JSON.stringify(text)];
  });
}

/** Parses the pieces of a session, all at once. */
export async function parseEach(serializer: Serializer, pieces: readonly string[]): Promise<object> {
  const parsed = await forEach(pieces, async (json) => Object.entries(await serializer.parse(JSON.parse(json))));
  // Unlike an assignment, this treats "__proto__" as any other key.
  return Object.fromEntries(parsed.flat());
}
