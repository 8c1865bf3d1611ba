import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisSessions } from "../../src/index.js";
import { slotOf } from "../../src/redis/slot.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { LEASE, reshard } from "../support/reshard.js";

let cluster: TestCluster;
afterEach(() => cluster.stop());

/** An app whose old shard is not on the first node. The list of apps of "rs" is there, that of "r2" is not. */
const app = [..."abcdefghij"].map((c) => `webapp${c}`).find((name) => slotOf(name) > 5461) as string;

test.each([
  ["sessions move to it", "r2"],
  ["it has the list of apps", "rs"],
])(
  "a master whose replica is late dies while %s: no session is lost that had been stored before",
  async (_, namespace) => {
    cluster = await startCluster(["--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0"]);
    const id = await cluster.nodes[0]?.client().call("CLUSTER", "MYID");
    const replica = await cluster.add();
    await replica.client().call("CLUSTER", "REPLICATE", `${id}`);
    while (!(await replica.client().info("replication")).includes("master_link_status:up")) await sleep(50);
    // The master learns later of its replica.
    while (!String(await cluster.nodes[0]?.client().call("CLUSTER", "NODES")).includes(" slave ")) await sleep(50);
    const rs = new RedisSessions({ client: cluster.client, wipe: 0, namespace });
    internalsOf(rs).setLeaseTime(LEASE);
    const created = await Promise.all(
      Array.from({ length: 200 }, (_, n) => rs.create({ app, id: `user${n}`, ip: "203.0.113.7" })),
    );
    // The replica is late.
    replica.pause();
    await cluster.nodes[0]?.client().call("CLIENT", "KILL", "TYPE", "replica");
    await reshard(rs, app, 4).catch(() => {});
    await cluster.nodes[0]?.kill();
    replica.resume();
    while (!(await replica.client().info("replication")).includes("role:master")) await sleep(50);
    for (const node of cluster.nodes.slice(1)) {
      while (!String(await node.client().call("CLUSTER", "INFO")).includes("cluster_state:ok")) await sleep(50);
    }
    await sleep(500);
    const found = await Promise.all(created.map(({ token }) => rs.get({ app, token })));
    expect(found.filter((one) => one === null).length).toBe(0);
  },
  60_000,
);
