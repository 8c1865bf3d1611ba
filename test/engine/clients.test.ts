import { Redis } from "ioredis";
import MockRedis from "ioredis-mock";
import { Redis as Redis5 } from "ioredis5";
import { createClient, RESP_TYPES } from "redis";
import { createClient as createClient5, RESP_TYPES as RESP_TYPES5 } from "redis5";
import { afterEach, describe, expect, test } from "vitest";
import { type Client, RedisSessions } from "../../src/index.js";
import { CLIENTS, ofIoredis, ofNodeRedis, type TestClient } from "../support/clients.js";
import { useEngine } from "../support/engine.js";
import { callsInOrder, everyMethod } from "../support/every-method.js";

const t = useEngine();
const opened: TestClient[] = [];

afterEach(() => {
  for (const client of opened.splice(0)) client.close();
});

const clients: Record<string, (port: number) => TestClient> = {
  ...CLIENTS,
  "ioredis 5 with auto-pipelining": (port) => ofIoredis(new Redis5({ port, enableAutoPipelining: true })),
  "ioredis 6 with protocol 2": (port) => ofIoredis(new Redis({ port, protocol: 2 })),
  "ioredis 6 with protocol 3 and its own reply mapping": (port) =>
    ofIoredis(new Redis({ port, protocol: 3, replyMapping: "resp3" })),
  "ioredis 6 with auto-pipelining": (port) => ofIoredis(new Redis({ port, enableAutoPipelining: true })),
  "ioredis 6 with string numbers": (port) => ofIoredis(new Redis({ port, stringNumbers: true })),
  "node-redis 5 with RESP3": (port) => ofNodeRedis(createClient5({ socket: { port }, RESP: 3 })),
  "node-redis 5 that maps types": (port) =>
    ofNodeRedis(
      createClient5({ socket: { port } }).withTypeMapping({
        [RESP_TYPES5.BLOB_STRING]: Buffer,
        [RESP_TYPES5.SIMPLE_STRING]: Buffer,
        [RESP_TYPES5.NUMBER]: String,
      }),
    ),
  "node-redis 6 with RESP2": (port) => ofNodeRedis(createClient({ socket: { port }, RESP: 2 })),
  "node-redis 6 that maps types": (port) =>
    ofNodeRedis(
      createClient({
        socket: { port },
        commandOptions: {
          asap: true,
          typeMapping: {
            [RESP_TYPES.BLOB_STRING]: Buffer,
            [RESP_TYPES.SIMPLE_STRING]: Buffer,
            [RESP_TYPES.NUMBER]: String,
          },
        },
      }),
    ),
  // A stand-in without a server, for the demo.
  "ioredis-mock": () => ofIoredis(new MockRedis() as unknown as Redis),
};

function open(name: string): Client {
  const client = clients[name]?.(t.redis.port) as TestClient;
  opened.push(client);
  return client.client;
}

describe.each(Object.keys(clients))("on %s", (name) => {
  test("every method works", async () => {
    const client = open(name);
    const rs = new RedisSessions({ client, wipe: 0 });
    await everyMethod(rs);
    await rs.quit();
    // quit leaves the client open.
    expect(await new RedisSessions({ client, wipe: 0 }).ping()).toBe("PONG");
  });

  test("lists are read in chunks", async () => {
    const rs = new RedisSessions({ client: open(name), wipe: 0 });
    await rs.killall({ app: "webapp" });
    await Promise.all(Array.from({ length: 150 }, () => rs.create({ app: "webapp", id: "alice", ip: "::1" })));
    expect((await rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(150);
    expect((await rs.soapp({ app: "webapp", dt: 60 })).sessions).toHaveLength(150);
    expect(await rs.killsoid({ app: "webapp", id: "alice" })).toEqual({ kill: 150 });
  });

  test("expired sessions are wiped", async () => {
    const client = open(name);
    const db = name === "ioredis-mock" ? (client as Redis) : t.db;
    const rs = new RedisSessions({ client, wipe: 0 });
    const { ref } = await rs.create({ app: "webapp", id: "alice", ip: "::1" });
    await db.del(`rs:{webapp}:s:${ref}`);
    await db.zadd("rs:{webapp}:expiry", 1, `"alice"${ref}`);
    expect(await rs.wipe()).toEqual({ wiped: 1 });
    for (const name of ["active", "users", "expiry", "user-sessions-overflow"]) {
      expect(await db.zcard(`rs:{webapp}:${name}`)).toBe(0);
    }
    expect(await db.hlen("rs:{webapp}:user-sessions")).toBe(0);
  });
});

describe.each(Object.keys(clients).filter((name) => name !== "ioredis-mock"))("on %s", (name) => {
  test("calls on one session keep their order", async () => {
    await callsInOrder(new RedisSessions({ client: open(name), wipe: 0 }));
  });

  test("a large session is changed outside of a script", async () => {
    const rs = new RedisSessions({ client: open(name), wipe: 0 });
    const large = "ä".repeat(200_000);
    const { token } = await rs.create({ app: "webapp", id: "alice", ip: "::1", d: { large, n: 1 } });
    await rs.set({ app: "webapp", token, d: { n: 2 } });
    expect((await rs.get({ app: "webapp", token }))?.d).toEqual({ large, n: 2 });
  });

  test("a script that Redis has lost is loaded again, among others in one write", async () => {
    const rs = new RedisSessions({ client: open(name), wipe: 0 });
    const { token } = await rs.create({ app: "webapp", id: "alice", ip: "::1" });
    await t.db.script("FLUSH");
    const [, session, killed] = await Promise.all([
      rs.ping(),
      rs.get({ app: "webapp", token }),
      rs.kill({ app: "webapp", token: "x".repeat(64) }),
    ]);
    expect(session?.id).toBe("alice");
    expect(killed).toEqual({ kill: 0 });
  });
});
