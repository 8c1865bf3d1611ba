import type { IncomingMessage, ServerResponse } from "node:http";
import { checkApp, checkLimits, isToken } from "../engine/checks.js";
import type { DefaultData, Json } from "../types.js";
import { warnOfMilliseconds } from "../util/seconds.js";
import { warnOnce } from "../util/warn-once.js";
import { type Admin, adminOf, type TenantAdmin, tenantAdminOf } from "./admin.js";
import { SessionCookie } from "./cookie.js";
import { type FastifyPlugin, fastifyPlugin } from "./fastify.js";
import { type AppOf, checkSessionsOptions, type SessionsOptions, type Use } from "./options.js";
import { addressOf, assertRequest, deviceOf, isProxyIgnored, readHeader, refusePlugin } from "./request.js";
import { type Context, RequestSession } from "./request-session.js";
import { type Middleware, type RequiredOptions, requireSession } from "./required.js";
import type { Transport } from "./transport.js";

/** The type of the sessions' data in `req.rs`: the engine's type, or any JSON if the engine has none. */
type DataInRequests<Data> = [Data, DefaultData] extends [DefaultData, Data] ? Record<string, Json> : Data;

/** Middleware for Express, Connect, node:http and Fastify that attaches `req.rs`. */
export interface Sessions<Data extends object, App extends string | AppOf = string> extends Middleware {
  /**
   * Lists, counts, changes and ends the app's sessions. Needs no request and no `app.use(auth)`. If the option `app` is a function,
   * each call names the app.
   */
  readonly admin: App extends string ? Admin<DataInRequests<Data>> : TenantAdmin<DataInRequests<Data>>;
  /**
   * Returns the request's `rs` of this middleware, with the engine's type for the data. Use it if several middlewares
   * are installed: `req.rs` is the last one's.
   * @throws TypeError if the request did not go through this middleware
   */
  of(req: IncomingMessage): RequestSession<DataInRequests<Data>>;
  /**
   * Returns middleware that answers 401 to requests without a session, or redirects them. With `within` it also refuses
   * sessions whose user was authenticated too long ago. It attaches `req.rs` itself, so the route works without
   * `app.use(auth)`.
   */
  required(options?: RequiredOptions): Middleware;
  /** Attaches `req.rs` and lets every request pass. The same as the middleware itself. */
  readonly optional: Middleware;
  /** The middleware as a plugin for Fastify, for all routes: `app.register(auth.fastify)`. */
  readonly fastify: FastifyPlugin;
}

/**
 * Creates middleware that attaches `req.rs`, the session of the request. Nothing is sent to Redis until the request
 * uses it.
 *
 * @example <caption>One app</caption>
 * const auth = sessions({ rs, app: "webapp", secret: process.env.SESSION_SECRET });
 * app.use(auth);
 * app.get("/account", auth.required({ redirect: "/login" }), async (req, res) => res.json(await req.rs.get()));
 *
 * @example <caption>A cookie that outlives the browser's window</caption>
 * const auth = sessions({ rs, app: "webapp", secret, ttl: 30 * 86_400, cookie: { maxAge: 30 * 86_400 } }); // seconds
 *
 * @example <caption>API clients that send the token as a header</caption>
 * const auth = sessions({ rs, app: "webapp", header: true, cookie: false });
 *
 * @template Data the type of the sessions' data, as in the engine's type
 * @template App `string`, or `AppOf` if the option `app` is a function
 * @throws SessionError `missingParameter`, `invalidFormat` or `invalidValue` if an option is missing, misspelt or
 * invalid
 */
