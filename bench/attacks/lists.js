// Lists 100,000 sessions by REST. How long is a response, and how long do other requests wait?
import { once } from "node:events";
import { createServer } from "node:http";
import express from "express";
import { inThousands } from "../lib/measure.js";
import { RedisSessions, rest } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { APP, newSession } from "../lib/sessions.js";
import { watchLoop } from "../lib/stall.js";

const COUNT = 100_000;

export async function attack() {
  const redis = await startRedis();
  const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 30_000 });
  await inThousands(COUNT, (i) => rs.create(newSession(i)));
  const server = createServer(express().use(rest({ rs, authorize: false }))).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}/${APP}/soapp?dt=3600`;

  const rows = [];
  for (const atOnce of [1, 8]) {
    const before = process.memoryUsage().rss;
    const loop = watchLoop();
    const answers = await Promise.all(
      Array.from({ length: atOnce }, async () => (await (await fetch(url)).arrayBuffer()).byteLength),
    );
    const { longest, most } = loop.end();
    rows.push(
      { measure: `soapp without limit, ${atOnce} at once: one answer`, value: answers[0] / 1e6, unit: "MB", limit: 3 },
      { measure: "longest stall of the server (and of this client)", value: longest, unit: "ms", limit: 50 },
      { measure: "resident memory on top", value: (most - before) / 1e6, unit: "MB", limit: 100 },
    );
  }
  const loop = watchLoop();
  const start = performance.now();
  await rs.soapp({ app: APP, dt: 3600, limit: 50, offset: COUNT - 100 });
  rows.push(
    { measure: "soapp, the 50 sessions at offset 99,900", value: performance.now() - start, unit: "ms" },
    { measure: "longest stall of that", value: loop.end().longest, unit: "ms", limit: 50 },
  );
  server.closeAllConnections();
  server.close();
  await rs.quit();
  redis.stop();
  return rows;
}
