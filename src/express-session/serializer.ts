import { invalidValue } from "../errors.js";
import type { Connection } from "../redis/connection.js";

/**
 * Turns sessions into text and back. May be asynchronous. It gets a session in pieces, `{ [key]: value }`, since each
 * top-level key is stored by itself.
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

/**
 * The JSON that is stored for one key. A serializer's text is stored as a JSON string, so that it is one line.
 * @param name the key as quoteKey returns it
 * @throws SessionError `invalidValue` if the serializer does not return a string
 */
export async function serialize(serializer: Serializer, name: string, json: string): Promise<string> {
  const text = await serializer.stringify(JSON.parse(`{${name}:${json}}`));
  if (typeof text !== "string") throw invalidValue("RedisStore: serializer.stringify must return a string");
  return JSON.stringify(text);
}

/** Parses the pieces of a session. */
export async function parseEach(serializer: Serializer, pieces: Iterable<string>): Promise<object> {
  const entries: [string, unknown][] = [];
  for (const json of pieces) entries.push(...Object.entries(await serializer.parse(JSON.parse(json))));
  // Unlike an assignment, this treats "__proto__" as any other key.
  return Object.fromEntries(entries);
}
