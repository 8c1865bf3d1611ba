// A server of the HTTP suite, a separate process: `node server.js <kind> <port of Redis>`. All kinds do the same:
//   POST /login   creates a session of a user with five keys of data
//   GET  /read    returns two keys of the session
//   GET  /write   returns the same, and writes one key
import express from "express";
import session from "express-session";
import { Redis } from "ioredis";
import * as names from "./names.js";
import { connectRedis, connectRedis8, connectRedisOn5, nodeRedis } from "./peers.js";
import { RedisSessions, RedisStore, sessions } from "./product.js";
import { APP, DATA, expressSession } from "./sessions.js";

const [kind, redisPort] = [process.argv[2], Number(process.argv[3])];
const ioredis = () => new Redis({ port: redisPort, host: "127.0.0.1" });

const app = express();
let count = 0;

const kinds = {
  [names.NO_SESSION]() {
    app.post("/login", (_req, res) => res.end());
    app.get(["/read", "/write"], (_req, res) => res.json({ name: DATA.name, theme: DATA.theme }));
  },
  [names.MIDDLEWARE]: () => useMiddleware(ioredis()),
  [names.MIDDLEWARE_CACHED]: () => useMiddleware(ioredis(), { cachetime: 30 }),
  [names.MIDDLEWARE_ON_NODE_REDIS]: async () => useMiddleware(await nodeRedis(redisPort)),
  [names.STORE]: () => useStore(new RedisStore({ client: ioredis() })),
  [names.STORE_ON_NODE_REDIS]: async () => useStore(new RedisStore({ client: await nodeRedis(redisPort) })),
  [names.CONNECT_REDIS]: async () => useStore(await connectRedis(redisPort)),
  [names.CONNECT_REDIS_ON_5]: async () => useStore(await connectRedisOn5(redisPort)),
  [names.CONNECT_REDIS_8]: () => useStore(connectRedis8(ioredis())),
  [names.MEMORY_STORE]: () => useStore(undefined),
  [names.EMPTY_STORE]: () => useStore(new EmptyStore()),

  async [names.CONNECT_REDIS_SESSIONS]() {
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

/**
 * Returns the same session for each ID. Like Redis, it answers after a millisecond, and the calls that came together at once:
 * Node serves requests faster that continue together.
 */
class EmptyStore extends session.Store {
  #waiting = [];
  get(_sid, callback) {
    this.#answer(() => callback(null, expressSession()));
  }
  set(_sid, _session, callback) {
    this.#answer(callback);
  }
  touch(_sid, _session, callback) {
    this.#answer(callback);
  }
  #answer(callback) {
    if (this.#waiting.push(callback) > 1) return;
    setTimeout(() => {
      for (const one of this.#waiting.splice(0)) one();
    }, 1);
  }
}

function useMiddleware(client, options) {
  app.use(
    sessions({ rs: new RedisSessions({ client, ...options }), app: APP, secret: "a secret of the bench, long enough" }),
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
}

function useStore(store) {
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
