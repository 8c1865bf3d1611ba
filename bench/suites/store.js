import { duration, oneByOne, takeTurns } from "../lib/measure.js";
import { connectRedis8, connectRedis10 } from "../lib/peers.js";
import { RedisStore } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { expressSession } from "../lib/sessions.js";

/** Compares RedisStore with connect-redis, without HTTP. */
export async function store({ rounds, quick, report }) {
  const redis = await startRedis();
  const ours = new RedisStore({ client: redis.client() });
  const ten = await connectRedis10(redis);
  const eight = connectRedis8(redis);
  const all = { RedisStore: ours, "connect-redis 10": ten.store, "connect-redis 8": eight };

  // 10 sessions simulate busy browsers. With 1,000, each is idle for so long that RedisStore prolongs it.
  await reading(10, "each used within 50 ms");
  await reading(1000, "each prolonged");
  await counting();

  ten.close();
  redis.stop();

  /** The store calls of express-session for a request that changes nothing. */
  async function reading(sessions, kind) {
    await redis.admin.flushall();
    const sids = Array.from({ length: sessions }, (_, i) => `sid${i}`.padEnd(32, "x"));
    for (const store of Object.values(all)) for (const sid of sids) await store.set(sid, expressSession());
    const subject = (store) => () =>
      oneByOne(quick ? 300 : 1500, async (i) => {
        const sessionID = sids[i % sessions];
        const req = { sessionID, sessionStore: store };
        store.createSession(req, await store.get(sessionID));
        await store.touch(sessionID, req.session.touch());
      });
    const figures = await takeTurns(rounds, Object.fromEntries(Object.entries(all).map(([n, s]) => [n, subject(s)])));
    report.faster({
      work: `get + touch, ${sessions} sessions in turn, ${kind}`,
      unit: "µs",
      figures,
      peers: { "connect-redis 10": 2.2, "connect-redis 8": 1.6 },
    });
  }

  async function counting() {
    const [sessions, others] = quick ? [1000, 50_000] : [10_000, 1_000_000];
    await redis.admin.flushall();
    await redis.admin.debug("POPULATE", others, "other", 50);
    for (const store of [ours, eight]) {
      for (let i = 0; i < sessions; i += 1000) {
        const some = Array.from({ length: 1000 }, (_, k) => `sid${i + k}`.padEnd(32, "x"));
        await Promise.all(some.map((sid) => store.set(sid, expressSession())));
      }
    }
    for (const method of ["length", "ids", "all"]) {
      const figures = await takeTurns(
        quick ? 3 : 5,
        {
          RedisStore: () => duration(() => ours[method]()),
          "connect-redis 8": () => duration(() => eight[method]()),
        },
        { warmUp: quick },
      );
      const label = `${sessions.toLocaleString("en")} sessions among ${others.toLocaleString("en")} other keys`;
      report.faster({ work: `${method} of ${label}`, unit: "ms", figures, peers: { "connect-redis 8": 20 } });
    }
  }
}
