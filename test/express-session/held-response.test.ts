import { once } from "node:events";
import { Agent, get as httpGet, type IncomingMessage, ServerResponse } from "node:http";
import { connect as connectTo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import compression from "compression";
import connect from "connect";
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from "express";
import session from "express-session";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { holdResponse } from "../../src/express-session/held-response.js";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { startProxy, type TestProxy } from "../support/proxy.js";
import { Browser, type Served, serve } from "./support/browser.js";
import { EXPRESS, type ExpressName } from "./support/site.js";
import { useStores } from "./support/stores.js";

const t = useStores();
const DELAY = 200;
const EXPRESSES = Object.keys(EXPRESS) as ExpressName[];
/** Larger than the threshold of `compression`, 1 KB. */
const PAGE = "a page ".repeat(1000);

let slow: TestProxy;
/** A store whose commands reach Redis after DELAY. */
let store: RedisStore;
const open: Served[] = [];

beforeAll(async () => {
  slow = await startProxy(t.redis.port, { delay: DELAY });
  store = new RedisStore({ client: t.redis.client({ port: slow.port }) });
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((served) => served.close()));
});
afterAll(() => slow.stop());

async function listen(app: Parameters<typeof serve>[0]): Promise<Served> {
  const served = await serve(app);
  open.push(served);
  return served;
}

function sessionsOf(from: RedisStore): RequestHandler {
  return session({ store: from, secret: "keyboard cat", resave: false, saveUninitialized: false });
}

const logIn: RequestHandler = (req, res) => {
  req.session.userId = "alice";
  res.redirect("/");
};

/** Another process of the site, which is close to Redis. */
async function fastSite(): Promise<Served> {
  const app = express();
  app.use(sessionsOf(t.store()));
  app.get("/", (req, res) => void res.json(req.session));
  return listen(app);
}

/** Requests a page. Resolves when the head of the response arrives. */
async function head(url: string, cookie?: string): Promise<IncomingMessage> {
  const [response] = await once(httpGet(url, { headers: cookie === undefined ? {} : { cookie } }), "response");
  return response;
}

function cookieOf(response: IncomingMessage): string {
  return `${response.headers["set-cookie"]?.[0]?.split(";")[0]}`;
}

/** The session that a browser sees which follows a redirect as soon as it arrives, and is served by another process. */
async function follow(path: string, from: Served, to: Served, cookie?: string): Promise<unknown> {
  const response = await head(from.url + path, cookie);
  response.resume();
  const followed = await fetch(to.url, { headers: { cookie: cookie ?? cookieOf(response) } });
  return followed.json();
}

/** Logs alice in, through the fast site's store. Returns her cookie. */
async function signedIn(): Promise<string> {
  const app = express();
  app.use(sessionsOf(t.store()));
  app.get("/login", logIn);
  const site = new Browser((await listen(app)).url);
  await site.get("/login");
  return site.cookies;
}

describe("a redirect", () => {
  describe.each(EXPRESSES)("of %s", (name) => {
    async function sites(add: (app: Express) => unknown): Promise<[Served, Served]> {
      const app = EXPRESS[name]() as Express;
      app.use(sessionsOf(store));
      add(app);
      return [await listen(app), await fastSite()];
    }

    test("leaves when a new session is stored", async () => {
      const [from, to] = await sites((app) => app.get("/login", logIn));
      expect(await follow("/login", from, to)).toMatchObject({ userId: "alice" });
    });

    test("leaves when a regenerated session is stored", async () => {
      const [from, to] = await sites((app) =>
        app.get("/login", (req, res, next) =>
          req.session.regenerate((error) => (error ? next(error) : logIn(req, res, next))),
        ),
      );
      expect(await follow("/login", from, to)).toMatchObject({ userId: "alice" });
    });

    test("leaves when the changes of a session are stored", async () => {
      const [from, to] = await sites((app) =>
        app.get("/cart", (req, res) => {
          req.session.cart = ["tea"];
          res.redirect("/");
        }),
      );
      expect(await follow("/cart", from, to, await signedIn())).toMatchObject({ cart: ["tea"], userId: "alice" });
    });

    test("leaves when an explicit save that was not awaited has ended", async () => {
      const [from, to] = await sites((app) =>
        app.get("/cart", (req, res) => {
          req.session.cart = ["tea"];
          req.session.save();
          res.redirect("/");
        }),
      );
      expect(await follow("/cart", from, to, await signedIn())).toMatchObject({ cart: ["tea"] });
    });

    test("whose head the route wrote leaves when the session is stored", async () => {
      const [from, to] = await sites((app) =>
        app.get("/login", (req, res) => {
          req.session.userId = "alice";
          res.writeHead(302, { location: "/", "content-length": 2 }).end("/\n");
        }),
      );
      expect(await follow("/login", from, to)).toMatchObject({ userId: "alice" });
    });
  });

  test.each(["before", "after"])("with compression %s the session leaves when the session is stored", async (order) => {
    const app = express();
    const middlewares = [compression(), sessionsOf(store)];
    app.use(order === "before" ? middlewares : middlewares.reverse());
    app.get("/login", logIn);
    expect(await follow("/login", await listen(app), await fastSite())).toMatchObject({ userId: "alice" });
  });
});

