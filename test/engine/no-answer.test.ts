import { once } from "node:events";
import express, { type ErrorRequestHandler } from "express";
import { expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { sessions } from "../../src/middleware/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";

/** Creates an engine whose client is inside a MULTI without pipeline. */
async function withinMulti(): Promise<RedisSessions> {
  const client = t.redis.client();
  await client.multi({ pipeline: false });
  return new RedisSessions({ client, wipe: 0 });
}

test("a client inside MULTI: every call rejects with an error that says so", async () => {
  const { token } = await t.create();
  const rs = await withinMulti();
  const calls: Record<string, () => Promise<unknown>> = {
    create: () => rs.create({ app, id: "alice", ip: "::1" }),
    get: () => rs.get({ app, token }),
    set: () => rs.set({ app, token, d: { a: 1 } }),
    kill: () => rs.kill({ app, token }),
    killsoid: () => rs.killsoid({ app, id: "alice" }),
    killall: () => rs.killall({ app }),
    soid: () => rs.soid({ app, id: "alice" }),
    soapp: () => rs.soapp({ app, dt: 60 }),
    activity: () => rs.activity({ app, dt: 60 }),
    rotate: () => rs.rotate({ app, token }),
    wipe: () => rs.wipe(),
    ping: () => rs.ping(),
    "several at once": () => Promise.all(Array.from({ length: 5 }, () => rs.get({ app, token }))),
  };
  for (const [name, call] of Object.entries(calls)) {
    await expect(call(), name).rejects.toMatchObject({ name: "redisError", hint: expect.stringContaining("MULTI") });
  }
  const store = new RedisStore({ rs, app });
  await expect(store.get("sid")).rejects.toMatchObject({ name: "redisError" });
  await expect(store.length()).rejects.toMatchObject({ name: "redisError" });
});

test("the middleware keeps the cookie", async () => {
  const secret = "s".repeat(32);
  const serve = async (rs: RedisSessions) => {
    const server = express()
      .use(sessions({ rs, app, secret, cookie: { secure: false } }))
      .post("/login", async (req, res) => {
        await req.rs.create("alice");
        res.end();
      })
      .get("/", async (req, res) => {
        res.json(await req.rs.get());
      })
      .use(((_error, _req, res, _next) => {
        res.status(500).end();
      }) as ErrorRequestHandler)
      .listen(0);
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    return { server, url: `http://127.0.0.1:${port}` };
  };
  const [good, bad] = [await serve(t.rs), await serve(await withinMulti())];
  try {
    const signedIn = await fetch(`${good.url}/login`, { method: "POST" });
    const [cookie = ""] = signedIn.headers.getSetCookie().map((one) => one.split(";")[0] as string);
    expect(cookie).not.toBe("");
    const answer = await fetch(bad.url, { headers: { cookie } });
    expect(answer.status).toBe(500);
    expect(answer.headers.getSetCookie()).toEqual([]);
  } finally {
    for (const { server } of [good, bad]) {
      server.closeAllConnections();
      server.close();
    }
  }
});
