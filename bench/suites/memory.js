import { inThousands, takeTurns } from "../lib/measure.js";
import { CONNECT_REDIS, REDIS_SESSIONS } from "../lib/names.js";
import { connectRedis, redisSessions4 } from "../lib/peers.js";
import { RedisSessions, RedisStore } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { expressSession, newSession, sidOf } from "../lib/sessions.js";

/** Bytes of `used_memory` for each session, including its index entries. */
export async function memory({ quick, report }) {
  const redis = await startRedis();
  const count = quick ? 2000 : 20_000;
  const ours = new RedisSessions({ client: redis.client(), wipe: 0 });
  const theirs = redisSessions4(redis.port);
  await theirs.ping();
  const store = new RedisStore({ client: redis.client() });
  const peerStore = await connectRedis(redis.port);

  const bytes = (create) => async () => {
    await redis.admin.flushall();
    const before = await redis.usedMemory();
    await inThousands(count, create);
    return ((await redis.usedMemory()) - before) / count;
  };
  // All rounds use the same data, except for the tokens.
  const rounds = 3;

  report.costs({
    work: "bytes a session, with its index entries",
    unit: "bytes",
    figures: await takeTurns(rounds, {
      "ioredis-sessions": bytes((i) => ours.create(newSession(i))),
      [REDIS_SESSIONS]: bytes((i) => theirs.create(newSession(i))),
    }),
    peers: { [REDIS_SESSIONS]: 0.55 },
  });

  report.costs({
    work: "bytes a session of RedisStore, anonymous",
    unit: "bytes",
    figures: await takeTurns(rounds, {
      RedisStore: bytes((i) => store.set(sidOf(i), expressSession())),
      [CONNECT_REDIS]: bytes((i) => peerStore.set(sidOf(i), expressSession())),
    }),
    peers: { [CONNECT_REDIS]: 1.7 },
  });

  theirs.quit();
  redis.stop();
}
