import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";

/** A port on which nothing listens. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Starts an empty redis-server on a free port, which stops when this process ends. It does not save to disk, unless `options`
 * say so. `admin` is a client for commands that are not measured.
 * @param options arguments of redis-server
 */
export async function startRedis(options = []) {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-bench-"));
  const fixed = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"];
  const server = spawn("redis-server", [...fixed, "--enable-debug-command", "yes", ...options], { stdio: "ignore" });
  const end = () => {
    server.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  };
  process.once("exit", end);

  const clients = [];
  function client() {
    const redis = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 20 });
    redis.on("error", () => {});
    clients.push(redis);
    return redis;
  }
  const admin = client();
  await admin.ping();

  async function info(section, field) {
    return fieldOf(await admin.info(section), field);
  }

  return {
    port,
    admin,
    client,
    version: () => info("server", "redis_version"),
    usedMemory: async () => Number(await info("memory", "used_memory")),
    /** The size of the append-only file, in bytes. */
    appended: async () => Number(await info("persistence", "aof_current_size")),
    /** What the server has done so far: its processor time in µs, all commands but INFO, and the scripts among them. */
    async usage() {
      const text = await admin.info("cpu", "commandstats");
      const count = { scripts: 0, commands: 0 };
      for (const [, name, calls] of text.matchAll(/^cmdstat_(\S+):calls=(\d+)/gm)) {
        if (name !== "info") count.commands += Number(calls);
        if (name === "evalsha" || name === "eval") count.scripts += Number(calls);
      }
      const seconds = Number(fieldOf(text, "used_cpu_user")) + Number(fieldOf(text, "used_cpu_sys"));
      return { ...count, cpu: seconds * 1e6 };
    },
    /** Saves a snapshot of the data under a name. */
    async keep(name) {
      await admin.save();
      copyFileSync(join(dir, "dump.rdb"), join(dir, `${name}.rdb`));
    },
    /** Replaces the data with a snapshot. Keys that have expired since are not restored. */
    async restore(name) {
      copyFileSync(join(dir, `${name}.rdb`), join(dir, "dump.rdb"));
      await admin.debug("RELOAD", "NOSAVE");
    },
    stop() {
      for (const redis of clients) redis.disconnect();
      process.off("exit", end);
      end();
    },
  };
}

function fieldOf(info, field) {
  return new RegExp(`^${field}:(.*)\\r$`, "m").exec(info)?.[1];
}

/**
 * The intrinsic latency of the machine, in ms: the longest pause of two concurrent programs that only read the clock. No
 * command and no event loop can do better (`redis-cli --intrinsic-latency`, see
 * https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency/).
 */
export async function longestInterruption(seconds) {
  const run = () => promisify(execFile)("redis-cli", ["--intrinsic-latency", `${seconds}`]);
  const outputs = await Promise.all([run(), run()]);
  const found = outputs.flatMap(({ stdout }) => [...stdout.matchAll(/Max latency so far: (\d+) microseconds/g)]);
  return Math.max(...found.map(([, µs]) => Number(µs))) / 1000;
}
