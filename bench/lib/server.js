// A server of the HTTP suite, a separate process: `node server.js <kind> <port of Redis>`. All kinds do the same:
//   POST /login   creates a session of a user with five keys of data
//   GET  /read    returns two keys of the session
//   GET  /write   returns the same, and writes one key
import express from "express";
import { Redis } from "ioredis";
import { APP, DATA } from "./sessions.js";

const [kind, redisPort] = [process.argv[2], Number(process.argv[3])];
const ioredis = () => new Redis({ port: redisPort, host: "127.0.0.1" });

const app = express();
let count = 0;

const kinds = {
  "no session"() {
    app.post("/login", (_req, res) => res.end());
    app.get(["/read", "/write"], (_req, res) => res.json({ name: DATA.name, theme: DATA.theme }));
  },

  async native() {
    const { RedisSessions, sessions } = await import("./product.js");
    app.use(
      sessions({
        rs: new RedisSessions({ client: ioredis() }),
        app: APP,
        secret: "a secret of the bench, long enough",
      }),
    );
    app.post("/login", async (req, res) => {
      await req.rs.create(`user${count++}`, { d: DATA });
      res.end();
    });
    app.get("/read", async (req, res) => {
      const { d } = await req.rs.get();
      res.json({ name: d.name, theme: d.theme });
    });
    app.get("/write", async (req, res) => {
      const { d } = await req.rs.set({ visits: count++ });
      res.json({ name: d.name, theme: d.theme });
    });
    app.get("/get-and-write", async (req, res) => {
      const { d } = await req.rs.get();
      await req.rs.set({ visits: count++ });
      res.json({ name: d.name, theme: d.theme });
    });
  },

  async RedisStore() {
    const { RedisStore } = await import("./product.js");
    await expressSession(new RedisStore({ client: ioredis() }));
  },

  async "connect-redis 10"() {
    const [{ createClient }, { RedisStore }] = await Promise.all([import("redis"), import("connect-redis")]);
    const client = await createClient({ socket: { port: redisPort, host: "127.0.0.1" } }).connect();
    await expressSession(new RedisStore({ client, prefix: "cr10:" }));
  },

  async "connect-redis 8"() {
    const { RedisStore } = await import("connect-redis-8");
    await expressSession(new RedisStore({ client: ioredis(), prefix: "cr8:" }));
  },

  async MemoryStore() {
    await expressSession(undefined);
  },

  async "connect-redis-sessions 2"() {
    const [{ default: cookies }, { default: crs }] = await Promise.all([
      import("cookie-parser"),
      import("connect-redis-sessions"),
    ]);
    app.use(cookies());
    app.use(crs({ app: APP, port: redisPort, host: "127.0.0.1", namespace: "crs", ttl: 7200 }));
    app.post("/login", (req, res, next) => {
      req.session.upgrade(`user${count++}`, (error) => {
        if (error) return next(error);
        Object.assign(req.session, DATA);
        res.end();
      });
    });
    app.get("/read", (req, res) => res.json({ name: req.session.name, theme: req.session.theme }));
    app.get("/write", (req, res) => {
      req.session.visits = count++;
      res.json({ name: req.session.name, theme: req.session.theme });
    });
  },
};

async function expressSession(store) {
  const { default: session } = await import("express-session");
  app.use(session({ store, secret: "a secret of the bench", resave: false, saveUninitialized: false }));
  app.post("/login", (req, res) => {
    Object.assign(req.session, DATA, { userId: `user${count++}` });
    res.end();
  });
  app.get("/read", (req, res) => res.json({ name: req.session.name, theme: req.session.theme }));
  app.get("/write", (req, res) => {
    req.session.visits = count++;
    res.json({ name: req.session.name, theme: req.session.theme });
  });
}

await kinds[kind]();
const server = app.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send({ cpu: user + system });
});
// The benchmark has ended or was stopped.
process.on("disconnect", () => process.exit());
