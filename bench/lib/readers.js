// A separate process with 50 connections, each of which reads a session every 10 ms: `node readers.js <port of Redis>`.
// A message `{ tokens, ms }` starts a round. The reply is `{ p99 }`, in µs.
import { Redis } from "ioredis";
import { percentile } from "./measure.js";
import { RedisSessions } from "./product.js";
import { APP } from "./sessions.js";

const engines = Array.from({ length: 50 }, () => {
  const client = new Redis({ port: Number(process.argv[2]), host: "127.0.0.1" });
  // The benchmark stops Redis before this process.
  client.on("error", () => {});
  return new RedisSessions({ client, wipe: 0, timeout: 60_000 });
});

process.on("message", async ({ tokens, ms }) => {
  const end = performance.now() + ms;
  const times = [];
  await Promise.all(
    engines.map(async (rs, n) => {
      await new Promise((resolve) => setTimeout(resolve, (n * 10) / engines.length));
      for (let i = n; performance.now() < end; i += engines.length) {
        const start = performance.now();
        const session = await rs.get({ app: APP, token: tokens[i % tokens.length] });
        if (session === null) throw new Error("A session has ended while it was being read");
        const took = performance.now() - start;
        times.push(took * 1000);
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, 10 - took)));
      }
    }),
  );
  process.send({ p99: percentile(times, 0.99) });
});
process.on("disconnect", () => process.exit());
await Promise.all(engines.map((rs) => rs.ping()));
process.send({ ready: true });
