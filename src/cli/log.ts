import { EventEmitter } from "node:events";
import type { Request, RequestHandler } from "express";
import { hintOf } from "../errors.js";
import { type RedisClient, watchOutage } from "../redis/client.js";
import { describeError } from "../util/describe-error.js";

/** Logs once when Redis goes down, with the reason if it is known, and once when it is back. Returns a function that stops it. */
export function logRedis(client: RedisClient): () => void {
  const log = new EventEmitter()
    .on("disconnect", () => {
      const why = client.lastError;
      const hint = why && hintOf(why);
      const reason = `${why === undefined ? "" : `: ${why.message}`}${hint === undefined ? "" : ` (${hint})`}`;
      console.error(`Redis is not connected${reason}`);
    })
    .on("connect", () => console.error("Redis is connected"));
  watchOutage(client, log);
  // A closed connection makes no further attempt, so no event would report it.
  if (client.isClosed) log.emit("disconnect");
  return () => void log.removeAllListeners();
}

/** Logs each request: time, method, path, status and duration. */
export const logRequest: RequestHandler = (req, res, next) => {
  const start = performance.now();
  res.on("close", () => {
    const took = (performance.now() - start).toFixed(1);
    // The client has left before the response. The request may have taken effect.
    const status = res.writableFinished ? res.statusCode : "unanswered";
    console.log(`${lineOf(req)} ${status} ${took} ms`);
  });
  next();
};

/** Logs the reason of a response with the status 500. */
export function logFailure(error: unknown, req: Request): void {
  console.error(`${lineOf(req)} failed: ${describeError(error)}`);
}

function lineOf({ method, originalUrl }: Request): string {
  return `${new Date().toISOString()} ${method} ${printablePath(originalUrl)}`;
}

/**
 * Masks the secrets in a path: the token (or the id of a RedisStore session) after `get`, `set`, `increment`, `touch`,
 * `kill` and `rotate`, and any text as long as a token, also percent-encoded. The query is omitted, because it contains
 * users' addresses and possibly a token.
 */
function printablePath(url: string): string {
  return url
    .replace(/\?.*/s, "")
    .replace(/(\/(?:get|set|increment|touch|kill|rotate)\/)(?!-$).+/is, "$1<token>")
    .replace(/(?:[A-Za-z0-9]|%[\dA-Fa-f]{2}){64,}/g, "<token>")
    .replace(/[^\x21-\x7e]/g, "?");
}
