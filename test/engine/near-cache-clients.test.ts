import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, type Created, RedisSessions } from "../../src/index.js";
import { CLIENT_NAMES, CLUSTERS, openClient, SENTINELS, type TestClient } from "../support/clients.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { startSentinel } from "../support/sentinel.js";

const app = "webapp";
const POLL = { timeout: 30_000, interval: 20 };
const ends: (() => unknown)[] = [];

afterAll(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function use(opened: TestClient): Client {
  ends.push(opened.close);
  return opened.client;
}

/** Two engines on clients of their own, which stand for two processes. */
function engines(open: () => TestClient): [mine: RedisSessions, other: RedisSessions] {
  const make = () => new RedisSessions({ client: use(open()), wipe: 0, cachetime: 600 });
  const both: [RedisSessions, RedisSessions] = [make(), make()];
  ends.push(() => Promise.all(both.map((rs) => rs.quit())));
  return both;
}

/** Reads a session until the answer comes from the cache. */
async function cache(rs: RedisSessions, { token }: Created): Promise<void> {
  await expect
    .poll(async () => {
      const { hits } = rs.cache;
      await rs.get({ app, token }).catch(() => null);
      return rs.cache.hits > hits;
    }, POLL)
    .toBe(true);
}

/** A change and an end by another process show. */
async function hearsOfChanges(mine: RedisSessions, other: RedisSessions): Promise<void> {
  const created = await other.create({ app, id: "alice", ip: "::1", d: { n: 0 } });
  const { token } = created;
  await cache(mine, created);
  await other.set({ app, token, d: { n: 1 } });
  await expect.poll(async () => (await mine.get({ app, token }))?.d, POLL).toEqual({ n: 1 });
  await cache(mine, created);
  await other.killsoid({ app, id: "alice" });
  await expect.poll(() => mine.get({ app, token }), POLL).toBeNull();
}

describe("on one server", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await startRedis();
    ends.push(() => redis.stop());
  });

  test.each(CLIENT_NAMES)("an engine on %s hears of changes", async (name) => {
    await hearsOfChanges(...engines(() => openClient(name, redis.port)));
  });

  test("an engine hears of changes after SCRIPT FLUSH and a restart", { timeout: 60_000 }, async () => {
    const [mine, other] = engines(() => openClient("ioredis 6", redis.port));
    await hearsOfChanges(mine, other);
    await redis.client().script("FLUSH");
    await hearsOfChanges(mine, other);
    await redis.kill();
    await redis.start();
    await expect.poll(() => other.ping().catch(() => ""), POLL).toBe("PONG");
    await hearsOfChanges(mine, other);
  });
});

describe("on a Cluster", () => {
  let cluster: TestCluster;
  beforeAll(async () => {
    cluster = await startCluster();
    ends.push(() => cluster.stop());
  }, 60_000);

  test.each(Object.entries(CLUSTERS))("an engine on %s hears of changes", async (_name, open) => {
    await hearsOfChanges(...engines(() => open(cluster.nodes.map(({ port }) => port))));
  });
});

test("after a failover, an engine serves nothing of before and hears of changes", { timeout: 90_000 }, async () => {
  const sentinel = await startSentinel();
  ends.push(() => sentinel.stop());
  const [mine, other] = engines(() => (SENTINELS["ioredis 6"] as (typeof SENTINELS)[string])(sentinel));
  const created = await other.create({ app, id: "alice", ip: "::1" });
  await cache(mine, created);
  const master = await sentinel.master();
  const replica = await sentinel.replica();
  await expect.poll(async () => (await replica.client().dbsize()) > 0, POLL).toBe(true);
  await master.kill();
  // Nobody hears of this.
  await sentinel.switched(master);
  const db = replica.client();
  await expect.poll(() => db.del(`rs:{${app}}:s:${created.ref}`).catch(() => 0), POLL).toBe(1);
  await expect.poll(() => mine.get({ app, token: created.token }).catch(() => "outage"), POLL).toBeNull();
  await expect.poll(() => other.ping().catch(() => ""), POLL).toBe("PONG");
  await hearsOfChanges(mine, other);
});
