// npm run attack [-- name …]
// Runs scripted attacks against the built package and prints what each costs its victims. Each file in attacks/ is one
// attack. It exports `attack()`, which returns rows of { measure, value, unit, limit? }.
import { readdirSync } from "node:fs";
import { markdown } from "./lib/report.js";

const names = readdirSync(new URL("attacks/", import.meta.url))
  .filter((file) => file.endsWith(".js"))
  .map((file) => file.slice(0, -".js".length));
const chosen = process.argv.length > 2 ? process.argv.slice(2) : names;
const unknown = chosen.find((name) => !names.includes(name));
if (unknown !== undefined) {
  console.error(`Unknown attack ${unknown}. The attacks are ${names.join(", ")}`);
  process.exit(2);
}

let failed = false;
const cells = [];
for (const name of chosen) {
  const { attack } = await import(`./attacks/${name}.js`);
  for (const { measure, value, unit, limit } of await attack()) {
    const over = limit !== undefined && value > limit;
    failed ||= over;
    cells.push([
      name,
      measure,
      `${value.toFixed(1)} ${unit}`,
      limit === undefined ? "" : `${limit} ${unit}`,
      over ? "over" : "",
    ]);
  }
}
console.log(markdown(["attack", "measure", "value", "limit", ""], cells));
process.exit(failed ? 1 : 0);
