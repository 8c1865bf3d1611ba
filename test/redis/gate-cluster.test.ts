import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { CLUSTERS, type TestClient } from "../support/clients.js";
import { startCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;
/** One app for each node. */
const apps: string[] = [];

beforeAll(async () => {
  cluster = await startCluster();
  const ends = [5461, 10923, 16384];
  for (let i = 0; apps.filter(Boolean).length < 3; i++) {
    const slot = await cluster.slotOf(`rs:{app${i}}:active`);
    apps[ends.findIndex((end) => slot < end)] ??= `app${i}`;
  }
}, 30_000);

afterAll(() => cluster.stop());

describe.each(["ioredis 6", "node-redis 5", "node-redis 6"])("the gate on a Cluster of %s", (name) => {
  let client: TestClient;
  let rs: RedisSessions;
  const app = (node: number) => apps[node] as string;

  beforeEach(() => {
    client = CLUSTERS[name]?.(cluster.nodes.map(({ port }) => port)) as TestClient;
    rs = new RedisSessions({ client: client.client, wipe: 0, timeout: 300 });
  });

  afterEach(() => client.close());

  test("serves the apps of the other Cluster nodes while one node does not respond", async () => {
    const tokens = await Promise.all(apps.map((app) => rs.create({ app, id: "alice", ip: "1.2.3.4" })));
    const get = (i: number) => rs.get({ app: app(i), token: tokens[i]?.token as string });
    cluster.nodes[2]?.pause();
    try {
      const outcomes: string[] = [];
      // A probe of a closed gate must not wait for the silent node. A probe that goes to a random node would reach it in 12 rounds.
      for (let round = 0; round < 12; round++) {
        const silent = get(2).catch(() => {});
        await sleep(20);
        for (const i of [0, 1]) outcomes.push(await get(i).then(() => "ok", String));
        await silent;
      }
      expect(outcomes).toEqual(outcomes.map(() => "ok"));
    } finally {
      cluster.nodes[2]?.resume();
    }
  }, 30_000);

  test("never sends a call to a node that was away until the call ended with timeout", async () => {
    await rs.killall({ app: app(2) });
    await cluster.nodes[2]?.kill();
    const names: string[] = [];
    for (let i = 0; i < 40; i++) {
      const call = rs.create({ app: app(2), id: `user${i}`, ip: "::1" });
      call.then(
        () => names.push("created"),
        (error: Error) => names.push(error.name),
      );
      await sleep(10);
    }
    await expect.poll(() => names.length).toBe(40);
    expect(new Set(names)).not.toContain("created");
    expect(names).toContain("timeout");
    await cluster.nodes[2]?.start();
    await expect
      .poll(() => rs.activity({ app: app(2), dt: 60 }).catch(() => undefined), { timeout: 10_000 })
      .toEqual({
        activity: 0,
      });
    await sleep(50);
    expect((await rs.soapp({ app: app(2), dt: 60 })).sessions).toEqual([]);
  }, 30_000);
});
