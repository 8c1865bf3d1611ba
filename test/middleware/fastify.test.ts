import fastifyCookie from "@fastify/cookie";
import Fastify, { type FastifyInstance } from "fastify";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RequestSession, Sessions } from "../../src/middleware/index.js";
import type { Data } from "./support/servers.js";
import { useSites } from "./support/site.js";

declare module "fastify" {
  interface FastifyRequest {
    rs: RequestSession<Data>;
  }
}

const t = useSites();

let auth: Sessions<Data>;
let app: FastifyInstance;

beforeEach(() => {
  auth = t.auth();
  app = Fastify();
  app.register(auth.fastify);
});

afterEach(() => app.close());

/** Returns the names of the cookies that a response sets. */
async function cookiesOf(url: string): Promise<string[]> {
  const { headers } = await app.inject({ method: "POST", url });
  return [headers["set-cookie"] ?? []].flat().map((cookie) => cookie.split("=")[0] ?? "");
}

/** Signs in and returns the cookies. */
async function signIn(): Promise<string> {
  const { cookies } = await app.inject({ method: "POST", url: "/login" });
  return cookies.map(({ name, value }) => `${name}=${value}`).join("; ");
}

test("sends the session cookie and Fastify's own cookies, set in any order", async () => {
  app.register(fastifyCookie);
  app.post("/before", async (req, reply) => {
    reply.header("Set-Cookie", "csrf=1").header("Set-Cookie", "lang=de");
    await req.rs.create("alice");
  });
  app.post("/after", async (req, reply) => {
    await req.rs.create("alice");
    reply.setCookie("csrf", "1").header("Set-Cookie", "lang=de");
  });
  app.post("/alone", async (req) => {
    await req.rs.create("alice");
  });
  app.post("/failing", async (req) => {
    await req.rs.create("alice");
    throw new Error("afterwards");
  });
  expect((await cookiesOf("/before")).sort()).toEqual(["csrf", "lang", "rs"]);
  expect((await cookiesOf("/after")).sort()).toEqual(["csrf", "lang", "rs"]);
  expect(await cookiesOf("/alone")).toEqual(["rs"]);
  expect(await cookiesOf("/failing")).toEqual(["rs"]);
});

test("adds rs to routes of other plugins, and to routes declared before it", async () => {
  app = Fastify();
  app.get("/early", (req) => req.rs.get());
  app.register(auth.fastify);
  app.register(async (inner) => {
    inner.post("/login", async (req) => {
      await req.rs.create("alice");
    });
    inner.get("/inner", (req) => req.rs.get());
  });
  const cookie = await signIn();
  for (const url of ["/early", "/inner"]) {
    expect((await app.inject({ url, headers: { cookie } })).json()).toMatchObject({ id: "alice" });
  }
});

test("lets a preHandler refuse requests without a session", async () => {
  app.addHook("onRequest", async (_req, reply) => void reply.header("Access-Control-Allow-Origin", "*"));
  app.post("/login", async (req) => {
    await req.rs.create("alice");
  });
  app.get(
    "/account",
    {
      preHandler: async (req, reply) => {
        if ((await req.rs.get()) === null) return reply.code(401).send({ error: "Not signed in" });
      },
    },
    (req) => req.rs.devices(),
  );
  const refused = await app.inject("/account");
  expect(refused).toMatchObject({ statusCode: 401, headers: { "access-control-allow-origin": "*" } });
  const cookie = await signIn();
  expect((await app.inject({ url: "/account", headers: { cookie } })).json()).toMatchObject([{ current: true }]);
});

test("keeps the sessions of several middlewares apart, and sets rs to the last one's", async () => {
  const admin = t.auth({ app: "admin", cookie: { name: "admin" } });
  app.register(admin.fastify);
  app.post("/login", async (req) => {
    await auth.of(req.raw).create("alice");
    await admin.of(req.raw).create("root");
  });
  app.get("/", async (req) => {
    const [own, last] = [await auth.of(req.raw).get(), await req.rs.get()];
    return [own?.id, last?.id];
  });
  const cookie = await signIn();
  expect((await app.inject({ url: "/", headers: { cookie } })).json()).toEqual(["alice", "root"]);
});
