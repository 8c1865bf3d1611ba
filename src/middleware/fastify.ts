import type { IncomingMessage, ServerResponse } from "node:http";
import type { Middleware } from "./required.js";

/** Of Fastify's types what is needed here, so that nobody else has to have them. */
interface FastifyRequest {
  readonly raw: IncomingMessage;
  readonly ip: string;
  readonly hostname: string;
  readonly protocol: string;
}

interface FastifyReply {
  readonly raw: ServerResponse;
  header(name: string, value: unknown): unknown;
}

type Done = (error?: Error) => void;

interface FastifyInstance {
  hasRequestDecorator(name: string): boolean;
  decorateRequest(name: string, property: { getter(this: never): unknown }): unknown;
  addHook(name: string, hook: (...args: never[]) => void): unknown;
}

/** A plugin for Fastify: `app.register(plugin)`. */
export type FastifyPlugin = (app: FastifyInstance, options: object, done: Done) => void;

/** The middleware as a plugin, which gives requests their `rs`. */
export function fastifyPlugin(middleware: Middleware): FastifyPlugin {
  function ioredisSessions(app: FastifyInstance, _options: object, done: Done): void {
    app.addHook("onRequest", (req: FastifyRequest, reply: FastifyReply, next: Done) => {
      // What Fastify knows of proxies, in Express's words.
      Object.assign(req.raw, { ip: req.ip, hostname: req.hostname, secure: req.protocol === "https" });
      middleware(req.raw, reply.raw, next as Parameters<Middleware>[2]);
    });
    app.addHook("onSend", (_req: FastifyRequest, reply: FastifyReply, _payload: unknown, next: Done) => {
      // Fastify's own headers would take the place of those in the response, were there cookies among both.
      const cookies = reply.raw.getHeader("Set-Cookie");
      if (cookies !== undefined) {
        reply.raw.removeHeader("Set-Cookie");
        reply.header("Set-Cookie", cookies);
      }
      next();
    });
    if (!app.hasRequestDecorator("rs")) {
      app.decorateRequest("rs", {
        getter(this: { raw: { rs?: unknown } }) {
          return this.raw.rs;
        },
      });
    }
    done();
  }
  // For the whole app, not only for what is registered within the plugin (as the package fastify-plugin does it).
  return Object.assign(ioredisSessions, { [Symbol.for("skip-override")]: true });
}
