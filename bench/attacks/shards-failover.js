// One app with 16 shards on a Cluster of three masters with a replica each. A master is killed under load. What fails, for how
// long, and is anything that Redis had acknowledged lost, or anything that had ended alive again?
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { slotOf } from "../../dist/redis/slot.js";
import { shardOf, tagsOf } from "../../dist/sessions/shard.js";
import { RedisSessions } from "../lib/product.js";
import { freePort } from "../lib/redis.js";

const APP = "webapp";
const SHARDS = 16;
const WORKERS = 20;
const TAGS = tagsOf(APP, SHARDS);

export async function attack() {
  const dir = mkdtempSync(join(tmpdir(), "shards-failover-"));
  const nodes = [];
  process.once("exit", () => {
    for (const { server } of nodes) server.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });
  for (let i = 0; i < 6; i++) nodes.push(await startNode(dir));
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  execFileSync("redis-cli", ["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"]);
  for (const { admin } of nodes) while (!(await admin.cluster("INFO")).includes("cluster_state:ok")) await sleep(50);
  await sleep(1000);

  const client = new Cluster(nodes.map(({ port }) => ({ port, host: "127.0.0.1" })));
  client.on("error", () => {});
  const rs = new RedisSessions({ client, wipe: 0, shards: SHARDS });
  await rs.ping();

  const withReplica = new Set(client.slots.map(([master]) => master));
  /** Token → what is known of its session: the smallest `n` that it must have, or that it has ended. */
  const known = new Map();
  const failures = [];
  let isOver = false;
  const start = performance.now();
  const worker = async (id) => {
    let live = [];
    for (let n = 1; !isOver; n++) {
      try {
        const action = n % 10;
        if (action < 4 || live.length === 0) {
          const { token } = await rs.create({ app: APP, id, ip: "203.0.113.7", d: { n } });
          live.push(token);
          if (await isReplicated(token)) known.set(token, { n });
        } else if (action < 8) {
          const token = live[n % live.length];
          const set = await rs.set({ app: APP, token, d: { n } });
          if (set !== null && (await isReplicated(token))) known.set(token, { n });
        } else if (action === 8) {
          const token = live.shift();
          // From here on it may end, also if the answer is lost.
          known.delete(token);
          await rs.kill({ app: APP, token });
          if (await isReplicated(token)) known.set(token, { hasEnded: true });
        } else if (n % 100 === 99) {
          const ending = live;
          live = [];
          for (const token of ending) known.delete(token);
          await rs.killsoid({ app: APP, id });
          if (await isReplicated(ending[0])) for (const token of ending) known.set(token, { hasEnded: true });
        }
      } catch (error) {
        failures.push({ at: performance.now() - start, name: error.name });
      }
      await sleep(5);
    }
  };
  const workers = Array.from({ length: WORKERS }, (_, i) => worker(`user${i}`));
  await sleep(2000);
  const victim = nodes[0];
  const killedAt = performance.now() - start;
  victim.server.kill("SIGKILL");
  // From now on the other nodes must serve all slots.
  const deadline = performance.now() + 20_000;
  while (performance.now() < deadline && !(await hasFailedOver(nodes))) await sleep(50);
  const failedOver = performance.now() - start;
  await sleep(8000);
  isOver = true;
  await Promise.all(workers);

  let lost = 0;
  let revived = 0;
  for (const [token, { n, hasEnded }] of known) {
    const session = await rs.get({ app: APP, token, touch: false });
    if (hasEnded) revived += session === null ? 0 : 1;
    else lost += session !== null && session.d.n >= n ? 0 : 1;
  }
  await rs.wipe();
  const wrong = await indexErrors(client);
  const last = Math.max(killedAt, ...failures.map(({ at }) => at));
  client.disconnect();
  return [
    { measure: "sessions that were checked", value: known.size, unit: "" },
    { measure: "acknowledged writes that are lost", value: lost, unit: "", limit: 0 },
    { measure: "ended sessions that are alive", value: revived, unit: "", limit: 0 },
    { measure: "index entries that are wrong after wipe", value: wrong, unit: "", limit: 0 },
    { measure: "calls that failed", value: failures.length, unit: "" },
    { measure: "failover after the kill", value: (failedOver - killedAt) / 1000, unit: "s" },
    { measure: "last failure after the failover", value: Math.max(0, last - failedOver) / 1000, unit: "s", limit: 2.5 },
    {
      measure: "failures before the kill",
      value: failures.filter(({ at }) => at < killedAt).length,
      unit: "",
      limit: 0,
    },
  ];

  /**
   * Whether a replica has what this client has written for a session. WAIT concerns the writes of a connection, and blocks it, so it
   * must not be sent to a master without a replica.
   */
  async function isReplicated(token) {
    const address = client.slots[slotOf(TAGS[shardOf(token, SHARDS)])]?.[0];
    if (!withReplica.has(address)) return false;
    const node = client.nodes("master").find(({ options }) => `${options.host}:${options.port}` === address);
    return node !== undefined && (await node.wait(1, 500)) >= 1;
  }
}

/** Whether the replica of the first node has taken its place, as all other nodes see it. */
async function hasFailedOver([victim, ...others]) {
  const views = await Promise.all(others.map(({ admin }) => admin.cluster("NODES")));
  return views.every((view) => {
    const masters = view.split("\n").filter((line) => / (myself,)?master /.test(line));
    return masters.filter((line) => !line.includes(`:${victim.port}@`) && / \d+-\d+/.test(line)).length === 3;
  });
}

async function startNode(dir) {
  const port = await freePort();
  const args = [
    "--port",
    port,
    "--dir",
    dir,
    "--save",
    "",
    "--dbfilename",
    `${port}.rdb`,
    "--repl-diskless-sync-delay",
    "0",
  ];
  const inCluster = [
    "--cluster-enabled",
    "yes",
    "--cluster-config-file",
    `${port}.conf`,
    "--cluster-node-timeout",
    "1500",
  ];
  const server = spawn("redis-server", [...args, ...inCluster], { stdio: "ignore" });
  const admin = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null });
  admin.on("error", () => {});
  await admin.ping();
  return { port, server, admin };
}

/** Counts the entries of all shards that have no session, and the sessions that have no entry. */
async function indexErrors(client) {
  let wrong = 0;
  for (const tag of TAGS) {
    const base = `rs:{${tag}}:`;
    const [active, expiry, lists] = await Promise.all([
      client.zrange(`${base}active`, "0", "-1"),
      client.zrange(`${base}expiry`, "0", "-1"),
      client.hgetall(`${base}user-sessions`),
    ]);
    const owned = Object.entries(lists).flatMap(([id, list]) =>
      list
        .split("\n")
        .slice(1, -1)
        .map((ref) => id + ref),
    );
    for (const ref of active) wrong += 1 - (await client.exists(`${base}s:${ref}`));
    const entries = new Set(expiry);
    wrong += owned.filter((entry) => !entries.has(entry)).length + Math.abs(owned.length - expiry.length);
    wrong += Math.abs(active.length - expiry.length);
  }
  return wrong;
}
