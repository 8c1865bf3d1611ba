// Finds a Redis for an example: the one in REDIS_URL, else a new redis-server that ends with the example, else
// ioredis-mock in this process. The examples therefore run on any machine with Node.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";

/** Without socketTimeout, ioredis never replaces a connection that died silently (behind a NAT), and every call would fail. */
const OPTIONS = { socketTimeout: 3000 }; // ms; longer than the engine's timeout

export async function openRedis() {
  if (process.env.REDIS_URL) {
    console.log("Redis: the one in REDIS_URL");
    return withListener(new Redis(process.env.REDIS_URL, OPTIONS));
  }
  const port = await startServer();
  if (port !== undefined) {
    console.log(`Redis: a private redis-server on port ${port}, which ends with this example`);
    return withListener(new Redis(port, OPTIONS));
  }
  console.log("Redis: none found, so an in-process stand-in (ioredis-mock); sessions last as long as this process");
  const { default: RedisMock } = await import("ioredis-mock");
  return new RedisMock();
}

/** Prints the reason when the connection fails. Calls fail as well, with an error whose `cause` is the reason. */
function withListener(client) {
  return client.on("error", (error) => console.error("Redis:", error.message));
}

async function startServer() {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-example-"));
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", dir];
  const server = spawn("redis-server", options, { stdio: ["ignore", "pipe", "ignore"] });
  process.on("exit", () => {
    server.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit());
  return await new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.once("exit", () => resolve(undefined));
    server.stdout.on("data", (line) => {
      if (String(line).includes("Ready to accept connections")) resolve(port);
    });
  });
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  return port;
}
