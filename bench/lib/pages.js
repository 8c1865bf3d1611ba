// Writes the figures of a complete run into the pages. In a page, they are between `<!-- bench: <name> -->` and
// `<!-- end of bench -->`.
import { readFileSync, writeFileSync } from "node:fs";
import { chart, panelsOf } from "./chart.js";
import {
  CONNECT_REDIS,
  CONNECT_REDIS_ON_5,
  MIDDLEWARE,
  MIDDLEWARE_CACHED,
  MIDDLEWARE_ON_NODE_REDIS,
  NO_SESSION,
  REDIS_SESSIONS,
  STORE,
  STORE_ON_NODE_REDIS,
} from "./names.js";
import { markdown, short, withRange } from "./report.js";

const root = new URL("../../", import.meta.url);

const PAGES = ["README.md", "docs/performance.md", "bench/README.md"];

const SECTIONS = { summary, results };

const SUITES = {
  engine: "Engine",
  store: "RedisStore without HTTP",
  http: "HTTP: Express 5, 50 connections",
  memory: "Memory of Redis",
  aof: "Append-only file",
  scale: "A million sessions",
};

/**
 * Writes the sections of all pages, and the chart.
 * @param run as run.js saves it
 */
export function writePages(run) {
  for (const page of PAGES) {
    const file = new URL(page, root);
    const text = readFileSync(file, "utf8").replace(
      /(<!-- bench: (\w+) -->\n).*?(?=<!-- end of bench -->)/gs,
      (_, begin, name) => `${begin}${SECTIONS[name](run)}\n`,
    );
    writeFileSync(file, text);
  }
  writeFileSync(new URL("bench/chart.svg", root), chart(panelsOf(run)));
}

/** What a reader wants to know first. Each line contains the medians of several rows. */
function summary(run) {
  const http = (name) => [`read: ${name}`, `write: ${name}`];
  const engine = (way) => ["create", "get", "set", "kill"].map((name) => `${name}, ${way}`);
  const lines = [
    ["HTTP, read; write: `RedisStore` on ioredis", CONNECT_REDIS, http(STORE)],
    ["the same", CONNECT_REDIS_ON_5, http(STORE)],
    ["HTTP, read; write: `RedisStore` on node-redis", CONNECT_REDIS, http(STORE_ON_NODE_REDIS)],
    ["HTTP, read; write: middleware on ioredis", CONNECT_REDIS, http(MIDDLEWARE)],
    ["HTTP, read; write: middleware on node-redis", CONNECT_REDIS, http(MIDDLEWARE_ON_NODE_REDIS)],
    ["HTTP, read: middleware on ioredis", NO_SESSION, [`read: ${MIDDLEWARE}`]],
    [`HTTP, read: ${MIDDLEWARE_CACHED}`, NO_SESSION, [`read: ${MIDDLEWARE_CACHED}`]],
    ["`create`; `get`; `set`; `kill`, one after the other", REDIS_SESSIONS, engine("one after the other")],
    ["`create`; `get`; `set`; `kill`, 1000 at once", REDIS_SESSIONS, engine("1000 at once")],
    ["`get` from the near cache", REDIS_SESSIONS, ["get from the near cache, one after the other"]],
    ["`soid` of 100; `soapp` of 1000 sessions", REDIS_SESSIONS, ["soid of 100", "soapp of 1000"]],
    [
      "`wipe`; `killsoid`; `killall` of 100,000 sessions",
      REDIS_SESSIONS,
      ["wipe", "killsoid", "killall"].map((name) => `${name} of 100,000`),
    ],
  ];
  const cells = lines.map(([label, peer, works]) => {
    const figures = works.map((work) => run.rows.find((row) => row.work === work && row.peer === peer).ratio.median);
    return [label, peer, figures.map((figure) => (figure < 0.995 ? `**${short(figure)}**` : short(figure))).join("; ")];
  });
  return `${machineOf(run)}\n\n${markdown(["work", "beside", "times as fast"], cells)}`;
}

/** All rows, and what the calls cost, one section a suite. */
function results(run) {
  const parts = [`${machineOf(run)} ${goals(run)}`];
  for (const [suite, title] of Object.entries(SUITES)) {
    parts.push(`### ${title}`);
    const rows = run.rows.filter((row) => row.suite === suite);
    parts.push(...[faster(rows), costs(rows)].filter(Boolean));
    const calls = perCall(run, suite);
    if (calls) parts.push("<details><summary>What a call costs</summary>", calls, "</details>");
  }
  return parts.join("\n\n");
}

function machineOf({ date, processor, node, redis }) {
  return `${date.slice(0, 10)}: ${processor}, Node ${node}, Redis ${redis}.`;
}

function goals({ rows, minutes }) {
  const withGoal = rows.filter(({ met }) => met !== undefined);
  const met = withGoal.filter(({ met }) => met).length;
  return `${met} of ${withGoal.length} goals met, in ${minutes.toFixed(1)} minutes.`;
}

function faster(rows) {
  const cells = rows
    .filter(({ better }) => better === "more")
    .map(({ work, peer, goal, ratio, processor, ceiling, met }) => [
      work,
      peer,
      goal ?? "",
      withRange(ratio),
      short(processor),
      ceiling === undefined ? "" : short(ceiling),
      verdict(met),
    ]);
  return (
    cells.length > 0 && markdown(["work", "beside", "goal", "times as fast", "processor", "ceiling", "met"], cells)
  );
}

function costs(rows) {
  const cells = rows
    .filter(({ better }) => better === "less")
    .map(({ work, peer, goal, unit, ratio, met }) => {
      const suffix = unit && ` ${unit}`;
      return [work, peer, goal === undefined ? "" : `≤ ${goal}${suffix}`, `${withRange(ratio)}${suffix}`, verdict(met)];
    });
  return cells.length > 0 && markdown(["work", "beside", "goal", "measured", "met"], cells);
}

function verdict(met) {
  return met === undefined ? "" : met ? "yes" : "**no**";
}

function perCall({ measured }, suite) {
  const cells = measured
    .filter((one) => one.suite === suite && one.medians !== undefined)
    .flatMap(({ work, medians }) =>
      Object.entries(medians).map(([name, { time, node, redis, commands }]) => [
        work.replace("HTTP, ", ""),
        name,
        ...[1e6 / time, node, redis, commands].map(short),
      ]),
    );
  return cells.length > 0 && markdown(["work", "subject", "a second", "Node, µs", "Redis, µs", "commands"], cells);
}
