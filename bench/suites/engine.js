import { atOnce, duration, inThousands, medianCall, oneByOne, takeTurns } from "../lib/measure.js";
import { redisSessions4 } from "../lib/peers.js";
import { RedisSessions } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { APP, DATA, newSession } from "../lib/sessions.js";

const REACH = {
  sequential: { create: 1.7, get: 2.0, set: 1.8, kill: 3.0 },
  atOnce: { create: 4.0, get: 4.0, set: 3.0, kill: 5.0 },
};
const PEER = "redis-sessions 4";

/** Compares the engine with redis-sessions 4, and with a bare command of ioredis. */
export async function engine({ rounds, quick, report }) {
  const redis = await startRedis();
  const ours = new RedisSessions({ client: redis.client(), wipe: 0, timeout: 60_000 });
  const theirs = redisSessions4(redis);
  await theirs.ping();
  const both = { "ioredis-sessions": ours, [PEER]: theirs };

  const calls = quick ? 200 : 1000;
  for (const name of ["create", "get", "set", "kill"]) {
    await basic(oneByOne, calls, name, `${name}, one after the other`, REACH.sequential[name]);
  }
  for (const name of ["create", "get", "set", "kill"]) {
    await basic(atOnce, 1000, name, `${name}, 1000 at once`, REACH.atOnce[name]);
  }

  async function basic(measure, count, name, work, reach) {
    await redis.admin.flushall();
    const subject = (rs) => async () => {
      const living =
        name === "create" ? [] : await inThousands(name === "kill" ? count : 100, (i) => rs.create(newSession(i)));
      const token = (i) => living[i % living.length].token;
      const call = {
        create: (i) => rs.create(newSession(i)),
        get: (i) => rs.get({ app: APP, token: token(i) }),
        set: (i) => rs.set({ app: APP, token: token(i), d: { visits: i } }),
        kill: (i) => rs.kill({ app: APP, token: token(i) }),
      }[name];
      // A round repeats the batch many times, because 1,000 concurrent calls are too short to measure.
      const repeat = measure === atOnce && name !== "kill" ? 3 : 1;
      let figure = 0;
      for (let i = 0; i < repeat; i++) {
        // Keep each user at two sessions.
        if (name === "create") await redis.admin.flushall();
        figure += (await measure(count, call)) / repeat;
      }
      return figure;
    };
    const figures = await takeTurns(rounds, mapValues(both, subject));
    report.faster({ work, unit: "µs", figures, peers: { [PEER]: reach } });
  }

  await latency();
  await lists();
  await masses();

  theirs.quit();
  redis.stop();

  async function latency() {
    await redis.admin.flushall();
    const bare = redis.client();
    await bare.set("bare", JSON.stringify({ ...DATA, id: "user0", ip: "203.0.113.7", r: 1, w: 1, ttl: 7200 }));
    const sha = await bare.script("LOAD", "return redis.call('GET', KEYS[1])");
    const { token } = await ours.create(newSession(0));
    const figures = await takeTurns(rounds + 2, {
      "ioredis-sessions": () => medianCall(calls * 2, () => ours.get({ app: APP, token })),
      "ioredis GET": () => medianCall(calls * 2, () => bare.get("bare")),
      "ioredis EVALSHA": () => medianCall(calls * 2, () => bare.evalsha(sha, 1, "bare")),
    });
    report.costs({
      work: "get, one after the other: median latency",
      unit: "µs",
      figures,
      peers: { "ioredis GET": 1.35, "ioredis EVALSHA": undefined },
    });
  }

  async function lists() {
    await redis.admin.flushall();
    const mine = (i) => ({ ...newSession(i), id: "alice" });
    for (const rs of Object.values(both)) {
      await inThousands(100, (i) => rs.create(mine(i)));
      await inThousands(900, (i) => rs.create(newSession(i)));
    }
    const soid = (rs) => () => oneByOne(30, () => rs.soid({ app: APP, id: "alice" }));
    report.faster({
      work: "soid of 100",
      unit: "µs",
      figures: await takeTurns(rounds, mapValues(both, soid)),
      peers: { [PEER]: 2.5 },
    });
    const soapp = (rs, name) => {
      const span = name === PEER ? { deltaTime: 3600 } : { dt: 3600 };
      return () => oneByOne(5, () => rs.soapp({ app: APP, ...span }));
    };
    report.faster({
      work: "soapp of 1000",
      unit: "µs",
      figures: await takeTurns(rounds, mapValues(both, soapp)),
      peers: { [PEER]: 2.5 },
    });
  }

  async function masses() {
    const count = quick ? 5000 : 100_000;
    const label = count.toLocaleString("en");
    const rounds = quick ? 2 : 3;

    // These sessions really expire, so create them first and wipe them last.
    await plant("wipe", (i) => newSession(i, 10));
    const planted = performance.now();
    await plant("all", (i) => newSession(i));
    await plant("user", (i) => ({ ...newSession(i), id: "alice" }));

    const killall = (rs, name) => async () => {
      await redis.restore(`all ${name}`);
      return emptied(() => rs.killall({ app: APP }), name);
    };
    const killsoid = (rs, name) => async () => {
      await redis.restore(`user ${name}`);
      return emptied(() => rs.killsoid({ app: APP, id: "alice" }), name);
    };
    const wipe = (rs, name) => async () => {
      await redis.restore(`wipe ${name}`);
      // redis-sessions has no public method for this, only the function that its timer calls.
      return emptied(() => (name === PEER ? rs._wipe() : rs.wipe()), name);
    };
    await mass("killall", killall, 1.0);
    await mass("killsoid", killsoid, 3.0);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, planted + 12_000 - performance.now())));
    await mass("wipe", wipe, 10);

    async function mass(name, subject, reach) {
      const figures = await takeTurns(rounds, mapValues(both, subject), { warmUp: false });
      report.faster({ work: `${name} of ${label}`, unit: "ms", figures, peers: { [PEER]: reach } });
    }

    /** The time in ms until no session is left. */
    async function emptied(work, name) {
      const index = name === PEER ? "old:SESSIONS" : `rs:{${APP}}:expiry`;
      if ((await redis.admin.zcard(index)) !== count) throw new Error(`${name}: there are no ${label} sessions`);
      const time = await duration(work);
      const left = await redis.admin.zcard(index);
      if (left > 0) throw new Error(`${name}: ${left} sessions are left`);
      return time;
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

function mapValues(object, map) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}
