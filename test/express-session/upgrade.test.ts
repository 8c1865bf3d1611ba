import { once } from "node:events";
import { type IncomingMessage, ServerResponse } from "node:http";
import { connect } from "node:net";
import express, { type Request, type Response } from "express";
import session from "express-session";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RedisStore } from "../../src/express-session/index.js";
import { call } from "../contract/store.js";
import { Browser, type Served, serve } from "./support/browser.js";
import { done } from "./support/site.js";
import { useStores } from "./support/stores.js";

const t = useStores();

let store: RedisStore;
let site: Served;
let browser: Browser;
let upgraded: Promise<Request>;

beforeEach(async () => {
  store = t.store();
  const sessions = session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false });
  const app = express();
  app.use(sessions);
  app.get("/login", (req, res) => {
    req.session.userId = "alice";
    res.json({});
  });
  site = await serve(app);
  // WebSocket servers do this without Express: a plain request, and a response that is never sent.
  upgraded = new Promise((resolve, reject) => {
    site.server.on("upgrade", (req: IncomingMessage, socket) => {
      const bare = req as Request;
      sessions(bare, new ServerResponse(req) as Response, (error?: unknown) => {
        socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        if (error) reject(error);
        else resolve(bare);
      });
    });
  });
  browser = new Browser(site.url);
  await browser.get("/login");
});

afterEach(() => site.close());

/** Requests an upgrade. Returns the request as the server sees it. */
async function upgrade(cookie: string): Promise<Request> {
  const socket = connect(Number(new URL(site.url).port), "127.0.0.1");
  socket.write(
    `GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nCookie: ${cookie}\r\n\r\n`,
  );
  const req = await upgraded;
  socket.resume();
  await once(socket, "close");
  return req;
}

test("the middleware loads the session of an upgrade request", async () => {
  const req = await upgrade(browser.cookies);
  expect(req.sessionID).toBe(browser.sid);
  expect(req.session.userId).toBe("alice");
});

test("an unknown cookie gets a new session, which is not stored", async () => {
  const req = await upgrade("connect.sid=nonsense");
  expect(req.session.userId).toBeUndefined();
  expect(await store.ids()).toEqual([browser.sid]);
});

test("a long-lived socket reloads, changes and saves its session, and overwrites nothing", async () => {
  const req = await upgrade(browser.cookies);
  req.session.cart = ["from the socket"];
  const other = await call<session.SessionData>((ready) => store.load(browser.sid, ready));
  await store.set(browser.sid, Object.assign(other as session.SessionData, { note: "from a page" }));
  await done((ready) => req.session.save(ready));
  await done((ready) => req.session.reload(ready));
  expect(req.session).toMatchObject({ userId: "alice", cart: ["from the socket"], note: "from a page" });
});

test("reload tells a socket that its session was ended, and the socket cannot revive it", async () => {
  const req = await upgrade(browser.cookies);
  await store.killsoid("alice");
  req.session.cart = ["tea"];
  await done((ready) => req.session.save(ready));
  await expect(done((ready) => req.session.reload(ready))).rejects.toThrow("failed to load session");
  expect(await store.get(browser.sid)).toBeNull();
});

test("a session that is loaded by its id alone can be changed, saved and destroyed", async () => {
  const loaded = await call<session.SessionData>((ready) => store.load(browser.sid, ready));
  const typed = loaded as session.Session & session.SessionData;
  typed.cart = ["tea"];
  await done((ready) => typed.save(ready));
  expect(await store.get(browser.sid)).toMatchObject({ userId: "alice", cart: ["tea"] });
  await done((ready) => typed.destroy(ready));
  expect(await store.get(browser.sid)).toBeNull();
  expect(await call((ready) => store.load(browser.sid, ready))).toBeUndefined();
});
