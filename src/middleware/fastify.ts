import type { IncomingMessage, ServerResponse } from "node:http";
import { invalidValue } from "../errors.js";
import { kindOf } from "../util/kind-of.js";
import type { Middleware } from "./required.js";

/** The parts of Fastify's types that are used here, so that other users need not install Fastify. */
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

/** A plugin for Fastify: `app.register(auth.fastify)`. */
export type FastifyPlugin = (app: FastifyInstance, options: object, done: Done) => void;

/** Returns a plugin that runs the middleware on every request and adds `rs` to Fastify's requests. */
export function fastifyPlugin(middleware: Middleware): FastifyPlugin {
  function ioredisSessions(app: FastifyInstance, _options: object, done: Done): void {
    if (typeof app?.addHook !== "function") {
      throw invalidValue(`auth.fastify takes a Fastify app, not ${kindOf(app)}: app.register(auth.fastify)`);
    }
    app.addHook("onRequest", (req: FastifyRequest, reply: FastifyReply, next: Done) => {
      // Fastify's results of `trustProxy`, under the names that Express uses.
      Object.assign(req.raw, { ip: req.ip, hostname: req.hostname, secure: req.protocol === "https" });
      middleware(req.raw, reply.raw, next as Parameters<Middleware>[2]);
    });
    app.addHook("onSend", (_req: FastifyRequest, reply: FastifyReply, _payload: unknown, next: Done) => {
      // If Fastify sets cookies as well, its headers would overwrite those of the raw response. Add ours to them.
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
  // Applies the hooks to the whole app instead of the plugin's own routes, as the package fastify-plugin does.
  return Object.assign(ioredisSessions, { [Symbol.for("skip-override")]: true });
}
