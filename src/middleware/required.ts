import type { IncomingMessage, ServerResponse } from "node:http";
import { invalidValue } from "../errors.js";
import { checkOptions, type OptionsOwner, textLike } from "../util/rules.js";
import { isWritable } from "./transport.js";

/** Declared as a method, so that Fastify's `next`, which takes an Error, can be passed. */
type Next = { next(error?: unknown): void }["next"];

/** Middleware for Express, Connect and node:http. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/**
 * A function that returns the URL that a request without a session is redirected to. If it returns undefined, the answer
 * is 401. Its parameter may have a narrower type, such as Express's Request.
 */
export type RedirectOf = {
  /** Returns the percent-encoded URL, or undefined for a 401. */
  of(req: IncomingMessage): string | undefined;
}["of"];

/** Options of `auth.required`. */
export interface RequiredOptions {
  /**
   * The percent-encoded URL that a browser without a session is redirected to, with status 303; or a function of the
   * request that returns it, for example with the page to return to. Default: none, the answer is 401.
   *
   * The function must not return a URL that a visitor has chosen. Put it in the query of your login page, percent-encoded,
   * and check it there before you redirect to it.
   */
  redirect?: string | RedirectOf | undefined;
}

const REQUIRED: OptionsOwner = {
  name: "required",
  call: 'app.get("/account", auth.required({ redirect: "/login" }), …)',
};

const aUrl = textLike('a percent-encoded URL: "/login"', /^[!-~]+$/);

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
  checkOptions(REQUIRED, options, {
    redirect: {
      be: `${aUrl.be}, or a function that returns one`,
      test: (redirect) => typeof redirect === "function" || aUrl.test(redirect),
    },
  });
  const { redirect } = options;

  /** @throws SessionError `invalidValue` if the function `redirect` returns anything else than a URL or undefined */
  function redirectOf(req: IncomingMessage): string | undefined {
    if (typeof redirect !== "function") return redirect;
    const url = redirect(req);
    if (url !== undefined && !aUrl.test(url))
      throw invalidValue(`required: redirect must return ${aUrl.be}, or undefined`);
    return url;
  }

  function refuse(req: IncomingMessage, res: ServerResponse): void {
    // Something else has answered while Redis was asked, for example a request timeout.
    if (!isWritable(res)) return;
    const url = redirectOf(req);
    if (url !== undefined) {
      res.writeHead(303, { Location: url }).end();
      return;
    }
    res.writeHead(401, { "WWW-Authenticate": challenge, "Content-Type": "text/plain; charset=utf-8" });
    res.end("Not signed in\n");
  }

  return function sessionRequired(req, res, next) {
    load(req, res).then((session) => {
      if (session !== null) return next();
      try {
        refuse(req, res);
      } catch (error) {
        next(error);
      }
    }, next);
  };
}
