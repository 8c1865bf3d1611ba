import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";

/** A separate, empty redis-server on a free port. */
export interface TestRedis {
  readonly port: number;
  readonly url: string;
  /** Creates a client of this server. `stop` closes it. */
  client(options?: RedisOptions): Redis;
  /** Runs `work`. Returns the commands that were sent to the server meanwhile, without those inside scripts. */
  watch(work: () => Promise<unknown>): Promise<string[][]>;
  /** Stops the process (SIGSTOP), so that it does not answer. */
  pause(): void;
  /** Continues the process (SIGCONT). */
  resume(): void;
  /** Ends the process at once (SIGKILL). Nothing is saved. */
  kill(): Promise<void>;
  /** Starts the process again on the same port, empty. */
  start(): Promise<void>;
  /** Closes all clients and ends the process. */
  stop(): Promise<void>;
}

/** Returns a port on which no process listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Starts a redis-server. `args` are its command-line arguments: `["--maxmemory", "10mb"]`. */
export async function startRedis(args: string[] = []): Promise<TestRedis> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-"));
  const clients: Redis[] = [];
  let server: ChildProcess;

  function client(options: RedisOptions = {}): Redis {
    const redis = new Redis({ port, host: "127.0.0.1", ...options, replyMapping: "legacy" });
    redis.on("error", () => {});
    clients.push(redis);
    return redis;
  }

  async function start(): Promise<void> {
    const fixed = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no"];
    server = spawn("redis-server", [...fixed, ...args], { stdio: "ignore" });
    const probe = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 10, maxRetriesPerRequest: null });
    probe.on("error", () => {});
    await probe.ping();
    probe.disconnect();
  }

  async function kill(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    server.kill("SIGKILL");
    await once(server, "exit");
  }

  async function watch(work: () => Promise<unknown>): Promise<string[][]> {
    const marker = client();
    // ioredis fails if a command arrives together with the answer to MONITOR, so send none until then.
    await marker.ping();
    const monitor = await marker.monitor();
    const seen: string[][] = [];
    const ended = new Promise<void>((resolve) => {
      monitor.on("monitor", (_time: string, command: string[], source: string) => {
        if (command[1] === "begin") seen.length = 0;
        else if (command[1] === "end") resolve();
        else if (source !== "lua") seen.push(command);
      });
    });
    await marker.echo("begin");
    await work();
    await marker.echo("end");
    await ended;
    monitor.disconnect();
    marker.disconnect();
    return seen;
  }

  await start();
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    client,
    watch,
    pause: () => void server.kill("SIGSTOP"),
    resume: () => void server.kill("SIGCONT"),
    kill,
    start,
    async stop() {
      for (const redis of clients) redis.disconnect();
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
