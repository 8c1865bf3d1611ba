import { fork } from "node:child_process";
import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { inThousands, medianCall, ratio, takeTurns } from "../lib/measure.js";
import { RedisSessions, RedisStore } from "../lib/product.js";
import { longestInterruption, startRedis } from "../lib/redis.js";
import { APP, DATA, expressSession, newSession, sidOf } from "../lib/sessions.js";

/** The allowed growth of a call's cost up to a million sessions. A zset that is a thousand times longer is deeper. */
const FLAT = 1.5;
/** The number of sessions that the calls use, at each size. */
const SAMPLE = 1000;
const LONGEST_COMMAND = 5;
const LONGEST_STALL = 20;

/** Measures what grows with the number of sessions, and what stalls when many sessions end. */
export async function scale({ quick, rounds, report }) {
  const redis = await startRedis();
  const client = redis.client();
  const rs = new RedisSessions({ client, wipe: 0, timeout: 60_000 });
  const sizes = quick ? [1000, 10_000, 50_000] : [1000, 100_000, 1_000_000];
  const ofOne = quick ? 10_000 : 100_000;
  const all = sizes.at(-1);
  const label = (n) => n.toLocaleString("en");

  await costs();
  await stalls();
  redis.stop();
  await beside();

  /** The cost of each call at each size, relative to bare GETs that were sent in turn with it. */
  async function costs() {
    await redis.admin.set("bare", "x".repeat(200));
    const found = {};
    let planted = 0;
    // Measure the first size twice: the first run is slow, and would hide the growth at the other sizes.
    for (const size of [sizes[0], ...sizes]) {
      for (; planted < size; planted += 1000) await inThousands(1000, (i) => rs.create(newSession(planted + i)));
      // Use equally many sessions at each size, because of more sessions more would need a touch. The tokens of all others
      // are not kept, because garbage collection of a million tokens would stall the process.
      const sample = await inThousands(SAMPLE, (i) =>
        rs.create({ ...newSession(i), id: `user${(i * size) / SAMPLE}s` }),
      );
      const any = () => sample[Math.floor(Math.random() * SAMPLE)];
      const calls = {
        create: (i) => rs.create({ ...newSession(i), id: `more${i}` }),
        get: () => rs.get({ app: APP, token: any().token }),
        set: (i) => rs.set({ app: APP, token: any().token, d: { visits: i } }),
        soid: () => rs.soid({ app: APP, id: `user${Math.floor((Math.random() * size) / 2)}` }),
        "soapp, limit 100": () => rs.soapp({ app: APP, dt: 3600, limit: 100 }),
        activity: () => rs.activity({ app: APP, dt: 60 }),
        "create and kill": async (i) => {
          const { token } = await rs.create({ ...newSession(i), id: `more${i}` });
          await rs.kill({ app: APP, token });
        },
      };
      for (const [name, call] of Object.entries(calls)) {
        const count = name.startsWith("soapp") ? 50 : quick ? 100 : 400;
        const figures = await takeTurns(rounds, {
          [name]: () => medianCall(count, call),
          GET: () => medianCall(count, () => client.get("bare")),
        });
        found[name] ??= [];
        found[name].push(ratio(figures[name], figures.GET).median);
      }
    }
    for (const list of Object.values(found)) list.shift();
    report.sizes({ work: "cost of a call in bare GETs, by number of sessions", sizes, found });
    for (const [name, list] of Object.entries(found)) {
      report.limit({
        work: `${name}: cost among ${label(all)} sessions, by its cost among ${label(sizes[0])}`,
        unit: "×",
        value: list.at(-1) / list[0],
        most: FLAT,
      });
    }
  }

  async function stalls() {
    await redis.admin.config("SET", "slowlog-log-slower-than", "1000");
    const seconds = quick ? 1 : 10;
    report.limit({
      work: `for comparison: longest interruption of two programs that only look at the clock, ${seconds} s`,
      unit: "ms",
      value: await longestInterruption(seconds),
    });

    await watch(`soapp({ limit: 1000 }) of ${label(all)}`, () => rs.soapp({ app: APP, dt: 3600, limit: 1000 }));
    await watch(`killall of ${label(all)}`, () => rs.killall({ app: APP }));

    await inThousands(ofOne, (i) => rs.create({ ...newSession(i), id: "alice" }));
    await watch(`killsoid of ${label(ofOne)}`, () => rs.killsoid({ app: APP, id: "alice" }));

    await inThousands(ofOne, (i) => rs.create(newSession(i, 10)));
    await new Promise((resolve) => setTimeout(resolve, 11_000));
    await watch(`wipe of ${label(ofOne)}`, () => rs.wipe());

    const store = new RedisStore({ client: redis.client() });
    await inThousands(ofOne, (i) => store.set(sidOf(i), expressSession()));
    await watch(`RedisStore: length of ${label(ofOne)}`, () => store.length());
    await watch(`RedisStore: clear of ${label(ofOne)}`, () => store.clear());
  }

  async function watch(name, work) {
    const { stall, command } = await watched(work);
    report.limit({ work: `${name}: longest stall of the event loop`, unit: "ms", value: stall, most: LONGEST_STALL });
    report.limit({ work: `${name}: longest Redis command`, unit: "ms", value: command, most: LONGEST_COMMAND });
  }

  /** Measures the longest stall of the event loop and the longest Redis command during some work, in ms. */
  async function watched(work) {
    // Wait, so that the histogram does not include earlier work.
    await new Promise((resolve) => setTimeout(resolve, 50));
    await redis.admin.slowlog("RESET");
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    await new Promise((resolve) => setTimeout(resolve, 5));
    delay.reset();
    await work();
    await new Promise((resolve) => setTimeout(resolve, 5));
    delay.disable();
    const slow = await redis.admin.slowlog("GET", -1);
    // The histogram records the whole interval between two ticks, which is at least 1 ms.
    const stall = delay.max / 1e6 - 1;
    return { stall, command: Math.max(0, ...slow.map(([, , µs]) => Number(µs) / 1000)) };
  }

  /**
   * Measures 50 connections that each read every 10 ms while 5,000 sessions expire each second, with and without a wiper
   * in turn.
   */
  async function beside() {
    const redis = await startRedis();
    const rs = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 60_000 });
    const tokens = (await inThousands(500, (i) => rs.create(newSession(i)))).map(({ token }) => token);
    const readers = fork(fileURLToPath(new URL("../lib/readers.js", import.meta.url)), [`${redis.port}`]);
    await once(readers, "message");

    const seconds = 3;
    const pairs = quick ? 2 : 4;
    let left = 0;
    const phase = (wiper) => async () => {
      await plantExpiring(redis, seconds);
      readers.send({ tokens, ms: seconds * 1000 });
      const over = once(readers, "message");
      let open = true;
      const wiping = (async () => {
        while (wiper && open) {
          // Wipe the sessions of one second at once, as a periodic wiper does.
          await new Promise((resolve) => setTimeout(resolve, 1000));
          await rs.wipe();
        }
      })();
      const [{ p99 }] = await over;
      open = false;
      await wiping;
      if (wiper) left = Math.max(left, await redis.admin.zcount(`rs:{${APP}}:expiry`, "-inf", Date.now() - 2000));
      await rs.wipe();
      const others = (await redis.admin.zcard(`rs:{${APP}}:expiry`)) - tokens.length;
      if (others !== 0) throw new Error(`The wiper has left ${others} expired sessions in the index`);
      return p99;
    };
    const figures = await takeTurns(pairs, { "with the wiper": phase(true), "no wiper": phase(false) });
    report.costs({
      work: "p99 of 50 readers while 5,000 sessions a second expire",
      unit: "µs",
      figures,
      peers: { "no wiper": 1.3 },
    });
    report.limit({ work: "sessions that the wiper is behind with after two seconds", unit: "", value: left, most: 0 });
    readers.disconnect();
    redis.stop();
  }
}

/** Writes sessions directly in the layout of docs/storage-layout.md, so that 5,000 expire in each coming second. */
async function plantExpiring(redis, seconds) {
  const count = 5000 * seconds;
  const base = `rs:{${APP}}:`;
  const data = Object.entries(DATA).map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  const start = Date.now() + 1000;
  for (let from = 0; from < count; from += 1000) {
    const pipeline = redis.admin.pipeline();
    for (let i = from; i < from + 1000; i++) {
      const ends = start + i / 5;
      const [id, ref] = [JSON.stringify(`guest${i}`), `expiring${i}`.padEnd(27, "x")];
      const text = [start, 1, 1, 10, start, id, '"::1"', "", ...data].join("\n");
      pipeline.set(`${base}s:${ref}`, text, "PXAT", Math.round(ends));
      pipeline.zadd(`${base}active`, start, ref);
      pipeline.zadd(`${base}users`, start, id);
      pipeline.hset(`${base}user-sessions`, id, `\n${ref}\n`);
      pipeline.zadd(`${base}expiry`, ends, id + ref);
    }
    for (const [error] of await pipeline.exec()) if (error !== null) throw error;
  }
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, start - Date.now())));
}
