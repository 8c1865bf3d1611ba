import { cpus, totalmem } from "node:os";
import { ratio, spread } from "./measure.js";

const WIDTH = 40;

/** Collects the suites' measurements, and prints each one at once. */
export class Report {
  /** The rows of the table. */
  rows = [];
  /** The figures behind the rows. */
  measured = [];
  #suite = "";

  begin(suite) {
    this.#suite = suite;
    console.log(`\n${suite}\n${"=".repeat(suite.length)}`);
  }

  /** Reports durations. The first subject should be faster than its peers. The ratio is theirs divided by ours. */
  faster({ work, unit, figures, peers }) {
    this.#compare({ work, unit, figures, peers, better: "more", of: (ours, theirs) => ratio(theirs, ours) });
  }

  /** Reports requests per second. The ratio is ours divided by theirs. */
  throughput({ work, figures, peers }) {
    this.#compare({
      work,
      unit: "requests/s",
      figures,
      peers,
      better: "more",
      of: (ours, theirs) => ratio(ours, theirs),
    });
  }

  /** Reports costs relative to the peers: ours divided by theirs. Less is better. */
  costs({ work, unit, figures, peers }) {
    this.#compare({ work, unit, figures, peers, better: "less", of: (ours, theirs) => ratio(ours, theirs) });
  }

  /** Reports a figure without a peer, which must stay below a limit. */
  limit({ work, unit, value, most }) {
    this.#row({ work, peer: "", reach: most, better: "less", unit, ratio: spread([value]) });
  }

  /** Reports the processor time of each request, in microseconds. */
  processorTime({ work, costs }) {
    this.measured.push({ suite: this.#suite, work, unit: "µs of processor time a request", costs });
    console.log(`\n${work}: processor time a request, µs (server, Redis)`);
    for (const [name, { server, redis }] of Object.entries(costs)) {
      console.log(`  ${name.padEnd(26)} ${server.toFixed(0).padStart(6)} ${redis.toFixed(1).padStart(8)}`);
    }
  }

  /** Reports the cost of the calls at each size. */
  sizes({ work, sizes, found }) {
    this.measured.push({ suite: this.#suite, work, sizes, found });
    console.log(
      `\n${work}\n  ${"".padEnd(26)} ${sizes.map((size) => size.toLocaleString("en").padStart(10)).join("")}`,
    );
    for (const [name, list] of Object.entries(found)) {
      console.log(`  ${name.padEnd(26)} ${list.map((figure) => figure.toFixed(2).padStart(10)).join("")}`);
    }
  }

  note(text) {
    console.log(`  ${text}`);
  }

  #compare({ work, unit, figures, peers, better, of }) {
    const spreads = Object.fromEntries(Object.entries(figures).map(([name, list]) => [name, spread(list)]));
    this.measured.push({ suite: this.#suite, work, unit, figures, spreads });
    console.log(`\n${work} (${unit})`);
    const most = Math.max(...Object.values(spreads).map(({ median }) => median));
    for (const [name, { min, median, max }] of Object.entries(spreads)) {
      const bar = "█".repeat(Math.max(1, Math.round((median / most) * WIDTH))).padEnd(WIDTH);
      console.log(`  ${name.padEnd(26)} ${bar} ${short(median)} (${short(min)}–${short(max)})`);
    }
    const [ours] = Object.keys(figures);
    for (const [peer, reach] of Object.entries(peers)) {
      this.#row({ work, peer, reach, better, ratio: of(figures[ours], figures[peer]) });
    }
  }

  #row(row) {
    const { reach, better, ratio } = row;
    const met = reach === undefined ? undefined : better === "more" ? ratio.median >= reach : ratio.median <= reach;
    this.rows.push({ suite: this.#suite, ...row, met });
    console.log(`  → ${describe({ ...row, met })}`);
  }
}

function describe({ work, peer, reach, better, unit = "×", ratio, met }) {
  const goal = reach === undefined ? "no goal" : `${better === "more" ? "at least" : "at most"} ${reach}`;
  const range = ratio.min === ratio.max ? "" : ` (${short(ratio.min)}–${short(ratio.max)})`;
  const what = peer ? `against ${peer}` : work;
  return `${what}: ${short(ratio.median)} ${unit}${range}, ${goal}${met === undefined ? "" : met ? ": met" : ": MISSED"}`;
}

/** Formats a number with three digits, or as an integer from 100. */
export function short(number) {
  if (number >= 100) return Math.round(number).toLocaleString("en");
  return number.toFixed(number >= 10 ? 1 : 2);
}

/** Formats the rows as a Markdown table. */
export function table(rows) {
  const cells = rows.map(({ work, peer, reach, better, unit, ratio, met }) => {
    const suffix = unit ? ` ${unit}` : "";
    const goal = reach === undefined ? "–" : `${better === "more" ? "≥" : "≤"} ${reach}${suffix}`;
    const range = ratio.min === ratio.max ? "" : ` (${short(ratio.min)}–${short(ratio.max)})`;
    const verdict = met === undefined ? "" : met ? "yes" : "**no**";
    return [work, peer || "–", goal, `${short(ratio.median)}${suffix}${range}`, verdict];
  });
  return markdown(["work", "against", "goal", "median (min–max)", "met"], cells);
}

/** Formats a Markdown table. Cells are not padded, because test/docs.test.ts allows only 120 characters a row. */
export function markdown(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

export function machine(redisVersion) {
  const [{ model }] = cpus();
  return {
    date: new Date().toISOString(),
    processor: `${cpus().length} × ${model.trim()}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    redis: redisVersion,
  };
}
