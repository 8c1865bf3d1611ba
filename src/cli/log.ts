import { EventEmitter } from "node:events";
import type { Request, RequestHandler } from "express";
import { connectionErrorOf, watchOutage } from "../redis/client.js";
import { describeError } from "../rest/problem.js";
import type { Client } from "../types.js";

/** Says once when Redis goes away, and why as far as is known, and once when it is back. Gives what ends that. */
export function logRedis(client: Client): () => void {
  const log = new EventEmitter()
    .on("disconnect", () => {
      const why = connectionErrorOf(client);
      console.error(`Redis is not connected${why === undefined ? "" : `: ${why.message}`}`);
    })
    .on("connect", () => console.error("Redis is connected"));
  watchOutage(client, log);
  // A connection that was given up makes no further attempt, which would tell.
  if (client.status === "end") log.emit("disconnect");
  return () => void log.removeAllListeners();
}

/** A line for each request: when, method, path, status, and how long it took. */
export const logRequest: RequestHandler = (req, res, next) => {
  const start = performance.now();
  res.on("close", () => {
    const took = (performance.now() - start).toFixed(1);
    // A client that has left gets no answer, but what it asked for may be done.
    const status = res.writableFinished ? res.statusCode : "unanswered";
    console.log(`${lineOf(req)} ${status} ${took} ms`);
  });
  next();
};

/** A line for each 500, which says why. */
export function logFailure(error: unknown, req: Request): void {
  console.error(`${lineOf(req)} failed: ${describeError(error)}`);
}

function lineOf({ method, originalUrl }: Request): string {
  return `${new Date().toISOString()} ${method} ${printablePath(originalUrl)}`;
}

/**
 * The path as it may stand in a log. What names a session there may be its secret: a token, or the id of a RedisStore
 * session; so may be anything as long as a token, however it is encoded. The query is left out: it holds users'
 * addresses, and maybe a token, too.
 */
function printablePath(url: string): string {
  return url
    .replace(/\?.*/s, "")
    .replace(/(\/(?:get|set|kill|rotate)\/)(?!-$).+/is, "$1<token>")
    .replace(/(?:[A-Za-z0-9]|%[\dA-Fa-f]{2}){64,}/g, "<token>")
    .replace(/[^\x21-\x7e]/g, "?");
}
