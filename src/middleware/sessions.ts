import type { IncomingMessage, ServerResponse } from "node:http";
import { checkApp, checkLimits, isToken } from "../engine/checks.js";
import type { DefaultData, Json } from "../types.js";
import { type Admin, adminOf, type TenantAdmin, tenantAdminOf } from "./admin.js";
import { SessionCookie } from "./cookie.js";
import { type FastifyPlugin, fastifyPlugin } from "./fastify.js";
import { type AppOf, checkSessionsOptions, type SessionsOptions } from "./options.js";
import { addressOf, deviceOf, readHeader } from "./request.js";
import { type Context, RequestSession } from "./request-session.js";
import { guard, type Middleware, type RequiredOptions } from "./required.js";
import type { Transport } from "./transport.js";

/** The data of requests' sessions: any JSON, unless the engine has a type for it. */
type DataInRequests<Data> = [Data, DefaultData] extends [DefaultData, Data] ? Record<string, Json> : Data;

/** Middleware for Express, Connect, node:http and Fastify that attaches `req.rs`. */
export interface Sessions<Data extends object, App extends string | AppOf = string> extends Middleware {
  /** Lists, counts and ends the app's sessions. Where the app is a function of the request, each call names one. */
  readonly admin: App extends string ? Admin<DataInRequests<Data>> : TenantAdmin<DataInRequests<Data>>;
  /** The session of a request that went through the middleware, typed by the engine's data. */
  of(req: IncomingMessage): RequestSession<DataInRequests<Data>>;
  /** Makes middleware that lets only requests with a session pass; the others get a 401, or are redirected. */
  required(options?: RequiredOptions): Middleware;
  /** Middleware that lets all requests pass. */
  readonly optional: Middleware;
  /** The same as a plugin for Fastify, for all of its routes: `app.register(auth.fastify)`. */
  readonly fastify: FastifyPlugin;
}

/**
 * Makes the middleware.
 *
 * @template Data what the sessions hold, as in the engine's type
 * @template App whether there is one app, or a function of the request
 * @throws SessionError `missingParameter`, `invalidFormat`, `invalidValue` for options that are missing, misspelt or bad
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
  const app: string | AppOf = typeof options.app === "function" ? options.app : checkApp(options.app);
  const cookie =
    options.cookie === false || write !== undefined ? undefined : new SessionCookie(options.cookie ?? {}, secret);
  const transport: Transport | undefined =
    write === undefined ? cookie : { write: (_req, res, token) => write(res, token) };
  const context: Context<Data> = {
    rs,
    app,
    transport,
    cookie,
    signIn(req) {
      // Cut off in the midst of an emoji, it would be refused.
      const name = device(req)?.slice(0, 64).toWellFormed();
      return { ...defaults, ip: addressOf(req), ...(name ? { device: name } : {}) };
    },
    anonymousOnOutage: onOutage === "anonymous",
  };
  // This middleware's own, where `rs` may be another's by now. (A WeakMap would be a burden for the garbage collector.)
  const own = Symbol("ioredis-sessions");

  function sessionOf(req: IncomingMessage): RequestSession<Data> | undefined {
    return (req as { [own]?: RequestSession<Data> })[own];
  }

  function readToken(req: IncomingMessage): string | undefined {
    const token = read?.(req);
    return isToken(token) ? token : header === undefined ? undefined : readHeader(req, header);
  }

  /** Once for a request, however often the middleware is in its way. */
  function attach(req: IncomingMessage, res: ServerResponse): RequestSession<Data> {
    const session = sessionOf(req) ?? new RequestSession(context, req, res, readToken(req));
    const attached = req as { [own]?: RequestSession<Data>; rs?: RequestSession<Data> };
    attached[own] = session;
    attached.rs = session;
    return session;
  }

  function ioredisSessions(req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void): void {
    attach(req, res);
    next();
  }

  const challenge = `${header === true ? "Bearer" : "Session"}${typeof app === "string" ? ` realm="${app}"` : ""}`;

  const auth = Object.assign(ioredisSessions, {
    admin: typeof app === "string" ? adminOf(rs, app) : tenantAdminOf(rs),
    of(req: IncomingMessage): RequestSession<Data> {
      const session = sessionOf(req);
      if (session === undefined) throw new TypeError("The request did not go through this sessions() middleware");
      return session;
    },
    required(required: RequiredOptions = {}): Middleware {
      return guard((req, res) => attach(req, res).get(), challenge, required);
    },
    optional: ioredisSessions,
    fastify: fastifyPlugin(ioredisSessions),
  });
  // Which of the two App says, and TypeScript does not know that DataInRequests is what requests write.
  return auth as unknown as Sessions<Data, App>;
}