export function sessions<Data extends object = DefaultData>(
  options: SessionsOptions<Data, string>,
): Sessions<Data, string>;
export function sessions<Data extends object = DefaultData>(
  options: SessionsOptions<Data, AppOf>,
): Sessions<Data, AppOf>;
export function sessions<Data extends object = DefaultData, App extends string | AppOf = string | AppOf>(
  options: SessionsOptions<Data, App>,
): Sessions<Data, App>;
export function sessions<Data extends object = DefaultData, App extends string | AppOf = string | AppOf>(
  options: SessionsOptions<Data, App>,
): Sessions<Data, App> {
  checkSessionsOptions(options as unknown as SessionsOptions<never>);
  const { rs, secret, header, read, write, device = deviceOf, onOutage = "error" } = options;
  const defaults = checkLimits(options);
  warnOfMilliseconds(rs, "sessions: ttl", defaults.ttl);
  warnOfMilliseconds(rs, "sessions: absolute", defaults.absolute);
  const app: string | AppOf = typeof options.app === "function" ? options.app : checkApp(options.app);
  const cookie =
    options.cookie === false || write !== undefined ? undefined : new SessionCookie(options.cookie ?? {}, secret);
  const transport: Transport | undefined =
    write === undefined ? cookie : { write: (_req, res, token) => write(res, token) };
  function useOf(req: IncomingMessage): Use {
    // The engine refuses a text that was cut in the middle of a character.
    const name = device(req)?.slice(0, 64).toWellFormed();
    return name ? { ip: addressOf(req), device: name } : { ip: addressOf(req) };
  }

  const context: Context<Data> = {
    key: Symbol("ioredis-sessions"),
    rs,
    app,
    transport,
    cookie,
    signIn(req) {
      if (isProxyIgnored(req)) {
        warnOnce(
          context,
          "UNTRUSTED_PROXY",
          "A sign-in came with X-Forwarded-Proto: https, but the app does not trust the proxy. So the session has the " +
            "proxy's address as ip, and the cookie is not Secure by default. " +
            'Express: app.set("trust proxy", 1). Fastify: Fastify({ trustProxy: "loopback" }), or the address of the proxy. ' +
            "Connect and node:http: set req.secure and req.ip before the middleware. " +
            "If there is no proxy, a client has sent this header, and you can ignore the warning",
        );
      }
      return { ...defaults, ...useOf(req) };
    },
    useOf,
    onChange: options.onChange?.bind(options),
    anonymousOnOutage: onOutage === "anonymous",
  };

  function sessionOf(req: IncomingMessage): RequestSession<Data> | undefined {
    const { rs } = req as Attached<Data>;
    return RequestSession.keyOf(rs) === context.key ? rs : (req as Attached<Data>)[context.key];
  }

  function readToken(req: IncomingMessage): string | undefined {
    const token = read?.(req);
    return isToken(token) ? token : header === undefined ? undefined : readHeader(req, header);
  }

  /** Creates the request's session once, even if the request passes this middleware several times. */
  function attach(req: IncomingMessage, res: ServerResponse): RequestSession<Data> {
    assertRequest(req);
    const session = sessionOf(req) ?? new RequestSession(context, req, res, readToken(req));
    const attached = req as Attached<Data>;
    const before = attached.rs;
    if (before !== undefined && before !== session) {
      const key = RequestSession.keyOf(before);
      if (key !== undefined) attached[key] = before;
      attached[context.key] = session;
    }
    attached.rs = session;
    return session;
  }

  function ioredisSessions(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void {
    if (refusePlugin(req, next)) return;
    attach(req, res);
    next();
  }

  const challenge = {
    scheme: header === true ? "Bearer" : "Session",
    realm: typeof app === "string" ? app : undefined,
  };

  const auth = Object.assign(ioredisSessions, {
    admin: typeof app === "string" ? adminOf(rs, app) : tenantAdminOf(rs),
    of(req: IncomingMessage): RequestSession<Data> {
      const session = sessionOf(req);
      if (session === undefined) {
        throw new TypeError(
          "The request did not go through this sessions() middleware: app.use(auth) before the route; in Fastify, auth.of(req.raw)",
        );
      }
      return session;
    },
    required(required: RequiredOptions = {}): Middleware {
      const middleware = requireSession((req, res) => attach(req, res).get(), challenge, required);
      warnOfMilliseconds(rs, "required: within", required.within);
      return middleware;
    },
    optional: ioredisSessions,
    fastify: fastifyPlugin(ioredisSessions),
  });
  // TypeScript cannot see that `app` has the type App, nor that requests write DataInRequests.
  return auth as unknown as Sessions<Data, App>;
}

/**
 * A request that has passed one or more of these middlewares. `rs` is the session of the last one. If there are several, each
 * one's session is also under its `key`.
 *
 * With one, that second property would take nearly half of the time of `attach`, because Express gives each request a hidden
 * class of its own. A WeakMap would burden the garbage collector.
 */
type Attached<Data extends object> = IncomingMessage & {
  rs?: RequestSession<Data>;
  [key: symbol]: RequestSession<Data> | undefined;
};
