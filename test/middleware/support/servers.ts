import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import connect from "connect";
import express from "express";
import express4 from "express4";
import Fastify, {
  type FastifyPluginCallback,
  type FastifyReply,
  type FastifyRequest,
  type HookHandlerDoneFunction,
} from "fastify";
import type { Json } from "../../../src/index.js";
import type { Middleware, RequestSession, Sessions } from "../../../src/middleware/index.js";

export type Data = Record<string, Json>;

/** The request that handlers receive on every server. */
export type Req = IncomingMessage & { rs: RequestSession<Data> };

/** Its result is sent as JSON, unless it has sent a response itself. */
export type Handler = (req: Req, res: ServerResponse) => unknown;

/** Maps a path to a handler, or to middleware followed by a handler. */
export type Routes = Record<string, Handler | [...Middleware[], Handler]>;

export interface ServerOptions {
  /** Express's setting `trust proxy`, and Fastify's option. */
  trustProxy?: boolean;
}

type Build = (use: readonly Middleware[], routes: Routes, options: ServerOptions) => RequestListener;

function split(route: Routes[string]): { guards: Middleware[]; handler: Handler } {
  const all = [route].flat();
  return { guards: all.slice(0, -1) as Middleware[], handler: all[all.length - 1] as Handler };
}

async function answer(handler: Handler, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const body = await handler(req as Req, res);
  if (res.headersSent) return;
  res.setHeader("Content-Type", "application/json");
  res.end(JSON.stringify(body ?? null));
}

/** Runs the middleware in order, and then `end`. */
function chain(
  use: readonly Middleware[],
  req: IncomingMessage,
  res: ServerResponse,
  end: Parameters<Middleware>[2],
): void {
  const [first, ...rest] = use;
  if (first === undefined) end();
  else first(req, res, (error) => (error === undefined ? chain(rest, req, res, end) : end(error)));
}

function pluginOf(middleware: Middleware | Sessions<Data>): FastifyPluginCallback {
  if ("fastify" in middleware) return middleware.fastify;
  const plugin: FastifyPluginCallback = (app, _options, done) => {
    app.addHook("onRequest", (req, reply, next) => middleware(req.raw, reply.raw, next));
    done();
  };
  return Object.assign(plugin, { [Symbol.for("skip-override")]: true });
}

export const SERVERS = {
  "Express 4": (use, routes, { trustProxy = false }) => {
    const app = express4();
    app.set("trust proxy", trustProxy);
    for (const one of use) app.use(one);
    for (const [path, route] of Object.entries(routes)) {
      const { guards, handler } = split(route);
      // Express 4 ignores returned promises.
      app.all(path, ...guards, (req, res, next) => void answer(handler, req, res).catch(next));
    }
    return app;
  },
  "Express 5": (use, routes, { trustProxy = false }) => {
    const app = express();
    app.set("trust proxy", trustProxy);
    for (const one of use) app.use(one);
    for (const [path, route] of Object.entries(routes)) {
      const { guards, handler } = split(route);
      app.all(path, ...guards, (req, res) => answer(handler, req, res));
    }
    return app;
  },
  Connect: (use, routes) => {
    const app = connect();
    for (const one of use) app.use(one);
    for (const [path, route] of Object.entries(routes)) {
      const { guards, handler } = split(route);
      for (const guard of guards) app.use(path, guard);
      app.use(path, (req, res, next) => void answer(handler, req, res).catch(next));
    }
    return app;
  },
  Fastify: (use, routes, { trustProxy = false }) => {
    const app = Fastify({ trustProxy });
    for (const one of use) app.register(pluginOf(one));
    for (const [path, route] of Object.entries(routes)) {
      const { guards, handler } = split(route);
      const preHandler = guards.map(
        (guard) => (req: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) =>
          guard(req.raw, reply.raw, done),
      );
      app.all(path, { preHandler }, async (req, reply) => {
        const body = await handler(req.raw as Req, reply.raw);
        if (!reply.raw.headersSent) return body ?? null;
        return reply.hijack();
      });
    }
    const ready = app.ready();
    return (req, res) => void ready.then(() => app.routing(req, res));
  },
  "node:http": (use, routes) => (req, res) => {
    const { guards, handler } = split(routes[new URL(`${req.url}`, "http://localhost").pathname] ?? (() => null));
    chain([...use, ...guards], req, res, (error) => {
      const done = error === undefined ? answer(handler, req, res) : Promise.reject(error);
      done.catch((reason: { status?: number }) => {
        res.statusCode = reason.status ?? 500;
        res.end(String(reason));
      });
    });
  },
} satisfies Record<string, Build>;

export type ServerName = keyof typeof SERVERS;

export const SERVER_NAMES = Object.keys(SERVERS) as ServerName[];
