import { costOfCalls, NAMES } from "../lib/calls.js";
import { atOnce, cost, inThousands, mapValues, median, medianCall, oneByOne, takeTurns } from "../lib/measure.js";
import { EMPTY_SCRIPT, GET, REDIS_SESSIONS } from "../lib/names.js";
import { redisSessions4 } from "../lib/peers.js";
import { RedisSessions } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { APP, DATA, newSession } from "../lib/sessions.js";

const GOALS = {
  "one after the other": { create: 1.15, get: 2.0, set: 1.8, kill: 3.0 },
  "1000 at once": { create: 4.0, get: 5.0, set: 4.0, kill: 8.0 },
  "soid of 100": 1.6,
  "soapp of 1000": 2.2,
  killall: 1.0,
  killsoid: 2.5,
  wipe: 10,
};

/** Compares the engine with redis-sessions 4, and with bare commands of ioredis. */
export async function engine({ rounds, quick, report }) {
  const redis = await startRedis();
  const ours = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 60_000 });
  const theirs = redisSessions4(redis.port);
  await theirs.ping();
  const both = { "ioredis-sessions": ours, [REDIS_SESSIONS]: theirs };
  const bare = redis.client();
  const calls = quick ? 200 : 1000;

  await sequential();
  await concurrent();
  await latency();
  await nearCache();
  await lists();
  await masses();

  theirs.quit();
  redis.stop();

  function compare(work, turns, goal, ceiling) {
    report.figures(work, turns);
    report.faster({ work, turns, peers: { [REDIS_SESSIONS]: goal }, ceiling });
  }

  async function sequential() {
    // The ceiling: a script with as many keys and arguments as those of the calls, which does nothing.
    const sha = await bare.script("LOAD", "return 1");
    const keys = Array.from({ length: 6 }, (_, i) => `rs:{${APP}}:key-of-usual-length-${i}`);
    const nothing = () => cost(redis, () => oneByOne(calls, () => bare.evalsha(sha, 6, ...keys, "1", "2", "3")));
    for (const name of NAMES) {
      const work = `${name}, one after the other`;
      const subjects = mapValues(both, (rs) => () => costOfCalls(redis, rs, name, oneByOne, calls));
      const turns = await takeTurns(rounds, { ...subjects, [EMPTY_SCRIPT]: nothing });
      compare(work, turns, GOALS["one after the other"][name], EMPTY_SCRIPT);
    }
  }

  async function concurrent() {
    for (const name of NAMES) {
      const subject = (rs) => () => costOfCalls(redis, rs, name, atOnce, quick ? 1000 : 3000);
      compare(`${name}, 1000 at once`, await takeTurns(rounds, mapValues(both, subject)), GOALS["1000 at once"][name]);
    }
  }

  /** The median call, because the mean also contains the interruptions by the machine. */
  async function latency() {
    await redis.admin.flushall();
    await bare.set("bare", JSON.stringify({ ...DATA, id: "user0", ip: "203.0.113.7", r: 1, w: 1, ttl: 7200 }));
    const { token } = await ours.create(newSession(0));
    const subject = (call) => () => medianCall(calls * 2, call);
    report.costs({
      work: "get, one after the other: median latency",
      unit: "µs",
      figures: await takeTurns(rounds, {
        "ioredis-sessions": subject(() => ours.get({ app: APP, token })),
        [GET]: subject(() => bare.get("bare")),
      }),
      peers: { [GET]: undefined },
    });
  }

  /** Reads of one session from the memory of the process. */
  async function nearCache() {
    await redis.admin.flushall();
    const subjects = {
      "ioredis-sessions": new RedisSessions({ client: redis.client(), wipe: 0, cachetime: 30 }),
      [REDIS_SESSIONS]: redisSessions4(redis.port, { cachetime: 30 }),
    };
    await subjects[REDIS_SESSIONS].ping();
    const turns = {};
    for (const [name, rs] of Object.entries(subjects)) {
      const { token } = await rs.create(newSession(0));
      const get = () => rs.get({ app: APP, token });
      await get();
      turns[name] = () => cost(redis, () => oneByOne(quick ? 100_000 : 500_000, get));
    }
    const work = "get from the near cache, one after the other";
    const figures = await takeTurns(rounds, turns);
    compare(work, figures, 1);
    report.limit({ work, unit: "µs", value: median(figures["ioredis-sessions"].map(({ time }) => time)), most: 2 });
    for (const rs of Object.values(subjects)) await rs.quit();
    // Its quit leaves the connection of its cache open. That would end the benchmark when Redis stops.
    await subjects[REDIS_SESSIONS].redissub.disconnect();
  }

  async function lists() {
    await redis.admin.flushall();
    for (const rs of Object.values(both)) {
      await inThousands(100, (i) => rs.create({ ...newSession(i), id: "alice" }));
      await inThousands(900, (i) => rs.create(newSession(i)));
    }
    const soid = (rs) => () => cost(redis, () => oneByOne(30, () => rs.soid({ app: APP, id: "alice" })));
    compare("soid of 100", await takeTurns(rounds, mapValues(both, soid)), GOALS["soid of 100"]);
    const soapp = (rs, name) => {
      const span = name === REDIS_SESSIONS ? { deltaTime: 3600 } : { dt: 3600 };
      return () => cost(redis, () => oneByOne(5, () => rs.soapp({ app: APP, ...span })));
    };
    compare("soapp of 1000", await takeTurns(rounds, mapValues(both, soapp)), GOALS["soapp of 1000"]);
  }

  async function masses() {
    const count = quick ? 5000 : 100_000;
    const label = count.toLocaleString("en");

    // These sessions really expire, so create them first and wipe them last.
    await plant("wipe", (i) => newSession(i, 10));
    const planted = performance.now();
    await plant("killall", (i) => newSession(i));
    await plant("killsoid", (i) => ({ ...newSession(i), id: "alice" }));

    await mass("killall", (rs) => rs.killall({ app: APP }));
    await mass("killsoid", (rs) => rs.killsoid({ app: APP, id: "alice" }));
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, planted + 12_000 - performance.now())));
    // redis-sessions has no public method for this, only the function that its timer calls.
    await mass("wipe", (rs) => (rs === theirs ? rs._wipe() : rs.wipe()));

    async function mass(kind, work) {
      const subject = (rs, name) => async () => {
        await redis.restore(`${kind} ${name}`);
        const index = rs === theirs ? "old:SESSIONS" : `rs:{${APP}}:expiry`;
        if ((await redis.admin.zcard(index)) !== count) throw new Error(`${name}: there are no ${label} sessions`);
        const figures = await cost(redis, async () => {
          await work(rs);
          return count;
        });
        const left = await redis.admin.zcard(index);
        if (left > 0) throw new Error(`${name}: ${left} sessions are left`);
        return figures;
      };
      const turns = await takeTurns(quick ? 2 : 3, mapValues(both, subject), { warmUp: false });
      compare(`${kind} of ${label}`, turns, GOALS[kind]);
    }

    async function plant(kind, session) {
      for (const [name, rs] of Object.entries(both)) {
        await redis.admin.flushall();
        // FLUSHALL also deletes the list of apps, to which an engine adds its app only once a minute.
        await redis.admin.zadd("rs:apps", Date.now(), APP);
        await inThousands(count, (i) => rs.create(session(i)));
        await redis.keep(`${kind} ${name}`);
      }
    }
  }
}
