import type { IncomingMessage, ServerResponse } from "node:http";
import type { Session } from "../types.js";
import { anInteger, checkOptions, type OptionsOwner, textLike } from "../util/rules.js";
import { isWritable } from "./transport.js";

/** Declared as a method, so that Fastify's `next`, which takes an Error, can be passed. */
type Next = { next(error?: unknown): void }["next"];

/** Middleware for Express, Connect and node:http. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: Next) => void;

/** Options of `auth.required`. */
export interface RequiredOptions {
  /** The URL that a browser without a session is redirected to, with status 303. Default: none, the answer is 401. */
  redirect?: string | undefined;
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
  /** Parameters of the header `WWW-Authenticate`. */
  readonly parameters: readonly string[];
}

const NOT_SIGNED_IN: Refusal = { text: "Not signed in\n", parameters: [] };

/** Answers an impersonated session on a route with `within`. No redirect and no sign-in would help. */
function forbid(res: ServerResponse): void {
  if (!isWritable(res)) return;
  res.writeHead(403, { "Content-Type": "text/plain; charset=utf-8" }).end("Not allowed in an impersonated session\n");
}

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
    redirect: textLike('a percent-encoded URL: "/login"', /^[!-~]+$/),
    within: anInteger(1),
  });
  const { redirect, within } = options;
  const { scheme, realm } = challenge;

  function refuse(res: ServerResponse, { text, parameters }: Refusal): void {
    // Something else has answered while Redis was asked, for example a request timeout.
    if (!isWritable(res)) return;
    if (redirect !== undefined) {
      res.writeHead(303, { Location: redirect }).end();
      return;
    }
    const all = [...(realm === undefined ? [] : [`realm="${realm}"`]), ...parameters].join(", ");
    const authenticate = all === "" ? scheme : `${scheme} ${all}`;
    res.writeHead(401, { "WWW-Authenticate": authenticate, "Content-Type": "text/plain; charset=utf-8" });
    res.end(text);
  }

  return function sessionRequired(req, res, next) {
    load(req, res).then((session) => {
      if (session === null) refuse(res, NOT_SIGNED_IN);
      else if (within !== undefined && session.actor !== undefined) forbid(res);
      else if (within !== undefined && Date.now() - session.authTime > within * 1000) refuse(res, tooOld(within));
      else next();
    }, next);
  };
}
