// One user creates the largest accepted session. For how long does it block Redis for all others?
import { once } from "node:events";
import { isMainThread, Worker, workerData } from "node:worker_threads";
import { Redis } from "ioredis";
import { median } from "../lib/measure.js";
import { RedisSessions, RedisStore } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";

const app = "webapp";
const ROUNDS = 7;
const STORE = { prefix: "store:", legacy: false };

/** Data with `count` keys, as short as possible. */
function keys(count) {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [i.toString(36), 1]));
}

/** Returns the largest accepted count. `counts` is in descending order. */
async function most(counts, accept) {
  for (const count of counts) {
    try {
      await accept(count);
      return count;
    } catch (error) {
      if (error.name !== "invalidValue") throw error;
    }
  }
  return 0;
}

/** The attacker, a separate thread: 20 connections that write to one fat session until the thread ends. */
if (!isMainThread) {
  const { port, token } = workerData;
  const open = () => new Redis({ port, host: "127.0.0.1" }).on("error", () => {});
  for (let i = 0; i < 20; i++) {
    if (token === undefined) void writeToStore(new RedisStore({ client: open(), ...STORE }));
    else void writeToEngine(open());
  }
}

async function writeToEngine(client) {
  const rs = new RedisSessions({ client, wipe: 0 });
  for (;;) await rs.set({ app, token: workerData.token, d: { a: Math.random() } }).catch(() => {});
}

async function writeToStore(store) {
  // Each connection holds the session, as a request does, and sends its changes.
  const session = await store.get("fat");
  for (;;) {
    session.small = Math.random();
    await store.set("fat", session).catch(() => {});
  }
}

export async function attack() {
  const redis = await startRedis();
  const { admin } = redis;
  await admin.config("SET", "slowlog-log-slower-than", "0");
  await admin.config("SET", "slowlog-max-len", "10000");

  /** The longest Redis command of some work, in ms: the median of several rounds. */
  async function longest(work, prepare = () => {}) {
    const times = [];
    for (let round = 0; round < ROUNDS; round++) {
      await prepare();
      await admin.slowlog("RESET");
      await work(round);
      const log = await admin.slowlog("GET", "10000");
      const commands = log.filter(([, , , [name, sub]]) => !/slowlog|config|script/i.test(`${name} ${sub}`));
      times.push(Math.max(...commands.map(([, , took]) => took)) / 1000);
    }
    return median(times);
  }

  const rows = [];
  const row = (measure, value, unit, limit) =>
    rows.push({ measure, value, unit, ...(limit !== undefined && { limit }) });
  const blocked = async (measure, work, prepare) => row(measure, await longest(work, prepare), "ms", 10);

  // The engine.
  const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 10_000 });
  let fat;
  const count = await most([100_000, 50_000, 20_000, 10_000, 1000], async (count) => {
    fat = await rs.create({ app, id: "mallory", ip: "::1", d: keys(count) });
  });
  row("engine: keys that one session may have", count, "keys");
  const { token } = fat;
  await blocked("engine: one set({ a: 1 }), many keys", (n) => rs.set({ app, token, d: { a: n } }));
  await blocked("engine: 20 of these at once", () =>
    Promise.all(Array.from({ length: 20 }, (_, n) => rs.set({ app, token, d: { a: n } }))),
  );
  await blocked("engine: all keys in one set", (n) =>
    rs.set({ app, token, d: Object.fromEntries(Object.keys(keys(count)).map((key) => [key, n])) }),
  );
  const large = [];
  const d = { big: "x".repeat(1_000_000) };
  for (let i = 0; i < 100; i++) large.push(await rs.create({ app, id: `m${i}`, ip: "::1", d }));
  const [first] = large;
  await blocked("engine: one set({ a: 1 }), 1 MB", (n) => rs.set({ app, token: first.token, d: { a: n } }));
  await blocked("engine: get of 100 sessions of 1 MB at once", () =>
    Promise.all(large.map(({ token }) => rs.get({ app, token }))),
  );
  await blocked("engine: set of 100 sessions of 1 MB at once", (n) =>
    Promise.all(large.map(({ token }) => rs.set({ app, token, d: { a: n } }))),
  );
  await admin.del(...large.map(({ ref }) => `rs:{${app}}:s:${ref}`));
  await crowd("engine", token);

  // RedisStore.
  const store = new RedisStore({ client: redis.client(), ...STORE });
  const cookie = { originalMaxAge: null, expires: null, httpOnly: true, path: "/" };
  /** A request that changes a session. */
  async function request(sid, change, by = store) {
    const session = await by.get(sid);
    change(session);
    await by.set(sid, session);
  }
  const cases = [
    ["20,000 keys", () => keys(20_000), 20_000],
    ["8 MB in one key", () => ({ big: "x".repeat(8_000_000) }), 1],
  ];
  for (const [what, data, total] of cases) {
    await blocked(`RedisStore: first save, ${what}`, (n) => store.set(`new${n}`, { cookie, ...data() }));
    for (let n = 0; n < ROUNDS; n++) await store.destroy(`new${n}`);
    await store.set("fat", { cookie, small: 0, ...data() });
    await blocked(`RedisStore: load, ${what}`, () => store.get("fat"));
    for (const changed of [1, 100, 20_000].filter((changed) => changed === 1 || changed <= total)) {
      await blocked(`RedisStore: a request that changes ${changed}, ${what}`, (n) =>
        request("fat", (session) => {
          session.small = n;
          for (const key of Object.keys(keys(changed === 1 ? 0 : changed))) session[key] = n + 2;
        }),
      );
    }
    await blocked(`RedisStore: 100 changed keys, the last first, ${what}`, async (n) => {
      const session = await store.get("fat");
      const names = Object.keys(session).filter((name) => name !== "cookie" && name !== "big");
      for (const name of names.slice(-100).reverse()) {
        delete session[name];
        session[name] = n + 50;
      }
      await store.set("fat", session);
    });
    await blocked(
      `RedisStore: destroy, ${what}`,
      () => store.destroy("gone"),
      () => store.set("gone", { cookie, ...data() }),
    );
  }
  await store.set("fat", { cookie, small: 0, ...keys(20_000) });
  await crowd("RedisStore, 20,000 keys");

  /** Measures another user's reads while 20 connections write to one fat session for three seconds. */
  async function crowd(name, token) {
    const reader = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 500 });
    const { token: victim } = await reader.create({ app, id: "alice", ip: "::1" });
    const attacker = new Worker(new URL(import.meta.url), { workerData: { port: redis.port, token } });
    await once(attacker, "online");
    await new Promise((resolve) => setTimeout(resolve, 500));
    const times = [];
    let failed = 0;
    const end = performance.now() + 3000;
    while (performance.now() < end) {
      const start = performance.now();
      await reader.get({ app, token: victim }).catch(() => failed++);
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await attacker.terminate();
    row(`${name}: 20 writers, another user's reads that fail`, (100 * failed) / times.length, "%", 0);
    row(`${name}: 20 writers, another user's slowest read`, Math.max(...times), "ms");
    row(`${name}: 20 writers, another user's median read`, median(times), "ms");
  }

  redis.stop();
  return rows;
}
