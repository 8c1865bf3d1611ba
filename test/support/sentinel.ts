import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { freePort, startRedis, type TestRedis } from "./redis.js";

/** A master, one replica and three Sentinels, as processes on free ports. */
export interface TestSentinel {
  readonly name: string;
  /** The addresses of the Sentinels in the form of ioredis. */
  readonly sentinels: { host: string; port: number }[];
  /** The server that the first Sentinel names as the master. */
  master(): Promise<TestRedis>;
  /** The other server. */
  replica(): Promise<TestRedis>;
  /** Starts a graceful failover. */
  failover(): Promise<void>;
  /** Waits until all Sentinels name another master. */
  switched(from: TestRedis): Promise<void>;
  stop(): Promise<void>;
}

const NAME = "mymaster";

/** @param args command-line arguments of the master and the replica */
export async function startSentinel(args: string[] = []): Promise<TestSentinel> {
  const first = await startRedis(args);
  const replicaOf = ["--replicaof", "127.0.0.1", `${first.port}`, "--repl-diskless-sync-delay", "0"];
  const second = await startRedis([...args, ...replicaOf]);
  const follower = second.client();
  while (!(await follower.info("replication")).includes("master_link_status:up")) await sleep(20);

  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-"));
  const processes: ChildProcess[] = [];
  const sentinels: { host: string; port: number }[] = [];
  for (let i = 0; i < 3; i++) {
    const port = await freePort();
    const file = join(dir, `sentinel-${i}.conf`);
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
  const watchers = sentinels.map((address) => {
    const watcher = new Redis({ ...address, retryStrategy: () => 20, maxRetriesPerRequest: null });
    watcher.on("error", () => {});
    return watcher;
  });
  for (const watcher of watchers) {
    while (!/status=ok.*,slaves=1,sentinels=3/.test(await watcher.info("sentinel"))) await sleep(50);
  }

  const [admin] = watchers as [Redis];
  async function masterPort(watcher: Redis): Promise<number> {
    const [, port] = (await watcher.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)) as [string, string];
    return Number(port);
  }

  return {
    name: NAME,
    sentinels,
    master: async () => ((await masterPort(admin)) === first.port ? first : second),
    replica: async () => ((await masterPort(admin)) === first.port ? second : first),
    failover: async () => void (await admin.call("SENTINEL", "FAILOVER", NAME)),
    async switched(from) {
      for (const watcher of watchers) while ((await masterPort(watcher)) === from.port) await sleep(20);
    },
    async stop() {
      for (const watcher of watchers) watcher.disconnect();
      for (const child of processes) {
        child.kill("SIGKILL");
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      }
      await Promise.all([first.stop(), second.stop()]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
