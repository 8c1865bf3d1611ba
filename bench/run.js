// npm run bench [-- engine|store|http|memory|aof|scale …] [--rounds n] [--quick] [--write]
// node bench/run.js --from <file>
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writePages } from "./lib/pages.js";
import { startRedis } from "./lib/redis.js";
import { machine, Report } from "./lib/report.js";
import { aof } from "./suites/aof.js";
import { engine } from "./suites/engine.js";
import { http } from "./suites/http.js";
import { memory } from "./suites/memory.js";
import { scale } from "./suites/scale.js";
import { store } from "./suites/store.js";

const SUITES = { engine, store, http, memory, aof, scale };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "7" },
    quick: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    from: { type: "string" },
  },
});
if (values.from !== undefined) {
  writePages(JSON.parse(readFileSync(values.from, "utf8")));
  process.exit(0);
}
const chosen = positionals.length > 0 ? positionals : Object.keys(SUITES);
const unknown = chosen.find((name) => !Object.hasOwn(SUITES, name));
if (unknown !== undefined) fail(`Unknown suite ${unknown}. The suites are ${Object.keys(SUITES).join(", ")}`);
const rounds = values.quick ? Math.min(3, Number(values.rounds)) : Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) fail("--rounds must be an integer >= 1");
if (values.write && (values.quick || chosen.length < Object.keys(SUITES).length)) {
  fail("--write needs a complete run: all suites, without --quick");
}
// Exit on a signal, so that the handlers of "exit" stop the servers.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

const redis = await startRedis();
const about = machine(await redis.version());
redis.stop();
console.log(`${about.processor}, ${about.memory}, Node ${about.node}, Redis ${about.redis}; nothing is pinned`);

const report = new Report();
const start = performance.now();
for (const name of chosen) {
  report.begin(name);
  await SUITES[name]({ rounds, quick: values.quick, report });
}
const minutes = (performance.now() - start) / 60_000;

const withGoal = report.rows.filter(({ met }) => met !== undefined);
const missed = withGoal.filter(({ met }) => !met);
console.log(`\n${withGoal.length - missed.length} of ${withGoal.length} goals met, in ${minutes.toFixed(1)} minutes`);

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
mkdirSync(here("results"), { recursive: true });
const file = here(`results/${about.date.replace(/:/g, "-")}.json`);
const run = { ...about, rounds, minutes, rows: report.rows, measured: report.measured };
writeFileSync(file, `${JSON.stringify(run, null, 2)}\n`);
console.log(file);
if (values.write) writePages(run);
// Exit explicitly, because some clients of the peers stay open.
process.exit(0);

function fail(message) {
  console.error(message);
  process.exit(2);
}
