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
   * @param to the index of another node to which it moves
   */
  move(slot: number, halfway?: () => Promise<unknown>, to?: number): Promise<void>;
  /** Adds a node to `nodes`, without slots. All nodes know it. */
  add(): Promise<TestRedis>;
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
  const admins = nodes.map((node) => node.client());
  await agree();
  const ids = await Promise.all(admins.map(async (admin) => String(await admin.call("CLUSTER", "MYID"))));
  /** Moved slot → the index of its node. */
  const moved = new Map<number, number>();

  async function move(slot: number, halfway?: () => Promise<unknown>, toNode?: number): Promise<void> {
    const from = moved.get(slot) ?? slots.findIndex((first) => slot < first) - 1;
    const to = toNode ?? (from + 1) % nodes.length;
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

  async function add(): Promise<TestRedis> {
    const node = await startRedis(config(nodes.length));
    const admin = node.client();
    await admin.call("CLUSTER", "MEET", "127.0.0.1", seed.port);
    nodes.push(node);
    admins.push(admin);
    ids.push(String(await admin.call("CLUSTER", "MYID")));
    await agree();
    return node;
  }

  /** Waits until each node knows all others, and all slots. */
  async function agree(): Promise<void> {
    for (const admin of admins) {
      while ((await known(admin)) < nodes.length) await sleep(50);
      while (!String(await admin.call("CLUSTER", "INFO")).includes("cluster_state:ok\r\n")) await sleep(50);
    }
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
    add,
    async stop() {
      client.disconnect();
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** How many nodes a node knows, with itself. A new node that has not answered yet is not counted. */
async function known(admin: Redis): Promise<number> {
  const lines = String(await admin.call("CLUSTER", "NODES"))
    .trim()
    .split("\n");
  return lines.filter((line) => !line.includes("handshake")).length;
}
