/** The values that programs of test/support/page-runner.ts can use. */
import assert from "node:assert/strict";
import { connect } from "node:net";

const { REDIS_URL, PORT } = process.env;
process.env.SESSION_SECRET ??= "a secret for the tests of the pages";

export { assert };
export const url = `http://localhost:${PORT}`;

const made = new Map();

/** Returns a function that creates a value on its first call and returns it on every call. */
function lazily(name, make) {
  return async (...args) => {
    if (!made.has(name)) made.set(name, await make(...args));
    return made.get(name);
  };
}

/** The names that a block can use without a declaration. */
export const scene = {
  Redis: lazily("Redis", async () => (await import("ioredis")).Redis),
  RedisSessions: lazily("RedisSessions", async () => (await import("ioredis-sessions")).RedisSessions),
  SessionError: lazily("SessionError", async () => (await import("ioredis-sessions")).SessionError),
  sessions: lazily("sessions", async () => (await import("ioredis-sessions/middleware")).sessions),
  RedisStore: lazily("RedisStore", async () => (await import("ioredis-sessions/express-session")).RedisStore),
  rest: lazily("rest", async () => (await import("ioredis-sessions/rest")).rest),
  express: lazily("express", async () => (await import("express")).default),
  session: lazily("session", async () => (await import("express-session")).default),
  client: lazily("client", async () => new (await scene.Redis())(REDIS_URL)),
  rs: lazily("rs", async () => new (await scene.RedisSessions())({ client: await scene.client(), wipe: 0 })),
  auth: lazily("auth", async () => {
    const sessions = await scene.sessions();
    return sessions({ rs: await scene.rs(), app: "webapp", secret: process.env.SESSION_SECRET });
  }),
  app: lazily("app", async ({ bare }) => {
    const express = await scene.express();
    const app = express().use(express.json(), express.urlencoded({ extended: false }));
    return bare ? app : app.use(await scene.auth());
  }),
  store: lazily("store", async () => new (await scene.RedisStore())({ client: await scene.client() })),
  created: lazily("created", async () => {
    const rs = await scene.rs();
    return rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", device: "Firefox on Windows" });
  }),
  token: async () => (await scene.created()).token,
  ref: async () => (await scene.created()).ref,
};

/** Starts an app if its block does not. */
export async function listen(app, { bare }) {
  if (!bare) {
    app.post("/login/:name", async (req, res) => res.json(await req.rs.create(req.params.name)));
    app.get("/session", async (req, res) => res.json(await req.rs.get()));
  }
  await new Promise((resolve) => app.listen(Number(PORT), resolve));
}

/** Waits until a server listens on the port. */
export async function listening(port = Number(PORT)) {
  for (const end = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const open = await new Promise((resolve) => {
      const socket = connect(port, "localhost");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
    if (open) return;
    if (Date.now() > end) throw new Error(`Nothing listens on port ${port}`);
  }
}

/** A browser that keeps its cookies and does not follow redirects. */
export function visitor(base = url) {
  const cookies = new Map();
  async function visit(path, init) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { ...init?.headers, ...(cookie === "" ? {} : { cookie }) };
    const response = await fetch(new URL(path, base), { redirect: "manual", ...init, headers });
    for (const set of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      if (value === "") cookies.delete(name);
      else cookies.set(name, value);
    }
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parsed(text) };
  }
  return {
    cookies,
    get: (path = "/", headers = {}) => visit(path, { headers }),
    post: (path = "/", body = undefined, headers = {}) =>
      visit(path, {
        method: "POST",
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      }),
  };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Compares a value with the expected value in a page. */
export function is(value, expected) {
  if (!matches(value, expected)) assert.deepStrictEqual(value, expected);
}

/** Expects that a call rejects or throws a SessionError. */
export async function fails(work, name) {
  await assert.rejects(async () => work(), { name });
}

function matches(value, expected) {
  if (typeof expected === "string" && expected.includes("…")) {
    const parts = expected.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    return typeof value === "string" && new RegExp(`^${parts.join(".*")}$`, "s").test(value);
  }
  if (typeof expected === "number" && expected >= 1e12) return typeof value === "number" && value >= 1e12;
  if (typeof expected !== "object" || expected === null) return Object.is(value, expected);
  if (typeof value !== "object" || value === null || Array.isArray(value) !== Array.isArray(expected)) return false;
  if (Array.isArray(expected) && value.length !== expected.length) return false;
  return Object.keys(expected).every((key) => matches(value[key], expected[key]));
}
