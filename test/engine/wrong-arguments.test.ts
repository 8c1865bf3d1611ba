import { Redis } from "ioredis";
import { afterAll, describe, expect, test } from "vitest";
import { RedisSessions, SessionError } from "../../src/index.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const token = "x".repeat(64);
const lazy = new Redis({ lazyConnect: true });

afterAll(() => lazy.disconnect());

/** A method as JavaScript may call it. */
type Untyped = (...args: unknown[]) => Promise<unknown>;

function construct(options: unknown): () => RedisSessions {
  return () => new RedisSessions(options as object);
}

describe("the constructor names what it was given instead of options:", () => {
  const call = "new RedisSessions({ client }) or new RedisSessions({ options: { url } })";

  test.each<[string, unknown]>([
    ["a Redis client", lazy],
    ["a string", "redis://:hunter2@localhost"],
    ["a number", 6379],
    ["a function", RedisSessions],
    ["an array", [lazy]],
    ["null", null],
  ])("%s", (kind, options) => {
    expect(construct(options)).toThrow(SessionError);
    expect(construct(options)).toThrow(`RedisSessions takes an object of options, not ${kind}: ${call}`);
  });

  test("an engine", () => {
    expect(construct(t.rs)).toThrow(`RedisSessions takes an object of options, not an engine: ${call}`);
  });

  test("a client of node-redis", () => {
    const client = { evalSha() {}, EVALSHA() {}, isOpen: true };
    expect(construct(client)).toThrow(`not a Redis client: ${call}`);
  });
});

describe("the constructor says where an option of the client belongs:", () => {
  test.each([
    ["url", "url"],
    ["db", "db"],
    ["password", "password"],
    ["tls", "tls"],
    ["sentinels", "sentinels"],
    ["database", "db"],
    ["auth_pass", "password"],
    ["uri", "url"],
  ])("%s", (name, here) => {
    expect(construct({ [name]: "hunter2" })).toThrow(
      `RedisSessions has no option "${name}". It belongs in options: new RedisSessions({ options: { ${here} } })`,
    );
  });

  test("prefix", () => {
    expect(construct({ prefix: "rs2" })).toThrow('RedisSessions has no option "prefix". Did you mean "namespace"?');
  });
});

describe("a method names what it was given instead of options:", () => {
  test.each([
    ["create", "create({ app, id, ip })"],
    ["get", "get({ app, token })"],
    ["set", "set({ app, token, d })"],
    ["setAll", "setAll({ app, id, d })"],
    ["increment", "increment({ app, token, key })"],
    ["touch", "touch({ app, token, ttl })"],
    ["kill", "kill({ app, token })"],
    ["killsoid", "killsoid({ app, id })"],
    ["killall", "killall({ app })"],
    ["soid", "soid({ app, id })"],
    ["soapp", "soapp({ app, dt })"],
    ["activity", "activity({ app, dt })"],
    ["rotate", "rotate({ app, token })"],
  ] as const)("%s", async (method, call) => {
    const rs = t.rs as unknown as Record<typeof method, Untyped>;
    const refused = (kind: string) => ({
      name: "invalidValue",
      message: `${method} takes an object of options, not ${kind}: ${call}`,
    });
    await expect(rs[method](token)).rejects.toMatchObject(refused("a string"));
    await expect(rs[method]("webapp", token)).rejects.toMatchObject(refused("a string"));
    await expect(rs[method](42)).rejects.toMatchObject(refused("a number"));
    await expect(rs[method]([token])).rejects.toMatchObject(refused("an array"));
    await expect(rs[method](t.create())).rejects.toMatchObject({ name: "missingParameter" });
  });

  test("sessions", () => {
    const sessions = t.rs.sessions as unknown as (options: unknown) => unknown;
    expect(() => sessions("webapp")).toThrow(
      "sessions takes an object of options, not a string: sessions({ app, dt })",
    );
  });
});

test("a callback in the place of the options receives the error, and no rejection is unhandled", async () => {
  for (const method of ["killall", "activity", "get"] as const) {
    const call = t.rs[method] as unknown as (callback: (...args: unknown[]) => void) => unknown;
    const args = await new Promise((resolve) => {
      expect(call((...received) => resolve(received))).toBeUndefined();
    });
    const message = expect.stringContaining(`${method} takes an object of options, not a function: ${method}({ app`);
    expect(args).toEqual([expect.objectContaining({ name: "invalidValue", message })]);
  }
});

test.each<[string, unknown, string]>([
  ["a string", "cart=3", "it is a string: pass { key: value }"],
  ["an array", [1], "it is an array: pass { key: value }"],
  ["a function", () => {}, "it is a function: pass { key: value }"],
])("set says that d is %s", async (_kind, d, hint) => {
  const set = t.rs.set as unknown as Untyped;
  await expect(set({ app: "webapp", token, d })).rejects.toMatchObject({ message: "d must be an object", hint });
});
