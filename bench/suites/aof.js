import { inThousands, mapValues, oneByOne, takeTurns } from "../lib/measure.js";
import { CONNECT_REDIS } from "../lib/names.js";
import { connectRedis } from "../lib/peers.js";
import { RedisSessions, RedisStore } from "../lib/product.js";
import { startRedis } from "../lib/redis.js";
import { APP, expressSession, newSession, readOnly, sidOf } from "../lib/sessions.js";

const SIZES = { "1 KB": 1000, "100 KB": 100_000 };
const COUNT = 200;
const GOAL = 3;

/** How the sessions are read. The engine and RedisStore write most if a session was not used for a second. */
const WAYS = [
  { way: "read again and again", pause: 0, session: () => 0 },
  { way: "unused for a second", pause: 1100, session: (i) => i },
];

/** Bytes that a request which only reads its session adds to the append-only file. A replica receives as many. */
export async function aof({ report }) {
  // The growth of the file is measured, so Redis must neither rewrite it nor wait for an fsync before it appends.
  const options = { appendonly: "yes", appendfsync: "no", "auto-aof-rewrite-percentage": "0" };
  const redis = await startRedis(Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]));
  const rs = new RedisSessions({ client: redis.client(), wipe: 0 });
  const store = new RedisStore({ client: redis.client() });
  const peer = await connectRedis(redis.port);

  for (const [size, length] of Object.entries(SIZES)) {
    const data = { text: "x".repeat(length) };
    const sessions = await inThousands(COUNT, (i) => rs.create({ ...newSession(i), d: data }));
    for (const one of [store, peer]) await inThousands(COUNT, (i) => one.set(sidOf(i), expressSession(data)));
    const read = {
      middleware: (i) => rs.get({ app: APP, token: sessions[i].token }),
      RedisStore: (i) => readOnly(store, sidOf(i)),
      [CONNECT_REDIS]: (i) => readOnly(peer, sidOf(i)),
    };
    for (const { way, pause, session } of WAYS) {
      const subjects = mapValues(read, (request) => async () => {
        await new Promise((resolve) => setTimeout(resolve, pause));
        const before = await redis.appended();
        await oneByOne(COUNT, (i) => request(session(i)));
        return ((await redis.appended()) - before) / COUNT;
      });
      const figures = await takeTurns(3, subjects, { warmUp: false });
      for (const ours of ["middleware", "RedisStore"]) {
        report.costs({
          work: `${size}, ${way}: ${ours}`,
          unit: "bytes",
          figures: { [ours]: figures[ours], [CONNECT_REDIS]: figures[CONNECT_REDIS] },
          peers: { [CONNECT_REDIS]: GOAL },
        });
      }
    }
  }
  redis.stop();
}
