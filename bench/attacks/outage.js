import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisSessions } from "../lib/product.js";
import { freePort } from "../lib/redis.js";

/** The length of the outage, in ms. */
const OUTAGE = 10_000;

/**
 * Signs in 500 users a second while Redis is down or hangs. Counts the sessions that appear afterwards although their
 * callers got `timeout`, and measures the time until the first successful call.
 */
export async function attack() {
  const rows = [];
  for (const [how, end, begin] of [
    ["is killed", kill, start],
    ["hangs", pause, resume],
  ]) {
    const redis = { port: await freePort(), dir: mkdtempSync(join(tmpdir(), "ioredis-sessions-bench-")) };
    await start(redis);
    const rs = new RedisSessions({ port: redis.port, wipe: 0 });
    await rs.create({ app: "webapp", id: "first", ip: "::1" });
    await rs.killall({ app: "webapp" });
    await end(redis);
    const told = await signInFor(OUTAGE, rs);
    const back = performance.now();
    await begin(redis);
    while ((await rs.ping().catch(() => undefined)) !== "PONG") await sleep(5);
    rows.push({
      measure: `first good answer after Redis ${how}`,
      value: performance.now() - back,
      unit: "ms",
      limit: 2000,
    });
    await sleep(500);
    const { sessions } = await rs.soapp({ app: "webapp", dt: 60 });
    rows.push({ measure: `callers told timeout or unavailable while Redis ${how}`, value: told, unit: "calls" });
    // This includes calls that were sent before the hang was detected.
    rows.push({
      measure: `their sessions that appear afterwards (${how})`,
      value: sessions.length,
      unit: "sessions",
      limit: how === "hangs" ? 2 * 500 * 2 : 0,
    });
    await rs.quit();
    await kill(redis);
    rmSync(redis.dir, { recursive: true, force: true });
  }
  return rows;
}

/** Signs users in for a number of ms. Returns the number of failed calls. */
async function signInFor(ms, rs) {
  const calls = [];
  for (const began = performance.now(); performance.now() < began + ms; await sleep(10)) {
    while (calls.length < (performance.now() - began) / 2) {
      calls.push(
        rs.create({ app: "webapp", id: `user${calls.length}`, ip: "::1" }).then(
          () => 0,
          () => 1,
        ),
      );
    }
  }
  return (await Promise.all(calls)).reduce((sum, one) => sum + one, 0);
}

async function start(redis) {
  const fixed = ["--port", `${redis.port}`, "--bind", "127.0.0.1", "--dir", redis.dir, "--save", ""];
  redis.server = spawn("redis-server", fixed, { stdio: "ignore" });
}

async function kill(redis) {
  redis.server.kill("SIGKILL");
  await once(redis.server, "exit");
}

async function pause(redis) {
  redis.server.kill("SIGSTOP");
}

async function resume(redis) {
  redis.server.kill("SIGCONT");
}
