import { setTimeout as sleep } from "node:timers/promises";
import { Cluster } from "ioredis";
import { startRedis, type TestRedis } from "./redis.js";

/** Three real redis-servers that share the 16,384 hash slots. */
export interface TestCluster {
  readonly nodes: TestRedis[];
  /** A client of the whole cluster; closed with it. */
  readonly client: Cluster;
  stop(): Promise<void>;
}

export async function startCluster(): Promise<TestCluster> {
  const config = (i: number) => ["--cluster-enabled", "yes", "--cluster-config-file", `nodes-${i}.conf`];
  const nodes = await Promise.all([0, 1, 2].map((i) => startRedis(config(i))));
  const [first] = nodes as [TestRedis];
  const slots = [0, 5461, 10923, 16384];
  for (const [i, node] of nodes.entries()) {
    const admin = node.client();
    await admin.call("CLUSTER", "ADDSLOTSRANGE", slots[i] as number, (slots[i + 1] as number) - 1);
    await admin.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1);
    await admin.call("CLUSTER", "MEET", "127.0.0.1", first.port);
  }
  for (const node of nodes) {
    const admin = node.client();
    while (!String(await admin.call("CLUSTER", "INFO")).includes("cluster_state:ok\r\n")) await sleep(50);
    while (
      String(await admin.call("CLUSTER", "NODES"))
        .trim()
        .split("\n").length < 3
    )
      await sleep(50);
  }
  const client = new Cluster(nodes.map(({ port }) => ({ port, host: "127.0.0.1" })));
  client.on("error", () => {});
  return {
    nodes,
    client,
    async stop() {
      client.disconnect();
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
