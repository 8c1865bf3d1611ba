import type { IncomingMessage, ServerResponse } from "node:http";
import { checkOptions, textLike } from "../util/rules.js";
import { isWritable } from "./transport.js";

/** Fastify's takes an Error only, which TypeScript allows of a method. */
type Next = { next(error?: unknown): void }["next"];

/** Middleware as Express, Connect and node:http know it. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/** Options of `auth.required`. */
export interface RequiredOptions {
  /** Where to send a browser that is not signed in. Default: it gets the status 401. */
  redirect?: string | undefined;
}

/**
 * Makes middleware that lets only requests with a session pass.
 * @param load loads the request's session
 * @param challenge what a 401 says in `WWW-Authenticate` (RFC 9110, 11.6.1)
 */
export function guard(
  load: (req: IncomingMessage, res: ServerResponse) => Promise<object | null>,
  challenge: string,
  options: RequiredOptions,
): Middleware {
  checkOptions("required", options, { redirect: textLike('an address, percent-encoded: "/login"', /^[!-~]+$/) });
  const { redirect } = options;

  function refuse(res: ServerResponse): void {
    // Something else has answered while Redis was asked, such as a time limit.
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
