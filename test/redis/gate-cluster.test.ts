import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
}, 30_000);
afterAll(() => cluster.stop());

describe("the gate on a Cluster", () => {
  test("serves the apps of the other Cluster nodes while one node does not respond", async () => {
    const rs = new RedisSessions({ client: cluster.client, wipe: 0, timeout: 300 });
    const ends = [5461, 10923, 16384];
    /** One app for each node. */
    const apps: string[] = [];
    for (let i = 0; apps.filter(Boolean).length < 3; i++) {
      const slot = await cluster.slotOf(`rs:{app${i}}:active`);
      apps[ends.findIndex((end) => slot < end)] ??= `app${i}`;
    }
    const tokens = await Promise.all(apps.map((app) => rs.create({ app, id: "alice", ip: "1.2.3.4" })));
    const get = (i: number) => rs.get({ app: apps[i] as string, token: tokens[i]?.token as string });
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
});
