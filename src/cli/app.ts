import express, { type Express, type RequestHandler } from "express";
import type { RedisSessions } from "../engine/engine.js";
import type { ApiKey } from "../rest/authorize.js";
import { Problem, sendProblem } from "../rest/problem.js";
import { rest } from "../rest/router.js";
import { isLoopback } from "./loopback.js";

export interface AppOptions {
  rs: RedisSessions;
  /** Without any, everybody may use the interface. */
  keys: readonly ApiKey[];
  /** Whether each request leaves a line in the log. */
  log: boolean;
  /** Whether the server is about to end. */
  isEnding: () => boolean;
}

/** What `serve` serves: the REST interface, and what a supervisor asks (`/healthz`, `/readyz`). */
export function createApp({ rs, keys, log, isEnding }: AppOptions): Express {
  const app = express();
  app.disable("x-powered-by");
  app.use((_req, res, next) => {
    if (isEnding()) res.set("Connection", "close");
    next();
  });
  if (log) app.use(logRequest);
  app.get("/healthz", (_req, res) => {
    res.type("text/plain").send("live\n");
  });
  app.get("/readyz", async (_req, res) => {
    const ready =
      !isEnding() &&
      (await rs.ping().then(
        () => true,
        () => false,
      ));
    res
      .status(ready ? 200 : 503)
      .type("text/plain")
      .send(ready ? "ready\n" : "not ready\n");
  });
  if (keys.length === 0) app.use(refuseOtherHosts);
  app.use(rest({ rs, authorize: keys.length > 0 ? keys : false }));
  return app;
}

/** A page in a browser of this machine can reach it under a name that its author has pointed here (DNS rebinding). */
const refuseOtherHosts: RequestHandler = (req, res, next) => {
  const host = (req.headers.host ?? "").replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (isLoopback(host)) return next();
  const message = "Without an API key only requests to localhost are served. Start it with --key-file or RS_API_KEYS";
  sendProblem(res, new Problem(403, "ERR_FORBIDDEN", message));
};

const logRequest: RequestHandler = (req, res, next) => {
  const start = performance.now();
  const { method, originalUrl } = req;
  res.on("close", () => {
    const took = (performance.now() - start).toFixed(1);
    // A client that has left gets no answer, but what it asked for may be done.
    const status = res.writableFinished ? res.statusCode : "unanswered";
    console.log(`${new Date().toISOString()} ${method} ${withoutTokens(originalUrl)} ${status} ${took} ms`);
  });
  next();
};

/** The address as it may stand in a log: anything as long as a token might be one, however it is encoded. */
function withoutTokens(url: string): string {
  return url.replace(/(?:[A-Za-z0-9]|%[\dA-Fa-f]{2}){64,}/g, "<token>").replace(/[^\x21-\x7e]/g, "?");
}
