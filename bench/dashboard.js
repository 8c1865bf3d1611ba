// Measures the pages of the dashboard over a million sessions: the time of each, and the longest command in Redis.
//
//   npm run build && node bench/dashboard.js [sessions]
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { median, percentile } from "./lib/measure.js";
import { dashboard, RedisSessions } from "./lib/product.js";
import { longestInterruption, startRedis } from "./lib/redis.js";

const COUNT = Number(process.argv[2] ?? 1_000_000);
const ROUNDS = 20;
const PLANT = readFileSync(new URL("../test/dashboard/support/plant.lua", import.meta.url), "utf8");

const redis = await startRedis();
const now = Date.now();
for (let at = 0; at < COUNT; at += 10_000) {
  await redis.admin.eval(PLANT, 0, "rs:{webapp}:", at, Math.min(COUNT, at + 10_000), now);
}
await redis.admin.config("SET", "slowlog-log-slower-than", 0, "slowlog-max-len", 100_000);

const rs = new RedisSessions({ client: redis.client(), wipe: 0 });
const authorize = () => ({ role: "admin", actor: "bench" });
const server = createServer(dashboard({ rs, apps: ["webapp"], authorize })).listen(0, "127.0.0.1");
await once(server, "listening");
const base = `http://localhost:${server.address().port}`;

const [cookie] = (await fetch(`${base}/webapp/`)).headers.getSetCookie()[0].split(";");
const get = async (path) => (await fetch(`${base}/webapp/${path}`, { headers: { cookie } })).text();
const linkTo = (html, pattern) => pattern.exec(html)?.[1];

const first = await get("sessions");
const deep = linkTo(await get("sessions?unused=oneWeek"), /rel="next" href="\.\.\/webapp\/([^"]+)"/);
const user = linkTo(first, /href="\.\.\/webapp\/(user\/[^"]+)"/);
const session = linkTo(first, /href="\.\.\/webapp\/(session\/[^"/]+)"/);
const pages = { overview: "", "first page of the list": "sessions", "a page a week deep": deep, user, session };

for (const [name, path] of Object.entries(pages)) {
  await redis.admin.slowlog("RESET");
  const times = [];
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now();
    await get(path);
    times.push(performance.now() - start);
  }
  const commands = (await redis.admin.slowlog("GET", 100_000)).map(([, , microseconds]) => microseconds);
  const [ms, max] = [median(times), Math.max(...times)].map((time) => time.toFixed(1));
  const [almostAll, all] = [percentile(commands, 0.99), Math.max(...commands)].map((time) => (time / 1000).toFixed(1));
  console.log(`${name}: ${ms} ms (longest ${max}); of its commands, 99 % take ${almostAll} ms (longest ${all})`);
}
console.log(`The machine itself was interrupted for up to ${await longestInterruption(5)} ms.`);
process.exit();
