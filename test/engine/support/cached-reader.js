// A process with a near cache. It reads the sessions whose tokens it gets, again and again, until none exists.
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { RedisSessions } from "../../../dist/index.js";

const app = "webapp";
const client = new Redis(process.env.REDIS_URL);
const rs = new RedisSessions({ client, wipe: 0, timeout: 30_000, cachetime: 600, cachemax: 20_000 });

process.once("message", async (tokens) => {
  async function read() {
    for (let from = 0; from < tokens.length; from += 500) {
      await Promise.all(tokens.slice(from, from + 500).map((token) => rs.get({ app, token })));
    }
  }
  // The announcements of the creations are over when all reads are hits.
  for (let hits = 0; hits < tokens.length; ) {
    const before = rs.cache.hits;
    await read();
    hits = rs.cache.hits - before;
  }
  process.send({ isReady: true });

  // The sessions are killed in the order of the tokens, and so announced. If one has gone, each earlier one must have gone.
  let violations = 0;
  for (let left = tokens.length; left > 0; await sleep(20)) {
    left = 0;
    let hasGone = false;
    for (const token of tokens.toReversed()) {
      const session = await rs.get({ app, token });
      if (session === null) hasGone = true;
      else {
        left++;
        if (hasGone) violations++;
      }
    }
  }
  process.send({ violations, ...rs.cache });
  await rs.quit();
  client.disconnect();
});
process.send({});
