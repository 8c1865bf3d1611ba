import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, type Redis } from "ioredis";
import { startRedis, type TestRedis } from "./redis.js";

/** Three real redis-servers that share the 16,384 hash slots. */
export interface TestCluster {
  readonly nodes: TestRedis[];
  /** A client of the whole cluster. `stop` closes it. */
  readonly client: Cluster;
  slotOf(key: string): Promise<number>;
  /**
   * Moves a slot with its keys to the next node.
   * @param halfway is called when some of the keys have moved, and awaited
   */
  move(slot: number, halfway?: () => Promise<unknown>): Promise<void>;
  stop(): Promise<void>;
}

/** @param args command-line arguments of all nodes */
export async function startCluster(args: string[] = []): Promise<TestCluster> {
  const config = (i: number) => ["--cluster-enabled", "yes", "--cluster-config-file", `nodes-${i}.conf`, ...args];
  const nodes = await Promise.all([0, 1, 2].map((i) => startRedis(config(i))));
  const [seed] = nodes as [TestRedis];
  const slots = [0, 5461, 10923, 16384];
  for (const [i, node] of nodes.entries()) {
    const admin = node.client();
    const [first = 0, end = 0] = slots.slice(i);
    // ADDSLOTSRANGE would be shorter but needs Redis 7.
    await admin.call("CLUSTER", "ADDSLOTS", ...Array.from({ length: end - first }, (_, n) => first + n));
    await admin.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1);
    await admin.call("CLUSTER", "MEET", "127.0.0.1", seed.port);
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
  const admins = nodes.map((node) => node.client());
  const ids = await Promise.all(admins.map(async (admin) => String(await admin.call("CLUSTER", "MYID"))));
  /** Moved slot → the index of its node. */
  const moved = new Map<number, number>();

  async function move(slot: number, halfway?: () => Promise<unknown>): Promise<void> {
    const from = moved.get(slot) ?? slots.findIndex((first) => slot < first) - 1;
    const to = (from + 1) % nodes.length;
    const [source, target] = [admins[from], admins[to]] as [Redis, Redis];
    await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", `${ids[from]}`);
    await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", `${ids[to]}`);
    for (let round = 0; ; round++) {
      if (round === 1) await halfway?.();
      const keys = (await source.call("CLUSTER", "GETKEYSINSLOT", slot, round === 0 && halfway ? 2 : 5)) as string[];
      if (keys.length === 0) break;
      await source.call("MIGRATE", "127.0.0.1", `${nodes[to]?.port}`, "", 0, 5000, "KEYS", ...keys);
    }
    // Start with the target, so that the slot always has a node.
    for (const admin of [target, source, ...admins]) await admin.call("CLUSTER", "SETSLOT", slot, "NODE", `${ids[to]}`);
    moved.set(slot, to);
    // Two moves in one epoch would conflict.
    while (new Set(await Promise.all(admins.map(epoch))).size > 1) await sleep(5);
  }

  async function epoch(admin: Redis): Promise<string | undefined> {
    return /cluster_current_epoch:\d+/.exec(String(await admin.call("CLUSTER", "INFO")))?.[0];
  }

  const client = new Cluster(nodes.map(({ port }) => ({ port, host: "127.0.0.1" })));
  client.on("error", () => {});
  return {
    nodes,
    client,
    slotOf: async (key) => Number(await admins[0]?.call("CLUSTER", "KEYSLOT", key)),
    move,
    async stop() {
      client.disconnect();
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}
