import { once } from "node:events";
import { createServer, type Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Server as SocketServer } from "socket.io";
import { io as connectIo } from "socket.io-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { Sessions } from "../../src/middleware/index.js";
import type { Data, Req } from "./support/servers.js";
import { outcome, type Site, useSites } from "./support/site.js";

const t = useSites();

let auth: Sessions<Data>;
let site: Site;
let server: Server;

beforeEach(async () => {
  auth = t.auth();
  site = await t.open({ "/login": (req) => req.rs.create("alice") }, { use: [auth] });
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterEach(async () => {
  server.close();
  await once(server, "close");
});

function port(): number {
  return (server.address() as AddressInfo).port;
}

/** Responses that are never sent. Users of ws pass the second one to express-session. */
const responses: [string, (req: Req) => ServerResponse][] = [
  ["a response of its own", (req) => new ServerResponse(req)],
  ["an empty object", () => ({}) as ServerResponse],
];

describe.each(responses)("ws, with %s", (_name, responseFor) => {
  /** As in docs/recipes/sockets.md. Each accepted socket sends the result of `greet`. */
  function serve(greet: (req: Req) => Promise<unknown>): void {
    const sockets = new WebSocketServer({ noServer: true });
    server.on("upgrade", (bare, socket, head) => {
      const req = bare as Req;
      auth(req, responseFor(req), async () => {
        const session = await req.rs.get();
        if (session === null) return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
        const greeting = await greet(req);
        sockets.handleUpgrade(req, socket, head, (opened) => opened.send(JSON.stringify(greeting)));
      });
    });
  }

  /** Opens a socket with this cookie and returns its first message. */
  async function open(cookie: string): Promise<unknown> {
    const socket = new WebSocket(`ws://127.0.0.1:${port()}`, { headers: { cookie } });
    const [data] = await once(socket, "message");
    socket.terminate();
    return JSON.parse(String(data));
  }

  test("gives a socket the session of its cookie, which it can write and see ended", async () => {
    serve(async (req) => {
      const written = await req.rs.set({ seat: "12A" });
      await t.rs.killsoid({ app: "webapp", id: "alice" });
      const later = await t.rs.get({ app: "webapp", token: `${req.rs.token}`, touch: false });
      return { id: written?.id, d: written?.d, later };
    });
    const browser = site.browser();
    await browser.post("/login");
    expect(await open(browser.cookies)).toEqual({ id: "alice", d: { seat: "12A" }, later: null });
  });

  test("refuses a socket with an ended session, an invalid cookie or none", async () => {
    serve(async () => "let in");
    const browser = site.browser();
    await browser.post("/login");
    await t.rs.killall({ app: "webapp" });
    for (const cookie of [browser.cookies, "rs=nonsense", ""]) {
      await expect(open(cookie)).rejects.toThrow("Unexpected server response: 401");
    }
  });
});

test("throws headersSent from create, rotate and kill, because no response can set the cookie", async () => {
  const browser = site.browser();
  await browser.post("/login");
  const answers = new Promise((resolve) => {
    server.on("upgrade", (bare, socket) => {
      const req = bare as Req;
      auth(req, {} as ServerResponse, async () => {
        const calls = [req.rs.create("bob"), req.rs.rotate(), req.rs.kill(), req.rs.killAll()];
        resolve(Promise.all(calls.map(outcome)));
        socket.destroy();
      });
    });
  });
  const socket = new WebSocket(`ws://127.0.0.1:${port()}`, { headers: { cookie: browser.cookies } });
  socket.on("error", () => {});
  expect(await answers).toEqual(Array(4).fill(expect.objectContaining({ error: "headersSent" })));
  expect((await t.rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(1);
  expect((await t.rs.soid({ app: "webapp", id: "bob" })).sessions).toHaveLength(0);
});

test("works as middleware of socket.io's engine", async () => {
  const io = new SocketServer(server);
  io.engine.use(auth);
  io.use(async (socket, next) => {
    const session = await auth.of(socket.request).get();
    if (session === null) return next(new Error("Not signed in"));
    socket.data.user = session.id;
    next();
  });
  io.on("connection", (socket) => socket.emit("user", socket.data.user));
  const browser = site.browser();
  await browser.post("/login");

  for (const transports of [["websocket"], ["polling"]]) {
    const client = connectIo(`http://127.0.0.1:${port()}`, { transports, extraHeaders: { cookie: browser.cookies } });
    expect(await new Promise((resolve) => client.on("user", resolve))).toBe("alice");
    client.disconnect();
    const stranger = connectIo(`http://127.0.0.1:${port()}`, { transports, forceNew: true });
    const refused = await new Promise<Error>((resolve) => stranger.on("connect_error", resolve));
    expect(refused.message).toBe("Not signed in");
    stranger.disconnect();
  }
  io.engine.close();
});
