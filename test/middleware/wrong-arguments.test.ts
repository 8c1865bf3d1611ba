import express from "express";
import Fastify from "fastify";
import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { SessionError } from "../../src/index.js";
import { type SessionsOptions, sessions } from "../../src/middleware/index.js";
import type { Handler } from "./support/servers.js";
import { outcome, SECRET, useSites } from "./support/site.js";

const t = useSites();
const lazy = new Redis({ lazyConnect: true });

afterAll(() => lazy.disconnect());

/** Anything that JavaScript may call in a wrong way. */
type Untyped = (...args: unknown[]) => unknown;

describe("sessions", () => {
  const call = 'app.use(sessions({ rs, app: "webapp", secret }))';

  test.each<[string, unknown]>([
    ["a string", "webapp"],
    ["a function", express()],
    ["a Redis client", lazy],
  ])("names what it was given instead of options: %s", (kind, options) => {
    const make = () => sessions(options as SessionsOptions);
    expect(make).toThrow(SessionError);
    expect(make).toThrow(`sessions takes an object of options, not ${kind}: ${call}`);
  });

  test("names an engine that it was given instead of options", () => {
    expect(() => sessions(t.rs as unknown as SessionsOptions)).toThrow(`not an engine: ${call}`);
  });

  test.each([
    ["client", "It belongs to the engine: rs: new RedisSessions({ client })"],
    ["namespace", "It belongs to the engine: rs: new RedisSessions({ namespace })"],
    ["maxAge", "It belongs in cookie: { maxAge }"],
    ["name", "It belongs in cookie: { name }"],
    ["store", "The engine is the store: rs: new RedisSessions({ client })"],
  ])("says where the option %s belongs", (name, remedy) => {
    const make = () => sessions({ [name]: 1, app: "webapp", secret: SECRET } as unknown as SessionsOptions);
    expect(make).toThrow(`sessions has no option "${name}". ${remedy}`);
  });
});

describe("Express answers with the right call when", () => {
  async function answerOf(use: unknown): Promise<string> {
    const app = express();
    app.use(use as express.RequestHandler);
    app.use(((error, _req, res, _next) => {
      res.send(error.message);
    }) as express.ErrorRequestHandler);
    const server = app.listen(0);
    const { port } = server.address() as { port: number };
    const answer = await fetch(`http://127.0.0.1:${port}/`);
    server.closeAllConnections();
    server.close();
    return answer.text();
  }

  test("app.use is passed the factory", async () => {
    expect(await answerOf(sessions)).toBe(
      'sessions takes an object of options, not a request: app.use(sessions({ rs, app: "webapp", secret }))',
    );
  });

  test("auth.required is not called", async () => {
    expect(await answerOf(t.auth().required)).toBe(
      'required takes an object of options, not a request: app.get("/account", auth.required({ redirect: "/login" }), …)',
    );
  });

  test("app.use is passed auth.fastify", async () => {
    expect(await answerOf(t.auth().fastify)).toBe(
      "auth.fastify takes a Fastify app, not a request: app.register(auth.fastify)",
    );
  });
});

test("required says how to pass a URL", () => {
  const required = t.auth().required as Untyped;
  expect(() => required("/login")).toThrow('not a string: app.get("/account", auth.required({ redirect: "/login" })');
});

test.each([
  ["nothing", "undefined", undefined],
  ["a Fastify app", "a Fastify app", { addHook() {}, register() {} }],
])("the middleware says that it was called with %s", (_what, kind, given) => {
  const auth = t.auth() as unknown as Untyped;
  const refusal = `The middleware takes a request, not ${kind}: app.use(auth); in Fastify, app.register(auth.fastify)`;
  expect(() => auth(given)).toThrow(refusal);
  expect(() => (t.auth().optional as unknown as Untyped)(given)).toThrow(refusal);
});

test.each(["the middleware", "auth.optional", "auth.required()"] as const)(
  "Fastify's ready rejects with the right call when app.register is passed %s",
  async (name) => {
    const auth = t.auth();
    const plugins = { "the middleware": auth, "auth.optional": auth.optional, "auth.required()": auth.required() };
    const app = Fastify();
    app.register(plugins[name] as never);
    await expect(app.ready()).rejects.toMatchObject({
      name: "invalidValue",
      message: expect.stringContaining("not a Fastify app: app.use(auth); in Fastify, app.register(auth.fastify)"),
    });
  },
);

