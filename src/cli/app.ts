import express, { type Express, type RequestHandler } from "express";
import type { RedisSessions } from "../engine/engine.js";
import { internalsOf } from "../engine/internals.js";
import type { ApiKey } from "../rest/authorize.js";
import { Problem, sendProblem } from "../rest/problem.js";
import { noStore, rest } from "../rest/router.js";
import { describeError } from "../util/describe-error.js";
import { logFailure, logRequest } from "./log.js";
import { isLoopback } from "./loopback.js";

export interface AppOptions {
  rs: RedisSessions;
  /** The API keys. If there are none, everybody may use the interface. */
  keys: readonly ApiKey[];
  /** Whether requests and failures are logged. */
  log: boolean;
  /** Whether the server is shutting down. */
  isEnding: () => boolean;
}

/** Creates the app of `serve`: the REST interface, and the health checks `/healthz` and `/readyz`. */
export function createApp({ rs, keys, log, isEnding }: AppOptions): Express {
  const app = express();
  const isReady = readiness(rs, log);
  app.disable("x-powered-by");
  app.use(noStore, (_req, res, next) => {
    if (isEnding()) res.set("Connection", "close");
    next();
  });
  if (log) app.use(logRequest);
  app.get("/healthz", (_req, res) => {
    res.type("text/plain").send("live\n");
  });
  app.get("/readyz", async (_req, res) => {
    const ready = !isEnding() && (await isReady());
    res
      .status(ready ? 200 : 503)
      .type("text/plain")
      .send(ready ? "ready\n" : "not ready\n");
  });
  if (keys.length === 0) app.use(refuseOtherHosts, refuseOtherSites);
  app.use(rest({ rs, authorize: keys.length > 0 ? keys : false, onError: log ? logFailure : () => {} }));
  return app;
}

/**
 * Returns a function that tells whether all apps can be reached. Without a connection, it returns false at once instead of
 * after the engine's timeout. Each change is logged, with its reason.
 */
function readiness(rs: RedisSessions, log: boolean): () => Promise<boolean> {
  const { connection, reachApps } = internalsOf(rs);
  let wasReady = true;
  return async () => {
    // logRedis reports this.
    if (!connection.client.isReady) return false;
    const failure = await reachApps().then(
      () => undefined,
      (error: unknown) => describeError(error),
    );
    const isReady = failure === undefined;
    if (log && isReady !== wasReady) console.error(isReady ? "Ready" : `Not ready: ${failure}`);
    wasReady = isReady;
    return isReady;
  };
}

/** Prevents DNS rebinding: a web page in a local browser could reach the server through a host name of its own. */
const refuseOtherHosts: RequestHandler = (req, res, next) => {
  const host = (req.headers.host ?? "").replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (isLoopback(host)) return next();
  sendProblem(res, keyless("Without an API key, only requests to localhost are served."));
};

/** Refuses web pages of another origin, because browsers send them simple requests without a CORS preflight. */
const refuseOtherSites: RequestHandler = (req, res, next) => {
  const { origin, host, "sec-fetch-site": site = "none" } = req.headers;
  const isForeign = origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
  if (!isForeign && (site === "none" || site === "same-origin")) return next();
  sendProblem(res, keyless("Without an API key, requests from web pages of another origin are refused."));
};

function keyless(message: string): Problem {
  return new Problem(403, "ERR_FORBIDDEN", `${message} Start the server with --key-file or RS_API_KEYS`);
}
