import express, { type Request, type Response } from "express";
import session, { type SessionOptions, type Store } from "express-session";
import express4 from "express4";
import type { RedisStore } from "../../../src/express-session/index.js";
import { Browser, serve } from "./browser.js";
import { Gate } from "./gate.js";

declare module "express-session" {
  interface SessionData {
    userId?: string | number;
    cart?: string[];
  }
}

export const EXPRESS = { "Express 4": express4, "Express 5": express } as const;
export type ExpressName = keyof typeof EXPRESS;

export interface SiteOptions extends Omit<SessionOptions, "secret" | "store"> {
  store: Store;
  express?: ExpressName;
}

/** A small site with sessions. */
export interface Site {
  readonly url: string;
  /** Where requests to paths that begin with /gate wait. */
  readonly gate: Gate;
  browser(): Browser;
  close(): Promise<void>;
}

export async function openSite({ express: name = "Express 5", ...options }: SiteOptions): Promise<Site> {
  const gate = new Gate();
  const app = EXPRESS[name]();
  app.use(session({ secret: "keyboard cat", resave: false, saveUninitialized: false, ...options }));
  for (const [path, act] of Object.entries(pages)) {
    app.get(path, (req, res) => answer(req, res, act));
    app.get(`/gate${path}`, async (req, res) => {
      await gate.pass();
      await answer(req, res, act);
    });
  }
  const { url, close } = await serve(app);
  return { url, gate, close, browser: () => new Browser(url) };
}

async function answer(req: Request, res: Response, act: Page): Promise<void> {
  try {
    await act(req);
    const { cookie, ...data } = req.session ?? {};
    const { rotated } = req as { rotated?: boolean };
    res.json({ ...data, id: req.sessionID, expires: cookie?.expires ?? null, rotated });
  } catch (error) {
    res.status(500).json({ error: String(error) });
  }
}

type Page = (req: Request) => unknown;

/** The site's pages. Each answers with the session as it is after the request. */
const pages: Record<string, Page> = {
  "/me": () => {},
  "/login/:user": ({ session, params }) => {
    session.userId = `${params.user}`;
  },
  "/sign-out": ({ session }) => {
    delete session.userId;
  },
  "/logout": ({ session }) => done((ready) => session.destroy(ready)),
  "/unset": (req) => {
    Object.assign(req, { session: null });
  },
  "/regenerate": ({ session }) => done((ready) => session.regenerate(ready)),
  "/rotate/:grace": async (req) => {
    const store = req.sessionStore as unknown as RedisStore;
    Object.assign(req, { rotated: await store.rotate(req, { grace: Number(req.params.grace) }) });
  },
  "/set/:key/:value": ({ session, params }) => {
    Object.assign(session, { [`${params.key}`]: params.value });
  },
  "/delete/:key": ({ session, params }) => {
    Reflect.deleteProperty(session, `${params.key}`);
  },
  "/push/:item": ({ session, params }) => {
    session.cart ??= [];
    session.cart.push(`${params.item}`);
  },
  "/max-age/:ms": ({ session, params }) => {
    session.cookie.maxAge = Number(params.ms);
  },
  "/save/:key/:value": ({ session, params }) => {
    Object.assign(session, { [`${params.key}`]: params.value });
    return done((ready) => session.save(ready));
  },
  "/reload": ({ session }) => done((ready) => session.reload(ready)),
};

/** Waits for one of the callbacks of express-session. */
export function done(start: (ready: (error?: unknown) => void) => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}
