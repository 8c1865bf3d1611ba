// Takes the screenshots of the dashboard in docs/images, with invented sessions. Needs redis-server and Chromium.
//
//   npm run build && node tools/screenshots.js
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { Redis } from "ioredis";
import { RedisSessions } from "ioredis-sessions";
import { dashboard } from "ioredis-sessions/dashboard";
import { chromium } from "playwright-core";

const IMAGES = new URL("../docs/images/", import.meta.url);
const APP = "webapp";
const PORT = 7199;
const WIDTH = 1360; // pixels
const DAY = 86_400; // seconds

const DEVICES = [
  ...["Chrome on Windows", "Chrome on Windows", "Chrome on macOS", "Chrome on Android", "Chrome on Android"],
  ...["Safari on iOS", "Safari on iOS", "Safari on macOS", "Firefox on Windows", "Firefox on Linux"],
  "Microsoft Edge on Windows",
];
const PEOPLE = ["bob@example.com", "carla", "dmitri", "emre", "farah", "grace.h", "hana", "ines", "jonas", "kofi"];

/** Always the same numbers from 0 to 1, so that the screenshots differ only where the pages differ. */
let state = 42;
function random() {
  state = (state * 16_807) % 2_147_483_647;
  return state / 2_147_483_647;
}
const pick = (list) => list[Math.floor(random() * list.length)];

const server = spawn("redis-server", ["--port", PORT, "--save", ""], { stdio: "ignore" });
process.on("exit", () => server.kill());
const client = new Redis(PORT, { retryStrategy: () => 50 });
client.on("error", () => {});
const rs = new RedisSessions({ client, wipe: 0, events: true });

/** Creates a session that was last used some seconds ago, and created some time before. */
async function create(id, { device = pick(DEVICES), ip, idle, age = idle + random() * DAY, actor }) {
  const address = ip ?? `198.51.100.${1 + Math.floor(random() * 250)}`;
  const ttl = 14 * DAY;
  const { ref } = await rs.create({ app: APP, id, ip: address, device, ttl, ...(actor && { actor }) });
  const key = `rs:{${APP}}:s:${ref}`;
  const lines = (await client.get(key)).split("\n");
  const lastUse = Math.round(Date.now() - idle * 1000);
  lines[0] = lastUse;
  lines[4] = Math.round(Date.now() - age * 1000);
  await client.set(key, lines.join("\n"), "KEEPTTL");
  await client.zadd(`rs:{${APP}}:active`, lastUse, ref);
  return { id: JSON.stringify(id), lastUse };
}

const created = [];
for (let i = 0; i < 2400; i++) {
  const hours = random() < 0.06 ? random() * 0.15 : random() ** 1.1 * 24;
  // Fewer people are there at night.
  if (hours > 8 && hours < 15 && random() < 0.7) continue;
  created.push(await create(`user-${1000 + i}`, { idle: 60 + hours * 3600 }));
}
for (const [i, id] of PEOPLE.entries()) created.push(await create(id, { idle: 4 + i * 3 }));
created.push(
  await create("alice", { device: "Firefox on Windows", ip: "203.0.113.7", idle: 3 * DAY, age: 9 * DAY }),
  await create("alice", { device: "Safari on iOS", ip: "2001:db8::a7", idle: 40, age: 5 * DAY }),
  await create("alice", { device: "Chrome on macOS", ip: "203.0.113.7", idle: 1500, age: 2 * DAY }),
  await create("alice", { device: "Chrome on Windows", ip: "198.51.100.4", idle: 700, age: 900, actor: "dana" }),
);
for (const { id, lastUse } of created) await client.zadd(`rs:{${APP}}:users`, "LT", lastUse, id);
await client.zadd(`rs:{${APP}}:users`, Date.now() - 40_000, '"alice"');

/** Makes something happen that an open overview shows. */
async function live() {
  for (const id of ["lena", "milo@example.com", "noor"])
    await rs.create({ app: APP, id, ip: "203.0.113.9", device: pick(DEVICES) });
  const { ref } = await rs.create({ app: APP, id: "olga", ip: "203.0.113.12", device: "Chrome on Android" });
  await rs.kill({ app: APP, ref });
  await rs.create({ app: APP, id: "piet", ip: "203.0.113.40", device: "Safari on iOS" });
}

const authorize = () => ({ role: "support", actor: "dana" });
const http = createServer(dashboard({ rs, apps: [APP], authorize })).listen(0, "127.0.0.1");
await once(http, "listening");

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({
  viewport: { width: WIDTH, height: 1300 },
  locale: "en-GB",
  timezoneId: "Europe/London",
});
mkdirSync(IMAGES, { recursive: true });
const shoot = (name, height) =>
  page.screenshot({ path: new URL(`${name}.png`, IMAGES).pathname, clip: { x: 0, y: 0, width: WIDTH, height } });

await page.goto(`http://localhost:${http.address().port}/`);
await page.getByText("Live").waitFor();
await live();
await page.getByText("piet signed in").waitFor();
await page.getByRole("rowheader", { name: "piet" }).waitFor();
await shoot("dashboard-overview", 1180);
await page.getByRole("searchbox").fill("alice");
await page.getByRole("button", { name: "Find" }).click();
await page.getByRole("heading", { name: "alice" }).waitFor();
await shoot("dashboard-user", 500);
await browser.close();
process.exit();
