import type { IncomingMessage, ServerResponse } from "node:http";
import { invalidValue } from "../errors.js";
import type { Session } from "../types.js";
import { anInteger, checkOptions, type OptionsOwner, textLike } from "../util/rules.js";
import { refusePlugin } from "./request.js";
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
  /**
   * The maximum number of seconds since the user was authenticated, at least 1: since the sign-in or the last
   * `req.rs.confirm()`. Requests with an older session are refused, like those without a session. An impersonated session
   * (`actor`) is always refused, with 403, because its user was not there. Default: no limit.
   */
  within?: number | undefined;
}

/** How a request is refused. */
interface Refusal {
  readonly text: string;
  /** Parameters of the header `WWW-Authenticate` of a 401; undefined for a 403. */
  readonly parameters: readonly string[] | undefined;
}

const PLAIN_TEXT = { "Content-Type": "text/plain; charset=utf-8" };

const NOT_SIGNED_IN: Refusal = { text: "Not signed in\n", parameters: [] };

/** No redirect and no sign-in would help, so the answer is 403. */
const IMPERSONATED: Refusal = { text: "Not allowed in an impersonated session\n", parameters: undefined };

/** The refusal of a session whose user was authenticated more than `within` seconds ago (RFC 9470, 3). */
function tooOld(within: number): Refusal {
  const description = "More recent authentication is required";
  return {
    text: `${description}\n`,
    parameters: [
      'error="insufficient_user_authentication"',
      `error_description="${description}"`,
      `max_age="${within}"`,
    ],
  };
}

const REQUIRED: OptionsOwner = {
  name: "required",
  call: 'app.get("/account", auth.required({ redirect: "/login" }), …)',
};

const aUrl = textLike('a percent-encoded URL: "/login"', /^[!-~]+$/);

/**
 * Returns middleware that refuses requests without a session, or whose user was authenticated too long ago.
 * @param load loads the request's session
 * @param challenge for the header `WWW-Authenticate` of a 401 (RFC 9110, 11.6.1)
 */
export function requireSession(
  load: (req: IncomingMessage, res: ServerResponse) => Promise<Session<unknown> | null>,
  challenge: { readonly scheme: string; readonly realm: string | undefined },
  options: RequiredOptions,
): Middleware {
  checkOptions(REQUIRED, options, {
    redirect: {
      be: `${aUrl.be}, or a function that returns one`,
      test: (redirect) => typeof redirect === "function" || aUrl.test(redirect),
    },
    within: anInteger(1),
  });
  const { redirect, within } = options;
  const { scheme, realm } = challenge;

  /** @throws SessionError `invalidValue` if the function `redirect` returns anything else than a URL or undefined */
  function redirectOf(req: IncomingMessage): string | undefined {
    if (typeof redirect !== "function") return redirect;
    const url = redirect(req);
    if (url !== undefined && !aUrl.test(url))
      throw invalidValue(`required: redirect must return ${aUrl.be}, or undefined`);
    return url;
  }

  /** Returns why a request is refused, or undefined if it may pass. */
  function refusalOf(session: Session<unknown> | null): Refusal | undefined {
    if (session === null) return NOT_SIGNED_IN;
    if (within === undefined) return undefined;
    if (session.actor !== undefined) return IMPERSONATED;
    return Date.now() - session.authTime > within * 1000 ? tooOld(within) : undefined;
  }

  function refuse(req: IncomingMessage, res: ServerResponse, { text, parameters }: Refusal): void {
    // Something else has answered while Redis was asked, for example a request timeout.
    if (!isWritable(res)) return;
    if (parameters === undefined) {
      res.writeHead(403, PLAIN_TEXT).end(text);
      return;
    }
    const url = redirectOf(req);
    if (url !== undefined) {
      res.writeHead(303, { Location: url }).end();
      return;
    }
    const all = [...(realm === undefined ? [] : [`realm="${realm}"`]), ...parameters].join(", ");
    const authenticate = all === "" ? scheme : `${scheme} ${all}`;
    res.writeHead(401, { "WWW-Authenticate": authenticate, ...PLAIN_TEXT }).end(text);
  }

  return function sessionRequired(req, res, next) {
    if (refusePlugin(req, next)) return;
    load(req, res).then((session) => {
      const refusal = refusalOf(session);
      if (refusal === undefined) return next();
      try {
        refuse(req, res, refusal);
      } catch (error) {
        next(error);
      }
    }, next);
  };
}
