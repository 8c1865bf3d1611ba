import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import session, { type SessionData } from "express-session";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call } from "../contract/store.js";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

describe("a method without a callback", () => {
  test("returns a promise of the result", async () => {
    const store = t.store();
    expect(await store.set("sid", withCookie({ color: "red" }))).toBeUndefined();
    expect(await store.get("sid")).toMatchObject({ color: "red" });
    expect(await store.touch("sid", withCookie({}))).toBeUndefined();
    expect(await store.length()).toBe(1);
    expect(await store.ids()).toEqual(["sid"]);
    expect(await store.all()).toMatchObject([{ id: "sid", color: "red" }]);
    expect(await store.destroy("sid")).toBeUndefined();
    expect(await store.get("sid")).toBeNull();
    expect(await store.clear()).toBeUndefined();
  });

  test("returns a promise that rejects with a SessionError", async () => {
    const store = t.store();
    await t.db.hset("rs:{sess}:s:~sid", "no", "text");
    const failed = { name: "redisError", code: "ERR_REDIS" };
    await expect(store.get("sid")).rejects.toMatchObject(failed);
    await expect(store.set("sid", withCookie({}))).rejects.toMatchObject(failed);
    await expect(store.destroy("sid")).rejects.toMatchObject(failed);
  });
});

test.each([undefined, null])("set and touch of %s as the session reject", async (none) => {
  const store = t.store();
  await expect(store.set("sid", none as never)).rejects.toThrow(TypeError);
  await expect(store.touch("sid", none as never)).rejects.toThrow(TypeError);
});

test("ignores a callback argument that is not a function", async () => {
  const store = t.store();
  expect(await store.set("sid", withCookie({ color: "red" }), null as never)).toBeUndefined();
  // Koa's session middleware passes its maxAge here.
  expect(await store.get("sid", 86_400_000 as never)).toMatchObject({ color: "red" });
  expect(await store.destroy("sid", null as never)).toBeUndefined();
});

test("a method with a callback returns undefined and passes its error to the callback", async () => {
  const store = t.store();
  await t.db.set("rs:{sess}:s:~sid", "no session");
  const error = await new Promise((resolve) => {
    expect(store.get("sid", resolve)).toBeUndefined();
  });
  expect(error).toMatchObject({ name: "redisError" });
});

let built: string;

beforeAll(() => {
  built = mkdtempSync(join("node_modules", ".store-callbacks-test-"));
  const flags = ["--noCheck", "--declaration", "false", "--outDir", built];
  spawnSync("npx", ["tsc", "-p", "tsconfig.build.json", ...flags]);
});

afterAll(() => rmSync(built, { recursive: true, force: true }));

const stores = {
  RedisStore: () => `import { RedisStore } from "./${built}/express-session/index.js";`,
  "connect-redis 8": () => 'import { RedisStore } from "connect-redis8";',
};

describe("an error that a callback throws", () => {
  /** Calls a method with a callback that throws. Returns how often the callback is called. */
  function run(imports: string, call: string): string {
    const program = `
      ${imports}
      import { Redis } from "ioredis";
      let calls = 0;
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
      const client = new Redis(${t.redis.port});
      const store = new RedisStore({ client });
      const data = { cookie: { originalMaxAge: null }, color: "red" };
      function done() {
        calls++;
        setTimeout(() => { console.log("calls", calls); client.disconnect(); }, 50);
        throw new Error("the callback's own");
      }
      ${call}`;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
      timeout: 20_000,
    });
    return child.stdout + child.stderr;
  }

  test.each([
    "store.get('sid', done)",
    "store.set('sid', data, done)",
    "store.touch('sid', data, done)",
    "store.destroy('sid', done)",
    "store.length(done)",
    "store.ids(done)",
    "store.all(done)",
    "store.clear(done)",
  ])("is an uncaught exception, and the callback is not called again: %s", (call) => {
    expect(run(stores.RedisStore(), call)).toBe("uncaught the callback's own\ncalls 1\n");
  });

  test("is an uncaught exception, and the callback is not called again, if the call failed", async () => {
    await t.db.set("rs:{sess}:s:~sid", "no session");
    expect(run(stores.RedisStore(), "store.get('sid', done)")).toBe("uncaught the callback's own\ncalls 1\n");
  });

  test("makes connect-redis 8, the control, call back twice", () => {
    expect(run(stores["connect-redis 8"](), "store.set('sid', data, done)")).toContain("calls 2");
  });
});

test("a rejection that nobody handles does not end the process while Redis is unreachable", () => {
  const program = `
    ${stores.RedisStore()}
    import { Redis } from "ioredis";
    process.on("uncaughtException", (error) => console.log("uncaught", error.message));
    process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
    const client = new Redis(1, { enableOfflineQueue: false, retryStrategy: () => null, lazyConnect: true });
    client.on("error", () => {});
    const store = new RedisStore({ client });
    const data = { cookie: { originalMaxAge: null }, color: "red" };
    for (const call of [
      () => store.get("sid"),
      () => store.set("sid", data),
      () => store.touch("sid", data),
      () => store.destroy("sid"),
      () => store.clear(),
      () => store.length(),
      () => store.ids(),
      () => store.all(),
    ]) {
      call();
      await call().then(() => console.log("resolved"), ({ name }) => console.log(name));
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    console.log("alive");`;
  const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
    timeout: 20_000,
  });
  expect(child.stdout + child.stderr).toBe(`${"unavailable\n".repeat(8)}alive\n`);
});

