// Expands the scripts beside this file and embeds them as constants in index.ts, which git ignores.
// Scripts are embedded rather than read at run time, so that a bundled app needs no files beside it.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const here = new URL("./", import.meta.url);

function expand(file, seen) {
  return readFileSync(new URL(file, here), "utf8")
    .split("\n")
    .flatMap((line) => {
      const include = /^ *--@include (\S+)$/.exec(line)?.[1];
      if (include === undefined) return line.trim() === "" || line.trim().startsWith("--") ? [] : [line];
      if (seen.has(include)) return [];
      seen.add(include);
      return expand(`include/${include}.lua`, seen);
    });
}

const constants = readdirSync(here)
  .filter((file) => file.endsWith(".lua"))
  .sort()
  .map((file) => {
    const name = file.slice(0, -".lua".length);
    const source = expand(file, new Set()).join("\n");
    const sha = createHash("sha1").update(source).digest("hex");
    const constant = name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
    return `export const ${constant} = ${JSON.stringify({ name, sha, source }, null, 2)} as const;\n`;
  });

writeFileSync(
  new URL("index.ts", here),
  `// Generated from the .lua files by embed.js. Do not edit.\n\n${constants.join("\n")}`,
);
