import { Redis } from "ioredis";
import MockRedis from "ioredis-mock";
import { Redis as Redis5 } from "ioredis5";
import { afterEach, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { everyMethod } from "../support/every-method.js";

const t = useEngine();
const opened: { disconnect(): void }[] = [];

afterEach(() => {
  for (const client of opened.splice(0)) client.disconnect();
});

const clients: Record<string, () => Redis> = {
  // TypeScript treats the class of another version as a different class. Users have only one version.
  "ioredis 5": () => new Redis5(t.redis.port) as unknown as Redis,
  "ioredis 5 with auto-pipelining": () =>
    new Redis5({ port: t.redis.port, enableAutoPipelining: true }) as unknown as Redis,
  "ioredis 6 as it is": () => new Redis(t.redis.port),
  "ioredis 6 with protocol 2": () => new Redis({ port: t.redis.port, protocol: 2 }),
  "ioredis 6 with protocol 3 and its own reply mapping": () =>
    new Redis({ port: t.redis.port, protocol: 3, replyMapping: "resp3" }),
  "ioredis 6 with auto-pipelining": () => new Redis({ port: t.redis.port, enableAutoPipelining: true }),
  "ioredis 6 with string numbers": () => new Redis({ port: t.redis.port, stringNumbers: true }),
  // A stand-in without a server, for the demo.
  "ioredis-mock": () => new MockRedis() as unknown as Redis,
};

describe.each(Object.keys(clients))("on %s", (name) => {
  function open(): Redis {
    const client = clients[name]?.() as Redis;
    opened.push(client);
    return client;
  }

  test("every method works", async () => {
    const client = open();
    await client.flushall();
    const rs = new RedisSessions({ client, wipe: 0 });
    await everyMethod(rs);
    await rs.quit();
    expect(await client.ping()).toBe("PONG");
  });

  test("lists are read in chunks", async () => {
    const client = open();
    await client.flushall();
    const rs = new RedisSessions({ client, wipe: 0 });
    await Promise.all(Array.from({ length: 150 }, () => rs.create({ app: "webapp", id: "alice", ip: "::1" })));
    expect((await rs.soid({ app: "webapp", id: "alice" })).sessions).toHaveLength(150);
    expect((await rs.soapp({ app: "webapp", dt: 60 })).sessions).toHaveLength(150);
    expect(await rs.killsoid({ app: "webapp", id: "alice" })).toEqual({ kill: 150 });
  });

  test("expired sessions are wiped", async () => {
    const client = open();
    await client.flushall();
    const rs = new RedisSessions({ client, wipe: 0 });
    const { ref } = await rs.create({ app: "webapp", id: "alice", ip: "::1" });
    await client.del(`rs:{webapp}:s:${ref}`);
    await client.zadd("rs:{webapp}:expiry", 1, `"alice"${ref}`);
    expect(await rs.wipe()).toEqual({ wiped: 1 });
    for (const name of ["active", "users", "expiry", "user-sessions-overflow"]) {
      expect(Number(await client.zcard(`rs:{webapp}:${name}`))).toBe(0);
    }
    expect(Number(await client.hlen("rs:{webapp}:user-sessions"))).toBe(0);
  });
});
