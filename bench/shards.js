// npm run build && node bench/shards.js [cost] [move] [wiper] [--quick]
// One app on a Cluster of three masters, with 1, 4 and 16 shards: what each master has to do, what the client pays, and how many
// users are delayed while a slot moves. All three masters, the client and this script share the cores of the machine, so the
// throughput that is printed is not that of a Cluster. The ceiling is computed from the CPU time of the busiest master.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cluster, Redis } from "ioredis";
import { slotOf } from "../dist/redis/slot.js";
import { shardOf, tagsOf } from "../dist/sessions/shard.js";
import { RedisSessions } from "./lib/product.js";
import { freePort } from "./lib/redis.js";
import { DATA } from "./lib/sessions.js";

const PARTS = ["cost", "move", "wiper"];
const chosen = PARTS.filter((part) => process.argv.includes(part));
const isChosen = (part) => chosen.length === 0 || chosen.includes(part);
const quick = process.argv.includes("--quick");
const USERS = quick ? 4000 : 20_000;
const SECONDS = quick ? 1 : 3;
const ROUNDS = quick ? 3 : 7;
/** Between two chunks of a slot that moves, in ms. */
const PAUSE = quick ? 5 : 2;
const CONNECTIONS = 50;
/** Between two calls of a connection while a slot moves, in ms. */
const INTERVAL = 20;
const APP = "bench";
const APPS = quick ? 200 : 2000;

