// The command imports 100,000 sessions of connect-redis, and as many of redis-sessions, while an app serves requests. How
// long does it take, and what does it cost the app?
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { RedisStore as ConnectRedis } from "connect-redis";
import { createClient } from "redis";
import { default as foreign } from "redis-sessions";
import { inThousands, percentile } from "../lib/measure.js";
import { RedisSessions, RedisStore } from "../lib/product.js";
import { longestInterruption, startRedis } from "../lib/redis.js";
import { newSession } from "../lib/sessions.js";

const MANY = 100_000;
const APP = "webapp";
const COMMAND = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** How many calls the app makes at once, and how long they are measured without an import, in ms. */
const CONNECTIONS = 10;
const CALM = 5000;

/** Each fills Redis, and returns the flags of the command and a request of the app. */
const SOURCES = {
  async "connect-redis 10"(redis) {
    const client = await createClient({ url: redis.url }).connect();
    const old = new ConnectRedis({ client });
    const cookie = { originalMaxAge: 3_600_000, expires: new Date(Date.now() + 3_600_000), path: "/" };
    await inThousands(MANY, (i) => old.set(`sid${i}`, { cookie, userId: `user${i % 1000}`, cart: ["tea"] }));
    client.destroy();
    const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 30_000 });
    const store = new RedisStore({ rs, app: "sess" });
    return {
      flags: ["--from", "connect-redis"],
      imported: () => redis.admin.zcard("rs:{sess}:active"),
      async request(i) {
        const sid = `sid${i % 1000}`;
        const session = await store.get(sid);
        if (session === null) throw new Error(`${sid} is signed out`);
        session.views = i;
        await store.set(sid, session);
      },
    };
  },
  async "redis-sessions 4"(redis) {
    const old = new foreign.default({ port: redis.port, wipe: 0 });
    await inThousands(MANY, (i) => old.create({ ...newSession(i), app: APP, id: `user${i % 1000}` }));
    await old.quit();
    const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 30_000 });
    const mine = await inThousands(1000, (i) => rs.create({ ...newSession(i), app: APP, id: `new${i}` }));
    return {
      flags: ["--from", "redis-sessions", "--app", APP],
      imported: async () => (await redis.admin.zcard("rs:{webapp}:active")) - mine.length,
      async request(i) {
        const { token } = mine[i % mine.length];
        await rs.get({ app: APP, token });
        await rs.set({ app: APP, token, d: { views: i } });
      },
    };
  },
};

/** Makes requests until `end` settles. Returns their durations in ms. */
async function latencies(request, end) {
  const durations = [];
  let running = true;
  let n = 0;
  const stop = () => {
    running = false;
  };
  end.then(stop, stop);
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (running) {
        const start = performance.now();
        await request(n++);
        durations.push(performance.now() - start);
        // A visitor is not always there.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }),
  );
  return durations;
}

export async function attack() {
  // The pauses of the machine count in the other figures, too.
  const pause = await longestInterruption(20);
  const rows = [{ measure: "longest interruption of the machine", value: pause, unit: "ms" }];
  for (const [name, fill] of Object.entries(SOURCES)) {
    const redis = await startRedis();
    const { flags, imported, request } = await fill(redis);
    const calm = await latencies(request, new Promise((resolve) => setTimeout(resolve, CALM)));
    await redis.admin.config("SET", "slowlog-log-slower-than", "500", "slowlog-max-len", "1000");
    await redis.admin.slowlog("RESET");
    const start = performance.now();
    const child = spawn(process.execPath, [COMMAND, "import", ...flags, "--json", "--redis", redis.url]);
    const output = text(child.stdout);
    const busy = await latencies(request, once(child, "close"));
    const took = (performance.now() - start) / 1000;
    const result = JSON.parse(await output);
    console.error(`${name}: ${JSON.stringify(result)}`);
    const log = await redis.admin.slowlog("GET", 1000);
    const slowest = log.map(([, , µs, [command]]) => [Number(µs) / 1000, command]).sort(([a], [b]) => b - a);
    console.error("slowest commands in ms:", slowest.slice(0, 8).flat().join(" "));
    rows.push(
      { measure: `${name}: sessions missing after the import`, value: MANY - (await imported()), unit: "", limit: 0 },
      { measure: `${name}: duration`, value: took, unit: "s" },
      {
        measure: `${name}: longest command of Redis`,
        value: slowest[0]?.[0] ?? 0,
        unit: "ms",
        limit: Math.max(10, pause),
      },
      { measure: `${name}: request of the app without import, median`, value: percentile(calm, 0.5), unit: "ms" },
      { measure: `${name}: request of the app without import, p99`, value: percentile(calm, 0.99), unit: "ms" },
      { measure: `${name}: request of the app while it runs, median`, value: percentile(busy, 0.5), unit: "ms" },
      { measure: `${name}: request of the app while it runs, p99`, value: percentile(busy, 0.99), unit: "ms" },
    );
    redis.stop();
  }
  return rows;
}