describe("a page", () => {
  test("leaves in one piece when the session is stored", async () => {
    const app = express();
    app.use(sessionsOf(store));
    app.get("/page", (req, res) => {
      req.session.cart = ["tea"];
      res.send("a page");
    });
    const { url } = await listen(app);
    const socket = connectTo(Number(new URL(url).port), "127.0.0.1");
    socket.write("GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    const pieces: string[] = [];
    socket.on("data", (data) => pieces.push(`${data}`));
    await once(socket, "close");
    expect(pieces).toHaveLength(1);
    expect(pieces[0]).toMatch(/^HTTP\/1.1 200 OK\r\n.*\r\n\r\na page$/s);
  });

  test("leaves in one piece if nothing has changed", async () => {
    const corked: number[] = [];
    class Noting extends RedisStore {
      override touch(sid: string, data: session.SessionData, ready?: (error: unknown) => void): Promise<void> {
        super.touch(sid, data, (error) => {
          corked.push((data as unknown as { req: express.Request }).req.socket.writableCorked);
          ready?.(error);
        });
        return Promise.resolve();
      }
    }
    const app = express();
    app.use(sessionsOf(new Noting({ client: t.db })));
    app.get("/read", (req, res) => void res.json(req.session.userId));
    const { url } = await listen(app);
    const response = await fetch(`${url}/read`, { headers: { cookie: await signedIn() } });
    expect(await response.json()).toBe("alice");
    expect(corked).toEqual([1]);
  });

  test.each(["before", "after"])("is whole with compression %s the session", async (order) => {
    const app = express();
    const middlewares = [compression(), sessionsOf(store)];
    app.use(order === "before" ? middlewares : middlewares.reverse());
    app.get("/page", (req, res) => {
      req.session.cart = ["tea"];
      res.send(PAGE);
    });
    const { url } = await listen(app);
    const response = await fetch(`${url}/page`);
    expect(response.headers.get("content-encoding")).not.toBeNull();
    expect(await response.text()).toBe(PAGE);
  });

  test("with compression before the session leaves when the session is stored", async () => {
    const app = express();
    app.use(compression(), sessionsOf(store));
    app.get("/page", (req, res) => {
      req.session.userId = "alice";
      res.send(PAGE);
    });
    expect(await follow("/page", await listen(app), await fastSite())).toMatchObject({ userId: "alice" });
  });

  test("leaves whole if the save fails, and the error handler gets the error", async () => {
    const app = express();
    const errors: unknown[] = [];
    app.use(sessionsOf(t.store({ userId: () => "x".repeat(200) })));
    app.get("/page", (req, res) => {
      req.session.cart = ["tea"];
      res.send(PAGE);
    });
    app.use(((error, _req, _res, _next) => void errors.push(error)) satisfies ErrorRequestHandler);
    const { url } = await listen(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    // The second response shows that the connection was released.
    for (const _ of [1, 2]) {
      const [response] = (await once(httpGet(`${url}/page`, { agent }), "response")) as [IncomingMessage];
      expect(Buffer.concat(await response.toArray()).toString()).toBe(PAGE);
    }
    agent.destroy();
    expect(errors).toMatchObject([{ name: "invalidFormat" }, { name: "invalidFormat" }]);
  });

  test("leaves whole at the deadline if Redis does not answer", async () => {
    const rs = new RedisSessions({ client: t.redis.client(), timeout: 300, wipe: 0 });
    const app = express();
    app.use(sessionsOf(new RedisStore({ rs, app: "sess" })));
    app.get("/page", (req, res) => {
      req.session.cart = ["tea"];
      res.send(PAGE);
    });
    const failed = new Promise((resolve) => {
      app.use(((error, _req, _res, _next) => resolve(error)) satisfies ErrorRequestHandler);
    });
    const { url } = await listen(app);
    await rs.wipe();
    t.redis.pause();
    try {
      expect(await (await fetch(`${url}/page`)).text()).toBe(PAGE);
    } finally {
      t.redis.resume();
    }
    expect(await failed).toMatchObject({ name: "timeout" });
  });

  test("that its browser aborts does not lose the save", async () => {
    const app = express();
    app.use(sessionsOf(store));
    const handled = new Promise<string>((resolve) => {
      app.get("/page", (req, res) => {
        req.session.cart = ["tea"];
        res.send(PAGE);
        resolve(req.sessionID);
      });
    });
    const { url } = await listen(app);
    const request = httpGet(`${url}/page`).on("error", () => {});
    const sid = await handled;
    request.destroy();
    while ((await t.store().get(sid)) === null) await sleep(20);
    expect((await fetch(`${url}/page`)).status).toBe(200);
  });

  test("of Connect, which does not tell the store the response, is whole, and the session is stored", async () => {
    const app = connect();
    app.use(sessionsOf(store) as unknown as connect.HandleFunction);
    app.use((req, res) => {
      Object.assign((req as unknown as express.Request).session, { cart: ["tea"] });
      res.setHeader("content-length", PAGE.length);
      res.end(PAGE);
    });
    const response = await fetch((await listen(app)).url);
    expect(await response.text()).toBe(PAGE);
    const cookie = `${response.headers.getSetCookie()[0]?.split(";")[0]}`;
    const seen = await fetch((await fastSite()).url, { headers: { cookie } });
    expect(await seen.json()).toMatchObject({ cart: ["tea"] });
  });

  test("is whole at each of many requests on one connection, whether they save or not", async () => {
    const app = express();
    app.use(sessionsOf(t.store()));
    app.get("/read", (req, res) => void res.json(req.session.cart));
    app.get("/write/:item", (req, res) => {
      req.session.cart = [...(req.session.cart ?? []), `${req.params.item}`];
      res.json(req.session.cart);
    });
    const { url } = await listen(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const cookie = await signedIn();
    const seen: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      for (const path of [`/write/${i}`, "/read"]) {
        const request = httpGet(url + path, { agent, headers: { cookie } });
        const [response] = (await once(request, "response")) as [IncomingMessage];
        seen.push(JSON.parse(Buffer.concat(await response.toArray()).toString()).length);
      }
    }
    agent.destroy();
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => (i >> 1) + 1));
  });
});

