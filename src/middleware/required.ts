import type { IncomingMessage, ServerResponse } from "node:http";
import { checkOptions, type OptionsOwner, textLike } from "../util/rules.js";
import { isWritable } from "./transport.js";

/** Declared as a method, so that Fastify's `next`, which takes an Error, can be passed. */
type Next = { next(error?: unknown): void }["next"];

/** Middleware for Express, Connect and node:http. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/** Options of `auth.required`. */
export interface RequiredOptions {
  /** The URL that a browser without a session is redirected to, with status 303. Default: none, the answer is 401. */
  redirect?: string | undefined;
}

const REQUIRED: OptionsOwner = {
  name: "required",
  call: 'app.get("/account", auth.required({ redirect: "/login" }), …)',
};

/**
 * Returns middleware that refuses requests without a session.
 * @param load loads the request's session
 * @param challenge the header `WWW-Authenticate` of a 401 (RFC 9110, 11.6.1)
 */
export function requireSession(
  load: (req: IncomingMessage, res: ServerResponse) => Promise<object | null>,
  challenge: string,
  options: RequiredOptions,
): Middleware {
  checkOptions(REQUIRED, options, { redirect: textLike('a percent-encoded URL: "/login"', /^[!-~]+$/) });
  const { redirect } = options;

  function refuse(res: ServerResponse): void {
    // Something else has answered while Redis was asked, for example a request timeout.
    if (!isWritable(res)) return;
    if (redirect !== undefined) {
      res.writeHead(303, { Location: redirect }).end();
      return;
    }
    res.writeHead(401, { "WWW-Authenticate": challenge, "Content-Type": "text/plain; charset=utf-8" });
    res.end("Not signed in\n");
  }

  return function sessionRequired(req, res, next) {
    load(req, res).then((session) => (session === null ? refuse(res) : next()), next);
  };
}
