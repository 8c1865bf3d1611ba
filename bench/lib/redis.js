import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/**
 * Starts a redis-server of our own: an empty one on a free port, that saves nothing by itself and ends with us.
 * `admin` is a client for what surrounds the measurements.
 */
export async function startRedis() {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-bench-"));
  const fixed = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"];
  const server = spawn("redis-server", [...fixed, "--enable-debug-command", "yes"], { stdio: "ignore" });
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
    return new RegExp(`^${field}:(.*)\r$`, "m").exec(await admin.info(section))?.[1];
  }

  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    admin,
    client,
    info,
    version: () => info("server", "redis_version"),
    usedMemory: async () => Number(await info("memory", "used_memory")),
    /** Processor time of the server so far, in µs. */
    cpu: async () => 1e6 * (Number(await info("cpu", "used_cpu_user")) + Number(await info("cpu", "used_cpu_sys"))),
    /** Keeps what is there under a name. */
    async keep(name) {
      await admin.save();
      copyFileSync(join(dir, "dump.rdb"), join(dir, `${name}.rdb`));
    },
    /** Puts what was kept in the place of what is there. What has expired since does not come back. */
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

/**
 * The longest time that the machine takes the processor from two programs at once that do nothing but look at the clock,
 * in ms: no command and no event loop can be expected to do better (`redis-cli --intrinsic-latency`, see
 * https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency/).
 */
export async function longestInterruption(seconds) {
  const run = () => promisify(execFile)("redis-cli", ["--intrinsic-latency", `${seconds}`]);
  const outputs = await Promise.all([run(), run()]);
  const found = outputs.flatMap(({ stdout }) => [...stdout.matchAll(/Max latency so far: (\d+) microseconds/g)]);
  return Math.max(...found.map(([, µs]) => Number(µs))) / 1000;
}
