// Writes the figures of a complete run into the pages. In a page, they are between `<!-- bench: <name> -->` and
// `<!-- end of bench -->`.
import { readFileSync, writeFileSync } from "node:fs";
import { chart, panelsOf } from "./chart.js";
import * as names from "./names.js";
import { markdown, short, withRange } from "./report.js";

const { CONNECT_REDIS, CONNECT_REDIS_ON_5, MIDDLEWARE, NO_SESSION, REDIS_SESSIONS, STORE, STORE_ON_NODE_REDIS } = names;

const root = new URL("../../", import.meta.url);

const PAGES = ["README.md", "docs/performance.md", "bench/README.md"];

const SECTIONS = { summary, results };

const SUITES = {
  engine: "Engine",
  store: "RedisStore without HTTP",
  http: "HTTP: Express 5, 50 connections",
  memory: "Memory of Redis",
  aof: "Append-only file: bytes a request that only reads its session",
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

/** What a reader wants to know first. Each line contains the medians of one or several rows. */
function summary(run) {
  const both = (name) => [`session read: ${name}`, `one key written: ${name}`];
  const http = "HTTP: the session is read; one key is written";
  const lines = [
    [`\`RedisStore\` on ioredis. ${http}`, CONNECT_REDIS, both(STORE)],
    ["the same", CONNECT_REDIS_ON_5, both(STORE)],
    ["`RedisStore` on node-redis. The same", CONNECT_REDIS, both(STORE_ON_NODE_REDIS)],
    ["middleware on ioredis. The same", CONNECT_REDIS, both(MIDDLEWARE)],
    ["middleware on ioredis. HTTP: the session is read", NO_SESSION, [`session read: ${MIDDLEWARE}`]],
    [
      "`create`, `get`, `set`, `kill`, one after the other",
      REDIS_SESSIONS,
      ["create", "get", "set", "kill"].map((name) => `${name}, one after the other`),
    ],
    ["the same, 1000 at once", REDIS_SESSIONS, ["create", "get", "set", "kill"].map((name) => `${name}, 1000 at once`)],
    ["`soid` of 100, `soapp` of 1000 sessions", REDIS_SESSIONS, ["soid of 100", "soapp of 1000"]],
    [
      "`wipe`, `killsoid`, `killall` of 100,000 sessions",
      REDIS_SESSIONS,
      ["wipe", "killsoid", "killall"].map((name) => `${name} of 100,000`),
    ],
  ];
  const cells = lines.map(([label, peer, works]) => {
    const figures = works.map((work) => run.rows.find((row) => row.work === work && row.peer === peer).ratio.median);
    return [label, peer, figures.map((figure) => (figure < 0.995 ? `**${short(figure)}**` : short(figure))).join(", ")];
  });
  return `${about(run)}\n\n${markdown(["work", "beside", "times as fast"], cells)}`;
}

/** All rows, and what the calls cost. */
function results(run) {
  const parts = [about(run)];
  for (const [suite, title] of Object.entries(SUITES)) {
    parts.push(`### ${title}`);
    const rows = run.rows.filter((row) => row.suite === suite);
    parts.push(...[faster(rows), costs(rows)].filter(Boolean));
    if (suite === "store" || suite === "http") parts.push("What a call costs:", perCall(run, suite));
  }
  return parts.join("\n\n");
}

function about({ date, processor, node, redis, minutes, rows }) {
  const goals = rows.filter(({ met }) => met !== undefined);
  const met = goals.filter(({ met }) => met).length;
  return (
    `${date.slice(0, 10)}: ${processor}, Node ${node}, Redis ${redis}, ${minutes.toFixed(1)} minutes. ` +
    `${met} of ${goals.length} goals met.`
  );
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
  return markdown(["work", "subject", "a second", "Node, µs", "Redis, µs", "commands"], cells);
}
