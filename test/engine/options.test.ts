import { inspect } from "node:util";
import { Cluster } from "ioredis";
import { afterEach, describe, expect, test, vi } from "vitest";
import { RedisSessions, type RedisSessionsOptions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { freePort } from "../support/redis.js";

const t = useEngine();
const app = "webapp";
const opened: RedisSessions[] = [];

afterEach(async () => {
  await Promise.allSettled(opened.splice(0).map((rs) => rs.quit()));
});

function open(options: RedisSessionsOptions): RedisSessions {
  const rs = new RedisSessions({ wipe: 0, ...options });
  opened.push(rs);
  return rs;
}

/** Constructs as JavaScript may, with any value. Always with a client, so that no connection is opened. */
function construct(options: object): RedisSessions {
  return new RedisSessions({ client: t.db, ...options } as RedisSessionsOptions);
}

function refusal(construct: () => unknown): unknown {
  try {
    return construct();
  } catch (error) {
    return error;
  }
}

describe("the constructor refuses", () => {
  test.each([
    ["namspace", "namespace"],
    ["nameSpace", "namespace"],
    ["wip", "wipe"],
    ["timeOut", "timeout"],
    ["maxbytes", "maxBytes"],
    ["Client", "client"],
    ["hosts", "host"],
    ["option", "options"],
    ["redis", "client"],
  ])("the misspelt option %s and names %s", (misspelt, right) => {
    expect(refusal(() => construct({ [misspelt]: 1 }))).toMatchObject({
      name: "invalidValue",
      code: "ERR_INVALID_VALUE",
      message: `RedisSessions has no option "${misspelt}". Did you mean "${right}"?`,
    });
  });

  test.each(["somethingElse", "toString", "constructor", "hasOwnProperty", "replicas"])(
    "the unknown option %s and lists the options",
    (name) => {
      const error = refusal(() => construct({ [name]: 1 }));
      expect(error).toMatchObject({ name: "invalidValue" });
      expect((error as Error).message).toContain(`RedisSessions has no option "${name}". It takes client, port, host`);
    },
  );

  test.each<[string, unknown, string]>([
    ["namespace", "", "a string without { and }"],
    ["namespace", "rs{1}", "a string without { and }"],
    ["namespace", 7, "a string without { and }"],
    ["wipe", 9, "0 or an integer >= 10"],
    ["wipe", -1, "0 or an integer >= 10"],
    ["wipe", 10.5, "0 or an integer >= 10"],
    ["wipe", "600", "0 or an integer >= 10"],
    ["wipe", null, "0 or an integer >= 10"],
    ["timeout", 0, "an integer >= 1"],
    ["timeout", Number.POSITIVE_INFINITY, "an integer >= 1"],
    ["nested", 1, "true or false"],
    ["maxBytes", 0, "an integer >= 1"],
    ["maxBytes", "1mb", "an integer >= 1"],
    ["port", 65536, "an integer from 0 to 65535"],
    ["port", "6379", "an integer from 0 to 65535"],
    ["host", "", "a host name or an address: a port belongs in port, a URL in options: { url }"],
    ["host", 7, "a host name or an address: a port belongs in port, a URL in options: { url }"],
    ["options", "redis://localhost", "an object"],
    ["client", null, "a client of node-redis 5 or 6, or a Redis or Cluster of ioredis or iovalkey"],
    ["client", "redis://localhost", "a client of node-redis 5 or 6, or a Redis or Cluster of ioredis or iovalkey"],
  ])("%s of %j", (name, value, be) => {
    expect(refusal(() => construct({ [name]: value }))).toMatchObject({
      name: "invalidValue",
      message: `RedisSessions: ${name} must be ${be}`,
    });
  });

  test.each(["port", "timeout", "wipe", "maxBytes"])("%s as text of digits, and says how to convert it", (name) => {
    expect(refusal(() => construct({ [name]: "6379" }))).toMatchObject({ hint: "it is a string: pass Number(…)" });
  });

  test.each([
    ["wipe", 2_147_484],
    ["timeout", 2 ** 31],
  ])("%s of %i, longer than a timer of Node can wait", (name, value) => {
    expect(refusal(() => construct({ [name]: value }))).toMatchObject({
      name: "invalidValue",
      message: expect.stringContaining("must be less than 24.8 days"),
    });
  });

  test.each([
    ["an empty object", {}],
    ["an engine", new RedisSessions({ options: { lazyConnect: true }, wipe: 0 })],
  ])("%s for a client", (_what, client) => {
    expect(refusal(() => construct({ client }))).toMatchObject({
      name: "invalidValue",
      message: expect.stringMatching(/^client must be a client of node-redis 5 or 6 .*ioredis or iovalkey$/),
    });
  });

  test.each([{ port: 6379 }, { host: "127.0.0.1" }, { options: {} }, { port: 0 }])(
    "a client together with %j",
    (both) => {
      expect(refusal(() => construct(both))).toMatchObject({
        name: "invalidValue",
        message: "RedisSessions takes a client, or port, host and options to open one, but not both",
      });
    },
  );

  test.each(["a string", 7, null])("%j for options", (options) => {
    // As JavaScript may call it.
    expect(refusal(() => new RedisSessions(options as unknown as RedisSessionsOptions))).toMatchObject({
      name: "invalidValue",
      message: expect.stringMatching(/^RedisSessions takes an object of options, not (a string|a number|null): new /),
    });
  });

  test.each(["slave", "all", () => []])("a Cluster with scaleReads %s, of which a replica may answer", (scaleReads) => {
    const client = new Cluster([], { lazyConnect: true, scaleReads: scaleReads as "all" });
    expect(refusal(() => construct({ client }))).toMatchObject({
      name: "invalidValue",
      message: expect.stringContaining('scaleReads must be "master"'),
    });
  });

  test('a client whose keyPrefix contains "{}", which would spread an app over a Cluster', () => {
    const client = t.redis.client({ keyPrefix: "my{}:" });
    expect(refusal(() => construct({ client }))).toMatchObject({ name: "invalidValue" });
    client.disconnect();
  });
});

test("the constructor accepts the limits of every option", () => {
  for (const wipe of [0, 10]) {
    for (const options of [{ timeout: 1 }, { nested: true, maxBytes: 1 }, { namespace: "my app:sessions" }]) {
      const rs = construct({ wipe, ...options });
      expect(rs).toBeInstanceOf(RedisSessions);
      void rs.quit();
    }
  }
});

describe("a connection of its own", () => {
  test("goes to port and host", async () => {
    const { ref } = await open({ port: t.redis.port, host: "localhost" }).create({ app, id: "alice", ip: "::1" });
    expect(await t.db.exists(`rs:{webapp}:s:${ref}`)).toBe(1);
  });

  test("goes to options.url, with the other options", async () => {
    const rs = open({ options: { url: `${t.redis.url}/3`, keyPrefix: "my:" } });
    const { ref } = await rs.create({ app, id: "alice", ip: "::1" });
    const third = t.redis.client({ db: 3 });
    expect(await third.exists(`my:rs:{webapp}:s:${ref}`)).toBe(1);
    await third.flushdb();
  });

  test("accepts valkey:// as redis://", async () => {
    const rs = open({ options: { url: t.redis.url.replace("redis:", "valkey:") } });
    expect(await rs.ping()).toBe("PONG");
  });

  test.each([
    "http://:hunter2@127.0.0.1:6379",
    "redis+tls://:hunter2@127.0.0.1:6379",
    "redis://:hunter2@127.0.0.1:99999",
    "redis://:hunter2@127.0.0.1/mydb",
    "redis://:hunter2@127.0.0.1/1/2",
    "REDIS+TLS://:hunter2@/",
    "redis://:hunter2%@127.0.0.1",
    "redis://:hunter2@/0",
  ])("refuses the address %s, and quotes no password", (url) => {
    const error = refusal(() => open({ options: { url } }));
    expect(error).toMatchObject({
      name: "invalidValue",
      message: expect.stringContaining("options.url must be redis"),
    });
    expect(inspect(error)).not.toContain("hunter2");
  });

  test("gets the other options of ioredis", async () => {
    await open({ port: t.redis.port, options: { connectionName: "sessions" } }).ping();
    expect(await t.db.client("LIST")).toContain("name=sessions ");
  });

  test("does not end the process or print anything when there is no Redis; calls reject", async () => {
    const printed = vi.spyOn(console, "error").mockReturnValue();
    const rs = open({ port: await freePort(), timeout: 100, options: { retryStrategy: () => 10 } });
    const error = await rs.ping().catch((error) => error);
    expect(error.name).toBeOneOf(["timeout", "unavailable"]);
    // ioredis prints errors that nobody listens to.
    expect(printed).not.toHaveBeenCalled();
    printed.mockRestore();
  });
});
