import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { freePort } from "./redis.js";

const NAME = "mymaster";

/**
 * Starts a master, its replicas and three Sentinels on free ports.
 * @param replicas the number of replicas
 * @param options arguments of redis-server for the master and the replicas
 */
export async function startSentinel(replicas, options = []) {
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-bench-"));
  const clients = [];
  const processes = [];

  function client(port) {
    const redis = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 20, maxRetriesPerRequest: null });
    redis.on("error", () => {});
    clients.push(redis);
    return redis;
  }

  async function startNode(extra) {
    const port = await freePort();
    const fixed = [
      "--port",
      `${port}`,
      "--bind",
      "127.0.0.1",
      "--dir",
      dir,
      "--dbfilename",
      `${port}.rdb`,
      "--save",
      "",
    ];
    const server = spawn("redis-server", [...fixed, "--repl-diskless-sync-delay", "0", ...options, ...extra], {
      stdio: "ignore",
    });
    processes.push(server);
    const node = { port, server, admin: client(port) };
    await node.admin.ping();
    return node;
  }

  const first = await startNode([]);
  const nodes = [first];
  for (let i = 0; i < replicas; i++) nodes.push(await startNode(["--replicaof", "127.0.0.1", `${first.port}`]));
  const inStep = () => nodes.slice(1).map(({ admin }) => admin.info("replication"));
  while ((await Promise.all(inStep())).some((info) => !info.includes("master_link_status:up"))) await sleep(20);

  const sentinels = [];
  for (let i = 0; i < 3; i++) {
    const port = await freePort();
    const file = join(dir, `sentinel-${port}.conf`);
    const lines = [
      `port ${port}`,
      "bind 127.0.0.1",
      `dir ${dir}`,
      `sentinel monitor ${NAME} 127.0.0.1 ${first.port} 2`,
      `sentinel down-after-milliseconds ${NAME} 1000`,
      `sentinel failover-timeout ${NAME} 5000`,
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    processes.push(spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" }));
    sentinels.push({ host: "127.0.0.1", port });
  }
  const watchers = sentinels.map(({ port }) => client(port));
  const knowsAll = async (watcher) => {
    const text = await watcher.info("sentinel");
    return text.includes(`slaves=${replicas},sentinels=3`) && text.includes("status=ok");
  };
  while ((await Promise.all(watchers.map(knowsAll))).includes(false)) await sleep(50);

  const nodeOf = ([, port]) => nodes.find((node) => node.port === Number(port));
  return {
    name: NAME,
    sentinels,
    /** The master, according to the first Sentinel. */
    master: async () => nodeOf(await watchers[0].call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)),
    /** Starts a graceful failover. */
    failover: () => watchers[0].call("SENTINEL", "FAILOVER", NAME),
    /** Waits until all Sentinels report another master. */
    async switched(from) {
      for (const watcher of watchers) {
        while (nodeOf(await watcher.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) === from) await sleep(20);
      }
    },
    /** Waits until the old master replicates from the new one. */
    async demoted({ admin }) {
      while (!(await admin.info("replication")).includes("master_link_status:up")) await sleep(20);
    },
    async stop() {
      for (const redis of clients) redis.disconnect();
      for (const child of processes) {
        child.kill("SIGKILL");
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
