// One user has very many or very long sessions. How long do they stall the process and Redis?
import { inThousands } from "../lib/measure.js";
import { RedisSessions } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { APP, newSession } from "../lib/sessions.js";
import { watchLoop } from "../lib/stall.js";

const MANY = 100_000;
const LONG = 200;

/** The longest command since the last reset of the slow log, in ms. */
async function slowest(redis) {
  const log = await redis.admin.slowlog("GET", 128);
  return Math.max(0, ...log.map(([, , µs]) => Number(µs))) / 1000;
}

export async function attack() {
  const redis = await startRedis();
  const rs = new RedisSessions({ client: redis.client(), wipe: 0, maxBytes: 2 ** 21 });
  await redis.admin.config("SET", "slowlog-log-slower-than", "1000", "slowlog-max-len", "1000");
  const rows = [];

  async function measure(name, work) {
    await redis.admin.slowlog("RESET");
    const loop = watchLoop();
    const start = performance.now();
    const found = await work().catch((error) => `${error.name}: ${error.message}`);
    const took = performance.now() - start;
    const { longest } = loop.end();
    if (typeof found === "string") console.error(`${name}: ${found}`);
    rows.push(
      { measure: name, value: took, unit: "ms" },
      { measure: "longest stall of the process", value: longest, unit: "ms", limit: 50 },
      { measure: "longest command of Redis", value: await slowest(redis), unit: "ms", limit: 10 },
    );
    return found;
  }

  await inThousands(MANY, (i) => rs.create({ ...newSession(i), id: "many" }));
  await measure(`soid of ${MANY} sessions`, () => rs.soid({ app: APP, id: "many" }));

  const text = "x".repeat(1000);
  const d = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key${i}`, text]));
  for (let i = 0; i < LONG; i++) await rs.create({ ...newSession(i), id: "long", d });
  await measure(`soid of ${LONG} sessions of 1 MB`, () => rs.soid({ app: APP, id: "long" }));

  let tries = 0;
  await measure("create with maxPerUser: 100, until it succeeds (at most 10 tries)", async () => {
    for (; tries < 10; ) {
      tries++;
      const left = await rs.create({ ...newSession(0), id: "many", maxPerUser: 100 }).catch((error) => error);
      if (!(left instanceof Error)) return left;
    }
    throw new Error("not created");
  });
  rows.push({ measure: "tries of that", value: tries, unit: "", limit: 3 });
  await rs.quit();
  redis.stop();
  return rows;
}
