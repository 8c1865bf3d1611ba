import { tracingChannel } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import { type CallTrace, SessionError } from "../../src/index.js";
import { sessions } from "../../src/middleware/index.js";
import { useEngine } from "../support/engine.js";

const app = "webapp";
const t = useEngine();

/** What a subscriber has seen of each call: the context, and the names of its events in their order. */
type Seen = CallTrace & { error?: unknown; events: string[] };

const channel = tracingChannel<unknown, CallTrace>("ioredis-sessions:call");
let seen: Map<CallTrace, Seen>;

function note(event: string) {
  return (trace: CallTrace) => {
    seen.set(trace, { ...trace, events: [...(seen.get(trace)?.events ?? []), event] });
  };
}

const subscriber = {
  start: note("start"),
  end: note("end"),
  asyncStart: note("asyncStart"),
  asyncEnd: note("asyncEnd"),
  error: note("error"),
};

beforeEach(() => {
  seen = new Map();
  channel.subscribe(subscriber);
});
afterEach(() => channel.unsubscribe(subscriber));

const traces = () => [...seen.values()];

describe("ioredis-sessions:call", () => {
  test("tells the method, the app and the outcome of each call", async () => {
    const { token } = await t.create();
    await t.rs.get({ app, token });
    await t.rs.kill({ app, token });
    await t.rs.get({ app, token });
    await t.rs.kill({ app, token });
    await t.rs.ping();
    expect(traces()).toMatchObject([
      { method: "create", app, outcome: "ok", batched: false, events: ["start", "end", "asyncStart", "asyncEnd"] },
      { method: "get", app, outcome: "ok" },
      { method: "kill", app, outcome: "ok" },
      { method: "get", app, outcome: "missing" },
      { method: "kill", app, outcome: "missing" },
      { method: "ping", app: undefined, outcome: "ok" },
    ]);
  });

  test("tells the name of the error of a call that failed, and passes the error on", async () => {
    await expect(t.rs.get({ app, token: "short" })).rejects.toThrow(SessionError);
    await expect(t.rs.get({ app: "bad app", token: "short" })).rejects.toThrow(SessionError);
    await expect(t.rs.get(undefined as never)).rejects.toThrow(SessionError);
    expect(traces()).toMatchObject([
      { method: "get", app, outcome: "invalidFormat", events: ["start", "end", "error", "asyncStart", "asyncEnd"] },
      { method: "get", app: undefined, outcome: "invalidFormat" },
      { method: "get", app: undefined, outcome: "missingParameter" },
    ]);
    expect(traces()[0]?.error).toBeInstanceOf(SessionError);
  });

  test("tells which calls have shared a run of a script", async () => {
    const { token } = await t.create();
    const { token: other } = await t.create();
    seen.clear();
    await Promise.all([t.rs.set({ app, token, d: { n: 1 } }), ...[1, 2, 3].map(() => t.rs.get({ app, token: other }))]);
    await t.rs.get({ app, token });
    expect(traces().map(({ method, batched }) => [method, batched])).toEqual([
      ["set", false],
      ["get", true],
      ["get", true],
      ["get", true],
      ["get", false],
    ]);
  });

  test("contains no token, no ref, no user and no data", async () => {
    const { token, ref } = await t.create({ id: "alice-secret", d: { card: "data-secret" } });
    await t.rs.get({ app, token });
    await t.rs.set({ app, token, d: { card: "data-secret" } });
    await t.rs.soid({ app, id: "alice-secret" });
    await t.rs.get({ app: token, token }).catch(() => {});
    await t.rs.rotate({ app, token });
    expect(traces()).toHaveLength(6);
    const text = JSON.stringify([...seen]);
    for (const secret of [token, ref, "alice-secret", "data-secret"]) expect(text).not.toContain(secret);
  });

  test("tells the calls of the middleware and of RedisStore", async () => {
    const { token } = await t.create();
    const auth = sessions({ rs: t.rs, app, header: true, cookie: false });
    const store = new RedisStore({ rs: t.rs, app: "shop" });
    seen.clear();
    const req = { headers: { authorization: `Bearer ${token}` }, url: "/", socket: {} };
    await new Promise<void>((resolve) => auth(req as never, { on: () => {} } as never, () => resolve()));
    await (req as never as { rs: { get(): Promise<unknown> } }).rs.get();
    await store.set("sid", { cookie: { originalMaxAge: null } } as never);
    await store.get("sid");
    await store.destroy("sid");
    await store.get("sid");
    expect(traces()).toMatchObject([
      { method: "get", app, outcome: "ok" },
      { method: "RedisStore.set", app: "shop", outcome: "ok" },
      { method: "RedisStore.get", app: "shop", outcome: "ok" },
      { method: "RedisStore.destroy", app: "shop", outcome: "ok" },
      { method: "RedisStore.get", app: "shop", outcome: "missing" },
    ]);
  });

  test("does not hand on an error that a serializer threw, which may quote data", async () => {
    const serializer = {
      parse: JSON.parse,
      stringify: () => {
        throw new Error("cannot write data-secret");
      },
    };
    const store = new RedisStore({ rs: t.rs, app: "shop", serializer });
    seen.clear();
    await expect(store.set("sid", { cookie: { originalMaxAge: null } } as never)).rejects.toThrow("data-secret");
    expect(traces()).toMatchObject([{ method: "RedisStore.set", outcome: "otherError" }]);
    expect(String(traces()[0]?.error)).not.toContain("data-secret");
  });
});