const dir = mkdtempSync(join(tmpdir(), "shards-"));
const nodes = [];
process.on("exit", () => {
  for (const { server } of nodes) server.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

const cluster = await startCluster();
const COUNTS = [1, 4, 16];
const subjects = [];
if (isChosen("cost") || isChosen("move")) for (const shards of COUNTS) subjects.push(await fill(shards));
if (isChosen("cost")) {
  // In turns, because other work on the machine changes the figures. The best round of each is the least disturbed one.
  for (let round = 0; round < ROUNDS; round++) for (const subject of subjects) await measure(subject);
  console.table(subjects.map(({ row }) => row));
  const [one, , sixteen] = subjects;
  const ratio = sixteen.row["client µs a call"] / one.row["client µs a call"];
  console.log(`client CPU, 16 shards to 1: ${ratio.toFixed(2)}`);
}
if (isChosen("move")) {
  for (const subject of subjects) {
    console.log(`users delayed while a slot moves, ${subject.shards} shards: ${await moveOneSlot(subject)}`);
  }
}
if (isChosen("wiper")) console.log(`wiper's round, ${await wiperRound()}`);
cluster.disconnect();
process.exit();

/** Creates an app with this number of shards, and notes what each master got. */
async function fill(shards) {
  const app = `${APP}${shards}`;
  const rs = new RedisSessions({ client: cluster, wipe: 0, timeout: 30_000, shards });
  const [keys, memory] = [await each(({ admin }) => admin.dbsize()), await each(used)];
  const tokens = [];
  for (let i = 0; i < USERS; i += 500) {
    const some = Array.from({ length: 500 }, (_, j) =>
      rs.create({ app, id: `user${i + j}`, ip: "203.0.113.7", d: DATA }),
    );
    for (const { token } of await Promise.all(some)) tokens.push(token);
  }
  const row = {
    shards,
    "keys a master": shares(await each(({ admin }) => admin.dbsize()), keys),
    "memory a master": shares(await each(used), memory),
  };
  return { shards, app, rs, tokens, row };
}

async function measure({ app, rs, tokens, row }) {
  await work(app, rs, tokens, 0.3);
  const [before, sentBefore] = [await each(cpu), await each(scripts)];
  const own = process.cpuUsage();
  const calls = await work(app, rs, tokens, SECONDS);
  const { user, system } = process.cpuUsage(own);
  const spent = (await each(cpu)).map((seconds, i) => seconds - before[i]);
  const µs = (user + system) / calls;
  if (µs > (row["client µs a call"] ?? Number.POSITIVE_INFINITY)) return;
  const sent = (await each(scripts)).map((count, i) => count - sentBefore[i]);
  Object.assign(row, {
    "commands a master": shares(sent),
    "calls a command": Number((calls / sent.reduce((a, b) => a + b)).toFixed(1)),
    "calls/s": Math.round(calls / SECONDS),
    "Redis µs a call": spent.map((seconds) => ((seconds * 1e6) / calls).toFixed(1)).join(" "),
    "ceiling, calls/s": Math.round(calls / Math.max(...spent)),
    "client µs a call": Number(µs.toFixed(1)),
  });
}

/** What each master has of the increase, in percent. */
function shares(after, before = [0, 0, 0]) {
  const grown = after.map((value, i) => value - before[i]);
  const sum = grown.reduce((a, b) => a + b);
  return grown.map((value) => `${Math.round((100 * value) / sum)} %`).join(" ");
}

function each(ask) {
  return Promise.all(nodes.map((node) => ask(node)));
}

/** Calls without a pause on 50 connections: nine reads, one write. */
async function work(app, rs, tokens, seconds) {
  const end = performance.now() + seconds * 1000;
  let calls = 0;
  const loop = async () => {
    while (performance.now() < end) {
      const token = tokens[Math.floor(Math.random() * tokens.length)];
      if (calls++ % 10 === 0) await rs.set({ app, token, d: { visits: calls } });
      else await rs.get({ app, token });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, loop));
  return calls;
}

/**
 * Moves one slot to the next master under load. Returns which share of the users had a call that took far longer than before: all users,
 * those of the slot, those of the other slots of the two masters, and those of the third master.
 */
async function moveOneSlot({ shards, app, rs, tokens }) {
  const match = shards === 1 ? `rs:{${app}}:active` : `rs:{${app}.*}:active`;
  const found = await each(({ admin }) => admin.scan("0", "MATCH", match, "COUNT", 1_000_000));
  const [key] = found.flatMap(([, keys]) => keys);
  const slot = slotOf(/{(.*)}/.exec(key)[1]);
  const owner = ownerOf(slot);
  const [from, to] = [nodes[owner], nodes[(owner + 1) % 3]];
  const slots = tagsOf(app, shards).map(slotOf);
  const groupOf = (user) => {
    const itsSlot = slots[shards === 1 ? 0 : shardOf(tokens[user], shards)];
    if (itsSlot === slot) return "its slot";
    return [from, to].includes(nodes[ownerOf(itsSlot)]) ? "its masters" : "the third";
  };
  const took = [];
  let phase = "before";
  const calls = [];
  const call = async () => {
    const user = Math.floor(Math.random() * tokens.length);
    const start = performance.now();
    const began = phase;
    await rs.get({ app, token: tokens[user] });
    took.push({ user, ms: performance.now() - start, during: began === "moving" || phase === "moving" });
  };
  // Visitors do not wait for each other. So the next call is made whether the last one was answered or not.
  const loop = async () => {
    await sleep(Math.random() * INTERVAL);
    for (; phase !== "after"; await sleep(INTERVAL)) calls.push(call());
  };
  const loops = Array.from({ length: CONNECTIONS }, loop);
  await sleep(3000);
  phase = "moving";
  const start = performance.now();
  await to.admin.call("CLUSTER", "SETSLOT", slot, "IMPORTING", from.id);
  await from.admin.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id);
  for (;;) {
    const keys = await from.admin.call("CLUSTER", "GETKEYSINSLOT", slot, 20);
    if (keys.length === 0) break;
    await from.admin.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", ...keys);
    await sleep(PAUSE);
  }
  for (const { admin } of [to, from, ...nodes]) await admin.call("CLUSTER", "SETSLOT", slot, "NODE", to.id);
  const ms = performance.now() - start;
  phase = "after";
  await Promise.all(loops);
  await Promise.all(calls);
  // What else the machine does delays calls, too. So a call was delayed by the move if it took longer than 99.9 % of those before.
  const usual = took.filter(({ during }) => !during).map((one) => one.ms);
  usual.sort((a, b) => a - b);
  const limit = usual[Math.floor(usual.length * 0.999)];
  const asked = new Set(took.filter(({ during }) => during).map(({ user }) => user));
  const slow = new Set(took.filter((one) => one.during && one.ms > limit).map(({ user }) => user));
  const delayed = (group) => {
    const users = [...asked].filter((user) => group === "all" || groupOf(user) === group);
    if (users.length === 0) return "";
    return `${group} ${((100 * users.filter((user) => slow.has(user)).length) / users.length).toFixed(1)} %, `;
  };
  const shares = ["all", "its slot", "its masters", "the third"].map(delayed).join("");
  return `${shares}in ${(ms / 1000).toFixed(1)} s (over ${limit.toFixed(0)} ms)`;
}

/** The index of the master that had a slot in the beginning. */
function ownerOf(slot) {
  return nodes.findIndex(({ first, last }) => slot >= first && slot <= last);
}

/** One session in each of 2,000 apps with 16 shards. Returns what a round of the wiper costs. */
async function wiperRound() {
  const rs = new RedisSessions({ client: cluster, wipe: 0, timeout: 30_000, shards: 16, namespace: "many" });
  for (let i = 0; i < APPS; i += 100) {
    const some = Array.from({ length: 100 }, (_, j) =>
      rs.create({ app: `app${i + j}`, id: "alice", ip: "203.0.113.7" }),
    );
    await Promise.all(some);
  }
  const [redis, own, start] = [await each(cpu), process.cpuUsage(), performance.now()];
  let stall = 0;
  let last = start;
  const timer = setInterval(() => {
    stall = Math.max(stall, performance.now() - last - 1);
    last = performance.now();
  }, 1);
  await rs.wipe();
  clearInterval(timer);
  const { user, system } = process.cpuUsage(own);
  const spent = (await each(cpu)).map((seconds, i) => ((seconds - redis[i]) * 1000).toFixed(0));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  return `${APPS} apps: ${seconds} s, client ${((user + system) / 1000).toFixed(0)} ms, masters ${spent.join(" ")} ms, longest stall ${stall.toFixed(0)} ms`;
}

async function startCluster() {
  for (let i = 0; i < 3; i++) {
    const port = await freePort();
    const args = ["--port", port, "--dir", dir, "--save", "", "--cluster-enabled", "yes"];
    const server = spawn("redis-server", [...args, "--cluster-config-file", `nodes-${port}.conf`], { stdio: "ignore" });
    const admin = new Redis({ port, retryStrategy: () => 50, maxRetriesPerRequest: null });
    admin.on("error", () => {});
    const [first, last] = [Math.ceil((i * 16_384) / 3), Math.ceil(((i + 1) * 16_384) / 3) - 1];
    await admin.call("CLUSTER", "ADDSLOTS", ...Array.from({ length: last - first + 1 }, (_, n) => first + n));
    await admin.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1);
    if (i > 0) await admin.call("CLUSTER", "MEET", "127.0.0.1", nodes[0].port);
    nodes.push({ port, server, admin, first, last, id: await admin.call("CLUSTER", "MYID") });
  }
  for (const { admin } of nodes) {
    while (!String(await admin.call("CLUSTER", "INFO")).includes("cluster_state:ok")) await sleep(50);
    while ((await admin.call("CLUSTER", "NODES")).trim().split("\n").length < 3) await sleep(50);
  }
  const client = new Cluster(nodes.map(({ port }) => ({ port, host: "127.0.0.1" })));
  client.on("error", () => {});
  return client;
}

async function info(admin, section, name) {
  return Number(new RegExp(`${name}[:=]([\\d.]+)`).exec(await admin.info(section))?.[1] ?? 0);
}

async function cpu({ admin }) {
  return (await info(admin, "cpu", "used_cpu_user")) + (await info(admin, "cpu", "used_cpu_sys"));
}

/** The memory of the data, in bytes. */
function used({ admin }) {
  return info(admin, "memory", "used_memory_dataset");
}

function scripts({ admin }) {
  return info(admin, "commandstats", "cmdstat_evalsha:calls");
}
