// node bench/compare.js <folder of another version, built> [--rounds n]
// Compares the built package with another version of it, in turns: the processor time of Node and Redis for each call.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { costOfCalls, NAMES } from "./lib/calls.js";
import { atOnce, cost, inThousands, mapValues, median, oneByOne, ratio, takeTurns } from "./lib/measure.js";
import { startRedis } from "./lib/redis.js";
import { markdown, short, withRange } from "./lib/report.js";
import { expressSession, readOnly, sidOf, writeOne } from "./lib/sessions.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string", default: "15" } },
});
if (positionals.length !== 1) {
  console.error("Usage: node bench/compare.js <folder of another version, built> [--rounds n]");
  process.exit(2);
}
const rounds = Number(values.rounds);

const redis = await startRedis();
// Names of equal length, because the length of keys costs time.
const versions = {
  now: await open(new URL("../", import.meta.url).pathname, "now"),
  other: await open(resolve(positionals[0]), "old"),
};

const ways = { "one after the other": [oneByOne, 1000], "1000 at once": [atOnce, 3000] };
const rows = [];
for (const [way, [make, count]] of Object.entries(ways)) {
  for (const name of NAMES) {
    await compare(`${name}, ${way}`, ({ rs }) => costOfCalls(redis, rs, name, make, count));
  }
  await redis.admin.flushall();
  for (const { store } of Object.values(versions))
    await inThousands(1000, (i) => store.set(sidOf(i), expressSession()));
  await compare(`RedisStore: read, ${way}`, ({ store }) =>
    cost(redis, () => make(count, (i) => readOnly(store, sidOf(i % 1000)))),
  );
  await compare(`RedisStore: write, ${way}`, ({ store }) =>
    cost(redis, () => make(count, (i) => writeOne(store, sidOf(i % 1000), Math.random()))),
  );
}
console.log(markdown(["call", "now, µs", "other, µs", "now / other (min–max)", "commands"], rows));
process.exit(0);

async function compare(label, measure) {
  const turns = await takeTurns(
    rounds,
    mapValues(versions, (version) => () => measure(version)),
  );
  const time = mapValues(turns, (list) => list.map(({ node, redis }) => node + redis));
  const commands = mapValues(turns, (list) => short(median(list.map((one) => one.commands))));
  rows.push([
    label,
    short(median(time.now)),
    short(median(time.other)),
    withRange(ratio(time.now, time.other)),
    `${commands.now}, ${commands.other}`,
  ]);
}

/** An engine and a store of the version in a folder. */
async function open(folder, namespace) {
  const load = (file) => import(pathToFileURL(resolve(folder, "dist", file)));
  const [{ RedisSessions }, { RedisStore }] = [await load("index.js"), await load("express-session/index.js")];
  return {
    rs: new RedisSessions({ client: redis.client(), namespace, wipe: 0, timeout: 60_000 }),
    store: new RedisStore({ client: redis.client(), prefix: `${namespace}:` }),
  };
}
