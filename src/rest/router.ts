import express, { type NextFunction, type Request, type RequestHandler, type Response, type Router } from "express";
import { type AnyRedisSessions, anEngine, type RedisSessions } from "../engine/engine.js";
import { OPTIONS_OF_ENGINE } from "../engine/options.js";
import { invalidValue, SessionError } from "../errors.js";
import { aFunction, checkOptions, type OptionsOwner } from "../util/rules.js";
import { type Authorize, guardOf } from "./authorize.js";
import { assertJson, Input } from "./input.js";
import { describeInterface } from "./openapi.js";
import { answerError, Failure, Problem, printError } from "./problem.js";
import { routes } from "./routes.js";

/** Options of `rest`. A misspelt or invalid option throws `invalidValue`. */
export interface RestOptions {
  /** The engine that serves the requests. */
  rs: AnyRedisSessions;
  /** Who may use the interface: API keys, a function of the request, or `false` for everybody who can reach it. */
  authorize: Authorize;
  /**
   * Called with the error behind each response with the status 500, which itself does not reveal the error. Do not log
   * `req.url`: it may contain a token. Default: prints the error's name, its message and that of its cause with
   * console.error.
   */
  onError?(error: unknown, req: Request): void;
}

/** The maximum length of a body, in bytes. */
const BODY_LIMIT = 64 * 1024;

const REST: OptionsOwner = {
  name: "rest",
  call: "app.use(rest({ rs, authorize }))",
  elsewhere: OPTIONS_OF_ENGINE,
};

/**
 * Creates a router for Express 4 and 5 that serves the engine's methods to programs in any language, with the routes of
 * rest-sessions.
 *
 * @throws SessionError `invalidValue` if `rs` or `authorize` is missing, or an option is invalid
 */
export function rest(options: RestOptions): Router {
  checkOptions(REST, options, {
    rs: anEngine,
    authorize: { be: "a list of API keys, a function, or false", test: (value) => value !== true },
    onError: aFunction,
  });
  if (options.rs === undefined) throw invalidValue("rest needs rs, an engine: new RedisSessions(…)");
  // An AnyRedisSessions is an instance of this class. The engine checks the types of the data at run time.
  const rs = options.rs as RedisSessions;
  const guard = guardOf(options.authorize);
  const { onError = printError } = options;
  const description = describeInterface(options.authorize);
  const json = express.json({ limit: BODY_LIMIT });
  const router = express.Router();

  router.use(noStore);
  get(router, "/ping", async (_req, res) => {
    res.type("text/plain").send(await rs.ping());
  });
  get(router, "/openapi.json", async (req, res) => {
    const servers = [{ url: req.baseUrl || "/" }];
    res.json({ ...description, servers });
  });

  for (const route of routes) {
    async function check(req: Request): Promise<void> {
      await guard(req, String(req.params.app), route.writes);
      assertJson(req);
    }
    async function answer(req: Request, res: Response): Promise<void> {
      res.json((await route.run(rs, new Input(req, route))) ?? {});
    }
    const steps = [step(check), ...(route.body === undefined ? [] : [json]), handler(answer)];
    router[route.method](route.path, ...steps);
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    router.all(path, refuseMethod(routes.filter((route) => route.path === path).map((route) => route.method)));
  }

  router.use(() => {
    throw new Problem(404, "ERR_NOT_FOUND", "The route does not exist. GET /openapi.json describes all routes");
  });
  router.use(answerError(onError));
  return router;
}

function get(router: Router, path: string, answer: (req: Request, res: Response) => Promise<void>): void {
  router.get(path, handler(answer));
  router.all(path, refuseMethod(["get"]));
}

/** Passes a rejection to `next`, because Express 4 does not await promises. */
function handler(answer: (req: Request, res: Response) => Promise<void>): RequestHandler {
  return (req, res, next) => {
    answer(req, res).catch(failWith(next));
  };
}

function step(check: (req: Request) => Promise<void>): RequestHandler {
  return (req, _res, next) => {
    check(req).then(() => next(), failWith(next));
  };
}

/**
 * Passes a thrown value to `next`. Values other than our own errors are wrapped, because `next(undefined)` and
 * `next("router")` would make Express skip the guard. An unwrapped error with a `status` is therefore Express's own.
 */
function failWith(next: NextFunction): (error: unknown) => void {
  return (error) => next(error instanceof Problem || error instanceof SessionError ? error : new Failure(error));
}

function refuseMethod(methods: readonly string[]): RequestHandler {
  const allow = methods.flatMap((method) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()])).join(", ");
  return (req, res) => {
    if (req.method !== "OPTIONS") {
      throw new Problem(405, "ERR_METHOD_NOT_ALLOWED", `This route takes ${allow}`, { Allow: allow });
    }
    res.status(204).set("Allow", allow).end();
  };
}

/** Prevents caches from storing a response, and browsers from guessing its type. */
export const noStore: RequestHandler = (_req, res, next) => {
  res.set({ "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" });
  next();
};
