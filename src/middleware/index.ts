/**
 * Middleware for Express 4 and 5, Connect and node:http, and a plugin for Fastify. The session's token is in a signed
 * cookie or a header; `req.rs` reads, writes, creates and ends the session.
 *
 * @example
 * import express from "express";
 * import { Redis } from "ioredis";
 * import { RedisSessions } from "ioredis-sessions";
 * import { sessions } from "ioredis-sessions/middleware";
 *
 * const client = new Redis();
 * client.on("error", (error) => console.error("Redis:", error.message));
 * const rs = new RedisSessions({ client });
 * const auth = sessions({ rs, app: "webapp", secret: process.env.SESSION_SECRET });
 *
 * const app = express();
 * app.use(auth);
 * app.get("/", async (req, res) => res.json(await req.rs.get()));
 *
 * @module
 */
import type { Json } from "../types.js";
import type { RequestSession } from "./request-session.js";

/**
 * The type of the sessions' data in `req.rs`. Declare your own keys by merging:
 *
 * @example
 * import "ioredis-sessions/middleware";
 * declare module "ioredis-sessions/middleware" {
 *   interface SessionData { cart: { sku: string; count: number }[] }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: users merge their own keys into it
export interface SessionData {}

type RequestData = keyof SessionData extends never ? Record<string, Json> : SessionData;

declare global {
  namespace Express {
    interface Request {
      /** The session of the request, attached by `sessions()` of ioredis-sessions. */
      rs: RequestSession<RequestData>;
    }
  }
}

export type { Admin, TenantAdmin } from "./admin.js";
export type { CookieOptions } from "./cookie.js";
export type { FastifyPlugin } from "./fastify.js";
export type { AppOf, ChangedUse, SessionsOptions, Use } from "./options.js";
export type { Device, RequestSession, SessionState, SignInOptions } from "./request-session.js";
export type { Middleware, RedirectOf, RequiredOptions } from "./required.js";
export { type Sessions, sessions } from "./sessions.js";
