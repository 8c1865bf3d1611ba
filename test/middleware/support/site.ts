import { once } from "node:events";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { RedisSessions } from "../../../src/index.js";
import { type Middleware, type Sessions, type SessionsOptions, sessions } from "../../../src/middleware/index.js";
import { startRedis, type TestRedis } from "../../support/redis.js";
import { editFields, readFields } from "../../support/session-text.js";
import { Browser } from "./browser.js";
import { type Data, type Req, type Routes, SERVERS, type ServerName, type ServerOptions } from "./servers.js";

export const SECRET = "keyboard cat and 19 more characters";

export interface SiteOptions extends ServerOptions {
  /** Default "Express 5". */
  server?: ServerName;
  /** The middleware for all requests. Default: `t.auth()`. */
  use?: readonly Middleware[];
  /** The key and certificate of an HTTPS server. */
  tls?: { key: string; cert: string };
}

/** A web site on its own port. */
export interface Site {
  readonly url: string;
  browser(headers?: Record<string, string>): Browser;
}

/** Shared by the tests of one file: one Redis, emptied before each test, and a new engine for each test. */
export interface TestSites {
  readonly redis: TestRedis;
  readonly db: Redis;
  readonly rs: RedisSessions<Data>;
  /** Creates middleware for the app "webapp" with the secret SECRET. */
  auth(options?: Partial<SessionsOptions<Data, string>>): Sessions<Data, string>;
  /** Opens a site and closes it after the test. */
  open(routes: Routes, options?: SiteOptions): Promise<Site>;
  /** Returns the fields of a session in Redis. */
  stored(ref: string): Promise<Record<string, string>>;
  /** Changes fields of a session, for example to pretend that it was created earlier. */
  alter(ref: string, fields: Record<string, string | number>): Promise<void>;
}

/** Sets the test sites up. Call it at the top of a test file. */
export function useSites({ timeout = 2000 }: { timeout?: number } = {}): TestSites {
  let redis: TestRedis;
  let db: Redis;
  let rs: RedisSessions<Data>;
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    db = redis.client();
  });
  beforeEach(async () => {
    await db.flushdb();
    rs = new RedisSessions<Data>({ client: db, wipe: 0, timeout });
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  afterAll(() => redis.stop());

  function auth(options: Partial<SessionsOptions<Data, string>> = {}): Sessions<Data, string> {
    return sessions<Data, string>({ rs, app: "webapp", secret: SECRET, ...options });
  }

  return {
    get redis() {
      return redis;
    },
    get db() {
      return db;
    },
    get rs() {
      return rs;
    },
    auth,
    async open(routes, { server: name = "Express 5", use = [auth()], tls, ...options } = {}) {
      const listener = SERVERS[name](use, routes, options);
      const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      closing.push(async () => {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      });
      const url = `${tls === undefined ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
      return { url, browser: (headers) => new Browser(url, headers) };
    },
    stored: (ref) => readFields(db, `rs:{webapp}:s:${ref}`),
    alter: (ref, fields) => editFields(db, `rs:{webapp}:s:${ref}`, fields),
  };
}

/** Returns a parameter of the request's query, or an empty text. */
export function query(req: Req, name: string): string {
  return new URL(`${req.url}`, "http://localhost").searchParams.get(name) ?? "";
}

/** Returns the result of a call, or its error. */
export async function outcome(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call;
  } catch (error) {
    const { name, code, status, message } = error as Error & { code?: string; status?: number };
    return { error: name, code, status, message };
  }
}
