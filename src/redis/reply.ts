import { SessionError } from "../errors.js";

/** @throws SessionError `redisError` for what is no answer, such as that of a client within MULTI */
export function assertAnswer(reply: unknown): void {
  if (reply === "QUEUED") throw noAnswer("The client is within a MULTI: give the engine a client of its own");
}

/** Reads a number, which a client with ioredis's option `stringNumbers` gives as a string. @throws SessionError `redisError` */
export function toNumber(reply: unknown): number {
  const number = typeof reply === "string" && reply !== "" ? Number(reply) : reply;
  if (typeof number !== "number" || Number.isNaN(number)) throw noAnswer();
  return number;
}

/** Reads a text that may not be there. @throws SessionError `redisError` */
export function toText(reply: unknown): string | null {
  if (reply !== null && typeof reply !== "string") throw noAnswer();
  return reply;
}

/** Reads a list. @throws SessionError `redisError` */
export function toList<Item>(reply: Item[]): Item[] {
  if (!Array.isArray(reply)) throw noAnswer();
  return reply;
}

function noAnswer(hint?: string): SessionError {
  return new SessionError("redisError", "Redis answered with something else than was asked for", { hint });
}