test("many middlewares on one store cause no MaxListenersExceededWarning", async () => {
  const warnings: string[] = [];
  const listen = ({ message }: Error) => warnings.push(message);
  process.on("warning", listen);
  const store = t.store();
  for (let i = 0; i < 30; i++) session({ store, secret: "keyboard cat", resave: false, saveUninitialized: false });
  await new Promise((resolve) => setTimeout(resolve, 20));
  process.off("warning", listen);
  expect(warnings).toEqual([]);
  expect(store.listenerCount("disconnect")).toBe(30);
});

describe("an async Fastify handler that replies without returning", () => {
  /** Requests the paths with one browser. Returns the path, status and body or location of each, and uncaught errors. */
  function visit(imports: string, routes: string, paths: string[]): string[] {
    const program = `
      ${imports}
      import { Redis } from "ioredis";
      import Fastify from "fastify";
      import fastifyCookie from "@fastify/cookie";
      import fastifySession from "@fastify/session";
      process.on("uncaughtException", (error) => console.log("uncaught", error.code));
      process.on("unhandledRejection", (error) => console.log("unhandled", error.code));
      const client = new Redis(${t.redis.port});
      const app = Fastify();
      await app.register(fastifyCookie);
      await app.register(fastifySession, {
        secret: "a secret with a length of at least 32 characters",
        cookie: { secure: false, maxAge: 60_000 },
        store: new RedisStore({ client }),
      });
      ${routes}
      const url = await app.listen({ port: 0, host: "127.0.0.1" });
      let cookie = "";
      for (const path of ${JSON.stringify(paths)}) {
        const headers = cookie === "" ? {} : { cookie };
        const answer = await fetch(url + path, { headers, redirect: "manual", signal: AbortSignal.timeout(3000) });
        cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? cookie;
        console.log(path, answer.status, answer.headers.get("location") ?? (await answer.text()));
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      await app.close();
      client.disconnect();`;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
      encoding: "utf8",
      timeout: 20_000,
    });
    return (child.stdout + child.stderr).trim().split("\n");
  }

  const handlers = `
    app.get("/send", async ({ session }, reply) => { session.n = (session.n ?? 0) + 1; reply.send({ n: session.n }); });
    app.get("/same", async ({ session }, reply) => { reply.send({ n: session.n }); });
    app.get("/redirect", async ({ session }, reply) => { session.color = "red"; reply.redirect("/there"); });
    app.get("/regenerate", async (req, reply) => {
      await req.session.regenerate();
      req.session.n = 10;
      reply.send({ n: req.session.n });
    });
    app.get("/move", async (req, reply) => { await req.session.regenerate(); reply.redirect("/there"); });`;

  test.each(Object.keys(stores) as (keyof typeof stores)[])("is answered, and the process survives: %s", (name) => {
    const paths = ["/send", "/send", "/same", "/redirect", "/regenerate", "/send", "/move", "/same"];
    expect(visit(stores[name](), handlers, paths)).toEqual([
      '/send 200 {"n":1}',
      '/send 200 {"n":2}',
      '/same 200 {"n":2}',
      "/redirect 302 /there",
      '/regenerate 200 {"n":10}',
      '/send 200 {"n":11}',
      "/move 302 /there",
      "/same 200 {}",
    ]);
  });

  test.each(Object.keys(stores) as (keyof typeof stores)[])(
    "gets 500 for an invalid response, and the process survives: %s",
    (name) => {
      const routes = `
        app.get("/header", async (req, reply) => { reply.header("x-name", "line\\nfeed"); return "hello"; });
        app.get("/type", async (req, reply) => { reply.type("text/plain"); return { no: "text" }; });`;
      const [header, type, ...rest] = visit(stores[name](), routes, ["/header", "/type"]);
      expect(header).toMatch(/^\/header 500 /);
      expect(type).toMatch(/^\/type 500 /);
      expect(rest).toEqual([]);
    },
  );
});

test("a save without changes waits for the save under way and fails with it", async () => {
  const store = t.store();
  await store.set("sid", withCookie({}));
  const one = (await call<SessionData>((ready) => store.load("sid", ready))) as SessionData & { color?: string };
  one.color = "red";
  const order: string[] = [];
  const note = (name: string) => () => order.push(name);
  await Promise.all([
    store.set("sid", one).then(note("save")),
    store.set("sid", one).then(note("same")),
    store.touch("sid", one).then(note("touch")),
  ]);
  expect(order).toEqual(["save", "same", "touch"]);

  // A session of @fastify/session that was never saved.
  const first = Object.assign(Object.create({}), withCookie({}));
  order.length = 0;
  await Promise.all([
    store.set("first", first).then(note("first save")),
    store.set("first", first).then(note("same")),
    store.touch("first", first).then(note("touch")),
  ]);
  expect(order).toEqual(["first save", "same", "touch"]);

  one.color = "blue";
  await t.db.set("rs:{sess}:s:~sid", "no session");
  const saves = await Promise.allSettled([store.set("sid", one), store.set("sid", one), store.touch("sid", one)]);
  expect(saves.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
});
