import express, { type Express, type RequestHandler } from "express";
import type { RedisSessions } from "../engine/engine.js";
import { internalsOf } from "../engine/internals.js";
import type { ApiKey } from "../rest/authorize.js";
import { Problem, sendProblem } from "../rest/problem.js";
import { noStore, rest } from "../rest/router.js";
import { logFailure, logRequest } from "./log.js";
import { isLoopback } from "./loopback.js";

export interface AppOptions {
  rs: RedisSessions;
  /** Without any, everybody may use the interface. */
  keys: readonly ApiKey[];
  /** Whether each request leaves a line in the log, and each failure. */
  log: boolean;
  /** Whether the server is about to end. */
  isEnding: () => boolean;
}

/** What `serve` serves: the REST interface, and what a supervisor asks (`/healthz`, `/readyz`). */
export function createApp({ rs, keys, log, isEnding }: AppOptions): Express {
  const app = express();
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
    const ready = !isEnding() && (await answers(rs));
    res
      .status(ready ? 200 : 503)
      .type("text/plain")
      .send(ready ? "ready\n" : "not ready\n");
  });
  if (keys.length === 0) app.use(refuseOtherHosts, refuseOtherSites);
  app.use(rest({ rs, authorize: keys.length > 0 ? keys : false, onError: log ? logFailure : () => {} }));
  return app;
}

/** Whether Redis answers. While it is known to be away, that is said at once and not after the engine's timeout. */
function answers(rs: RedisSessions): Promise<boolean> {
  if (internalsOf(rs).connection.client.status !== "ready") return Promise.resolve(false);
  return rs.ping().then(
    () => true,
    () => false,
  );
}

/** A page in a browser of this machine can reach it under a name that its author has pointed here (DNS rebinding). */
const refuseOtherHosts: RequestHandler = (req, res, next) => {
  const host = (req.headers.host ?? "").replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  if (isLoopback(host)) return next();
  sendProblem(res, keyless("Without an API key only requests to localhost are served."));
};

/** A page of another site, or of another port of this machine, can send requests that need no permission of ours (CORS). */
const refuseOtherSites: RequestHandler = (req, res, next) => {
  const { origin, host, "sec-fetch-site": site = "none" } = req.headers;
  const isForeign = origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
  if (!isForeign && (site === "none" || site === "same-origin")) return next();
  sendProblem(res, keyless("Without an API key no requests from web pages of another origin are served."));
};

function keyless(message: string): Problem {
  return new Problem(403, "ERR_FORBIDDEN", `${message} Start it with --key-file or RS_API_KEYS`);
}
