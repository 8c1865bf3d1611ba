import { cpus, totalmem } from "node:os";
import { mapValues, median, ratio, spread } from "./measure.js";

const WIDTH = 30;

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

  /** Keeps and prints what the subjects took, round by round. See `cost` in measure.js. */
  figures(work, turns) {
    const medians = mapValues(turns, (rounds) =>
      mapValues(rounds[0], (_, key) => median(rounds.map((one) => one[key]))),
    );
    this.measured.push({ suite: this.#suite, work, turns, medians });
    console.log(`\n${work}: µs a call; processor time of Node and Redis, commands`);
    const most = Math.max(...Object.values(medians).map(({ time }) => time));
    for (const [name, { time, node, redis, commands }] of Object.entries(medians)) {
      const more = [short(node), short(redis), short(commands)].map((figure) => figure.padStart(8)).join("");
      console.log(`  ${name.padEnd(34)} ${bar(time / most)} ${short(time).padStart(8)}${more}`);
    }
  }

  /**
   * Adds a row for each peer: how many times as fast this package is, by duration and by processor time.
   * @param ours the subject that is compared; by default the first one
   * @param peers the names of the peers, each with its goal or undefined
   * @param ceiling the subject that does the least that is possible, if there is one
   */
  faster({ work, turns, ours = Object.keys(turns)[0], peers, ceiling }) {
    const time = (name) => turns[name].map((round) => round.time);
    const processor = (name) => turns[name].map((round) => round.node + round.redis);
    for (const [peer, goal] of Object.entries(peers)) {
      this.#row({
        work,
        peer,
        goal,
        better: "more",
        ratio: ratio(time(peer), time(ours)),
        processor: ratio(processor(peer), processor(ours)).median,
        ceiling: ceiling !== undefined && ceiling !== peer ? ratio(time(peer), time(ceiling)).median : undefined,
      });
    }
  }

  /** Reports costs relative to the peers: ours divided by theirs. The first subject is ours. Less is better. */
  costs({ work, unit, figures, peers }) {
    const spreads = mapValues(figures, spread);
    this.measured.push({ suite: this.#suite, work, unit, figures, spreads });
    console.log(`\n${work} (${unit})`);
    const most = Math.max(...Object.values(spreads).map((one) => one.median));
    for (const [name, { min, median, max }] of Object.entries(spreads)) {
      console.log(`  ${name.padEnd(34)} ${bar(median / most)} ${short(median)} (${short(min)}–${short(max)})`);
    }
    const [ours] = Object.keys(figures);
    for (const [peer, goal] of Object.entries(peers)) {
      this.#row({ work, peer, goal, better: "less", unit: "×", ratio: ratio(figures[ours], figures[peer]) });
    }
  }

  /** Reports a figure without a peer, which must stay below a limit. */
  limit({ work, unit, value, most }) {
    this.#row({ work, peer: "", goal: most, better: "less", unit, ratio: spread([value]) });
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

  #row(row) {
    const { goal, better, ratio } = row;
    const met = goal === undefined ? undefined : better === "more" ? ratio.median >= goal : ratio.median <= goal;
    this.rows.push({ suite: this.#suite, ...row, met });
    console.log(`  → ${describe({ ...row, met })}`);
  }
}

function bar(share) {
  return "█".repeat(Math.max(1, Math.round(share * WIDTH))).padEnd(WIDTH);
}

function describe({ work, peer, goal, better, unit = "×", ratio, processor, ceiling, met }) {
  const what = `${work}${peer && `, beside ${peer}`}`;
  const more = [
    processor && `${short(processor)} by processor time`,
    ceiling && `at most ${short(ceiling)} possible`,
    goal === undefined ? "no goal" : `goal: ${better === "more" ? "≥" : "≤"} ${goal}`,
  ];
  const verdict = met === undefined ? "" : met ? ": met" : ": MISSED";
  return `${what}: ${withRange(ratio)} ${unit}, ${more.filter(Boolean).join(", ")}${verdict}`;
}

/** Formats the median of a spread, and its range if that is visible. */
export function withRange({ median, min, max }) {
  return short(min) === short(max) ? short(median) : `${short(median)} (${short(min)}–${short(max)})`;
}

/** Formats a number with three digits, or as an integer from 100. */
export function short(number) {
  if (number >= 100) return Math.round(number).toLocaleString("en");
  return number.toFixed(number >= 10 ? 1 : 2);
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
