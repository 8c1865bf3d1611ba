// npm run bench [-- engine|store|http|memory|aof|scale …] [--rounds n] [--quick] [--write]
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chart, panelsOf } from "./lib/chart.js";
import { startRedis } from "./lib/redis.js";
import { machine, markdown, Report, table } from "./lib/report.js";
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
  },
});
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

console.log(`\n${table(report.rows)}\n`);
const withGoal = report.rows.filter(({ met }) => met !== undefined);
const missed = withGoal.filter(({ met }) => !met);
console.log(`${withGoal.length - missed.length} of ${withGoal.length} goals met, in ${minutes.toFixed(1)} minutes`);

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
mkdirSync(here("results"), { recursive: true });
const file = here(`results/${about.date.replace(/:/g, "-")}.json`);
const { rows, measured } = report;
writeFileSync(file, `${JSON.stringify({ ...about, rounds, minutes, rows, measured }, null, 2)}\n`);
console.log(file);

if (values.write) {
  const [begin, end] = ["<!-- table: npm run bench -- --write -->", "<!-- end of table -->"];
  const readme = readFileSync(here("README.md"), "utf8");
  const [before, after] = [readme.split(begin)[0], readme.split(end)[1]];
  const when = `${about.date.slice(0, 10)}: ${about.processor}, Node ${about.node}, Redis ${about.redis}, ${minutes.toFixed(1)} minutes.`;
  const text = `${begin}\n${when}\n\n${table(rows)}\n${processorTable(measured)}\n${end}`;
  writeFileSync(here("README.md"), `${before}${text}${after}`);
  writeFileSync(here("chart.svg"), chart(panelsOf(report)));
}
// Exit explicitly, because some clients of the peers stay open.
process.exit(0);

/** Processor time for each request, which limits the throughput of HTTP. */
function processorTable(measured) {
  const tables = measured.filter(({ costs }) => costs !== undefined);
  const rows = tables.flatMap(({ work, costs }) =>
    Object.entries(costs).map(([name, { server, redis }]) => [
      `\`${work}\``,
      name,
      server.toFixed(0),
      redis.toFixed(1),
    ]),
  );
  return `\nProcessor time a request, µs:\n\n${markdown(["path", "server", "Node", "Redis"], rows)}`;
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
