// Expands the scripts beside this file and embeds them as constants in index.ts, which git ignores.
// Scripts are embedded rather than read at run time, so that a bundled app needs no files beside it.
//
// A line that begins with `--@announce ` belongs only to the announcing variant of a script, which tells other processes what it
// has changed; see include/announce.lua. In the plain variant the line is a comment, so nothing is slower if nobody listens.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const here = new URL("./", import.meta.url);

function expand(file, announces, seen = new Set()) {
  return readFileSync(new URL(file, here), "utf8")
    .split("\n")
    .map((line) => (announces ? line.replace(/^( *)--@announce /, "$1") : line))
    .flatMap((line) => {
      const include = /^ *--@include (\S+)$/.exec(line)?.[1];
      if (include === undefined) return line.trim() === "" || line.trim().startsWith("--") ? [] : [line];
      if (seen.has(include)) return [];
      seen.add(include);
      return expand(`include/${include}.lua`, announces, seen);
    });
}

function variant(name, announces) {
  const source = expand(`${name}.lua`, announces).join("\n");
  return { name, sha: createHash("sha1").update(source).digest("hex"), source };
}

const constants = readdirSync(here)
  .filter((file) => file.endsWith(".lua"))
  .sort()
  .map((file) => {
    const name = file.slice(0, -".lua".length);
    const script = variant(name, false);
    const announcing = variant(name, true);
    const constant = name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
    const both = announcing.source === script.source ? script : { ...script, announcing };
    return `export const ${constant} = ${JSON.stringify(both, null, 2)} as const;\n`;
  });

writeFileSync(
  new URL("index.ts", here),
  `// Generated from the .lua files by embed.js. Do not edit.\n\n${constants.join("\n")}`,
);
