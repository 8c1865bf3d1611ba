import { cost, inThousands, mapValues, oneByOne, takeTurns } from "../lib/measure.js";
import { CONNECT_REDIS, CONNECT_REDIS_ON_5, GET, STORE, STORE_ON_NODE_REDIS } from "../lib/names.js";
import { connectRedis, connectRedisOn5, nodeRedis } from "../lib/peers.js";
import { RedisStore } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { expressSession, readOnly, sidOf } from "../lib/sessions.js";

const READ_GOAL = 1.15;
const LIST_GOAL = 20;

/** Compares RedisStore with connect-redis, without HTTP. */
export async function store({ rounds, quick, report }) {
  const redis = await startRedis();
  const stores = {
    [STORE]: new RedisStore({ client: redis.client() }),
    [STORE_ON_NODE_REDIS]: new RedisStore({ client: await nodeRedis(redis.port), prefix: "node-redis:" }),
    [CONNECT_REDIS]: await connectRedis(redis.port),
    [CONNECT_REDIS_ON_5]: await connectRedisOn5(redis.port),
  };

  await reading();
  await lists();

  redis.stop();

  async function reading() {
    // With so many sessions in turn, each is unused for so long that RedisStore prolongs it.
    const sids = Array.from({ length: 1000 }, (_, i) => sidOf(i));
    for (const store of Object.values(stores)) for (const sid of sids) await store.set(sid, expressSession());
    // The ceiling: one command, and no session made of the answer.
    const bare = redis.client();
    await bare.set("bare", JSON.stringify(expressSession()));
    const calls = quick ? 300 : 1500;
    const turns = await takeTurns(rounds, {
      ...mapValues(
        stores,
        (store) => () => cost(redis, () => oneByOne(calls, (i) => readOnly(store, sids[i % sids.length]))),
      ),
      [GET]: () => cost(redis, () => oneByOne(calls, () => bare.get("bare"))),
    });
    report.figures("prolong", turns);
    const ours = { [STORE]: READ_GOAL, [STORE_ON_NODE_REDIS]: undefined };
    for (const [name, goal] of Object.entries(ours)) {
      const peers = { [CONNECT_REDIS]: goal, [CONNECT_REDIS_ON_5]: goal };
      report.faster({ work: `prolong: ${name}`, turns, ours: name, peers, ceiling: GET });
    }
  }

  async function lists() {
    const [sessions, others] = quick ? [1000, 50_000] : [10_000, 1_000_000];
    await redis.admin.flushall();
    await redis.admin.debug("POPULATE", others, "other", 50);
    const both = { [STORE]: stores[STORE], [CONNECT_REDIS]: stores[CONNECT_REDIS] };
    for (const store of Object.values(both)) {
      await inThousands(sessions, (i) => store.set(sidOf(i), expressSession()));
    }
    for (const method of ["length", "ids", "all"]) {
      const subject = (store) => () => cost(redis, () => oneByOne(1, () => store[method]()));
      const turns = await takeTurns(3, mapValues(both, subject), { warmUp: quick });
      const work = `${method} of ${sessions.toLocaleString("en")} sessions`;
      report.figures(work, turns);
      report.faster({ work, turns, peers: { [CONNECT_REDIS]: LIST_GOAL } });
    }
  }
}