describe("an explicit save", () => {
  /** Streams two lines around a save. Returns the order in which the lines arrive and the save ends. */
  async function stream(first: "before" | "after"): Promise<string[]> {
    const events: string[] = [];
    const app = express();
    app.use(sessionsOf(store));
    let end = () => {};
    app.get("/stream", (req, res) => {
      end = () => res.end();
      req.session.cart = ["tea"];
      const save = () => req.session.save(() => events.push("saved"));
      const write = () => res.write("one\n");
      if (first === "before") {
        write();
        setImmediate(() => {
          save();
          res.write("two\n");
        });
      } else {
        save();
        write();
        res.write("two\n");
      }
    });
    const { url } = await listen(app);
    const cookie = await signedIn();
    const response = await head(`${url}/stream`, cookie);
    let text = "";
    response.on("data", (data) => {
      for (const part of `${data}`.trim().split("\n")) events.push(part);
      text += data;
    });
    while (!(events.includes("saved") && text.includes("two"))) await sleep(10);
    end();
    await once(response, "end");
    return events;
  }

  test("in the midst of a stream does not hold the stream back", async () => {
    expect(await stream("before")).toEqual(["one", "two", "saved"]);
  });

  test("before a stream holds it back until the save has ended, not until the stream ends", async () => {
    expect(await stream("after")).toEqual(["saved", "one", "two"]);
  });

  test("releases the response after its callback, so that the callback can end it in one piece", async () => {
    const app = express();
    app.use(sessionsOf(store));
    app.get("/save", (req, res) => {
      req.session.cart = ["tea"];
      req.session.save(() => {
        const during = req.socket.writableCorked;
        setImmediate(() => res.json({ during, after: req.socket.writableCorked }));
      });
    });
    const { url } = await listen(app);
    expect(await (await fetch(`${url}/save`)).json()).toEqual({ during: 1, after: 0 });
  });

  test("that a response did not wait for does not release the next response on the connection", async () => {
    const app = express();
    const saves: (() => void)[] = [];
    app.get("/", (req, res) => {
      const saving = new Promise<void>((resolve) => saves.push(resolve));
      holdResponse({ req }, saving);
      if (saves.length === 1) res.send("at once");
      else {
        saves[0]?.();
        setImmediate(() => res.send(`held: ${req.socket.writableCorked === 1}`));
      }
    });
    const { url } = await listen(app);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const bodies: string[] = [];
    for (const _ of [1, 2]) {
      const [response] = (await once(httpGet(url, { agent }), "response")) as [IncomingMessage];
      bodies.push(Buffer.concat(await response.toArray()).toString());
    }
    agent.destroy();
    expect(bodies).toEqual(["at once", "held: true"]);
  });

  test.each([
    ["a response without a connection, as of a WebSocket", (req: IncomingMessage) => new ServerResponse(req)],
    ["a response of another kind, as of HTTP/2", () => ({ socket: {}, writableEnded: false })],
    ["no response, as of a handshake", () => undefined],
  ])("ends if the request has %s", async (_kind, make) => {
    const app = express();
    app.use(sessionsOf(store));
    app.get("/save", (req, res) => {
      req.session.cart = ["tea"];
      Object.assign(req, { res: make(req) });
      req.session.save((error) => {
        Object.assign(req, { res });
        res.json({ error: error ?? null });
      });
    });
    const { url } = await listen(app);
    expect(await (await fetch(`${url}/save`)).json()).toEqual({ error: null });
  });
});
