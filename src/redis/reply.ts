import { SessionError } from "../errors.js";

/** @throws SessionError `redisError` if Redis has queued the command because the client is in a MULTI */
export function assertAnswer(reply: unknown): void {
  if (reply === "QUEUED") throw noAnswer("The client is in a MULTI: use a separate client for the engine");
}

/** Reads a number. With ioredis's option `stringNumbers` it is a string. @throws SessionError `redisError` */
export function toNumber(reply: unknown): number {
  const number = typeof reply === "string" && reply !== "" ? Number(reply) : reply;
  if (typeof number !== "number" || Number.isNaN(number)) throw noAnswer();
  return number;
}

/** Reads a string or null. @throws SessionError `redisError` */
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
  return new SessionError("redisError", "Redis sent an unexpected reply", { hint });
}