describe("auth.admin", () => {
  test("takes a user's id in the place of the options", async () => {
    const { admin } = t.auth();
    const create = (id: string | number) => t.rs.create({ app: "webapp", id, ip: "::1" });
    const [first, second] = [await create("alice"), await create("alice")];
    expect((await admin.soid("alice")).sessions).toHaveLength(2);
    expect((await admin.soid("alice", { limit: 1 })).sessions).toHaveLength(1);
    expect(await admin.killsoid("alice", { except: second.ref })).toEqual({ kill: 1 });
    expect((await admin.soid("alice")).sessions).toMatchObject([{ ref: second.ref }]);
    expect(await admin.kill({ ref: first.ref })).toEqual({ kill: 0 });
    await create(42);
    expect((await admin.soid(42)).sessions).toMatchObject([{ id: "42" }]);
    expect(await admin.killsoid(42)).toEqual({ kill: 1 });
  });

  test("refuses an except that is undefined beside an id", async () => {
    const killsoid = t.auth().admin.killsoid as Untyped;
    await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    await expect(killsoid("alice", { except: undefined })).rejects.toMatchObject({ name: "invalidValue" });
    await expect(killsoid("alice", { app: "other" })).rejects.toMatchObject({ name: "invalidValue" });
    expect((await t.auth().admin.soid("alice")).sessions).toHaveLength(1);
  });

  test.each([
    ["soid", ["alice", 10], "soid takes an object of options, not a number: auth.admin.soid(id, { limit })"],
    ["soid", ["alice", () => {}], "soid takes an object of options, not a function: auth.admin.soid(id, { limit })"],
    [
      "killsoid",
      ["alice", "r"],
      "killsoid takes an object of options, not a string: auth.admin.killsoid(id, { except })",
    ],
    ["set", ["r"], "set takes an object of options, not a string: auth.admin.set({ ref, d })"],
    ["setAll", [["alice"]], "setAll takes an object of options, not an array: auth.admin.setAll(id, d)"],
    ["setAll", ["alice"], "No d supplied"],
    ["touch", [600], "touch takes an object of options, not a number: auth.admin.touch({ ref, ttl })"],
    ["increment", ["n"], "increment takes an object of options, not a string: auth.admin.increment({ ref, key })"],
    ["kill", ["x".repeat(27)], "kill takes an object of options, not a string: auth.admin.kill({ ref })"],
    ["soapp", [600], "soapp takes an object of options, not a number: auth.admin.soapp({ dt })"],
    ["activity", ["600"], "activity takes an object of options, not a string: auth.admin.activity({ dt })"],
    [
      "killall",
      ["alice"],
      "killall takes an object of options, not a string: auth.admin.killall(), or auth.admin.kill",
    ],
    ["killsoid", [["alice"]], "killsoid takes an object of options, not an array: auth.admin.killsoid(id, { except })"],
  ])("%s(%j) shows the right call", async (method, args, message) => {
    await t.rs.create({ app: "webapp", id: "alice", ip: "::1" });
    const { admin } = t.auth();
    const call = admin[method as keyof typeof admin] as Untyped;
    await expect(call(...args)).rejects.toMatchObject({
      name: message.startsWith("No ") ? "missingParameter" : "invalidValue",
      message: expect.stringContaining(message),
    });
    expect((await admin.soapp({ dt: 60 })).sessions).toHaveLength(1);
  });
});

describe("req.rs shows the right call for", () => {
  test.each<[string, unknown[], string]>([
    ["get", ["cart"], "get takes an object of options, not a string: req.rs.get({ touch: false })"],
    ["set", [{ a: 1 }, false], "set takes an object of options, not a boolean: req.rs.set(d, { touch: false })"],
    [
      "increment",
      ["n", 1, 5],
      "increment takes an object of options, not a number: req.rs.increment(key, by, { max })",
    ],
    ["touch", [600], "touch takes an object of options, not a number: req.rs.touch({ ttl })"],
    ["create", ["alice", 3600], "create takes an object of options, not a number: req.rs.create(id, { ttl })"],
    ["rotate", [10], "rotate takes an object of options, not a number: req.rs.rotate({ grace })"],
    ["rotate", [{ grac: 5 }], 'rotate has no option "grac". Did you mean "grace"?'],
    ["devices", [10], "devices takes an object of options, not a number: req.rs.devices({ limit })"],
    ["kill", ["x".repeat(27)], "kill takes no argument, not a string: await req.rs.kill(); to end another session,"],
    ["kill", [{ ref: "x" }], "kill takes no argument, not an object: await req.rs.kill(); to end another session,"],
    ["killOthers", [() => {}], "killOthers takes no argument, not a function: await req.rs.killOthers()"],
    ["killAll", ["bob"], "killAll takes no argument, not a string: await req.rs.killAll(); for another user,"],
  ])("%s(%j)", async (method, args, message) => {
    const call: Handler = (req) => {
      const rs = req.rs as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return outcome(rs[method]?.(...args) ?? Promise.reject(new Error(method)));
    };
    const site = await t.open({
      "/login": (req) => req.rs.create("alice"),
      "/call": call,
      "/me": (req) => req.rs.get(),
    });
    const browser = site.browser();
    const wanted = { error: "invalidValue", message: expect.stringContaining(message) };
    expect((await browser.post("/call")).body).toMatchObject(wanted);
    await browser.post("/login");
    expect((await browser.post("/call")).body).toMatchObject(wanted);
    expect((await browser.get("/me")).body).toMatchObject({ id: "alice" });
  });
});
