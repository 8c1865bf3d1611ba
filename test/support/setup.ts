import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { needProgram } from "./packages.js";

/** Runs once before all tests: embeds the Lua scripts, builds dist, and sees to it that there is a redis-server. */
export async function setup(): Promise<void> {
  execFileSync(process.execPath, ["src/lua/embed.js"]);
  // It writes dist in spite of errors in types: `npm run types` tells those.
  if (isDistOld()) spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);
  await needProgram(
    "redis-server",
    "redis-server",
    "The tests need redis-server (6.2 or later) on the PATH: apt install redis-server, brew install redis, or https://redis.io/downloads",
  );
}

/** Whether a source was changed since dist, which the examples run on, was built. What is generated is always new. */
function isDistOld(): boolean {
  if (!existsSync("dist/index.js")) return true;
  const built = statSync("dist/index.js").mtimeMs;
  return readdirSync("src", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((file) => join(file.parentPath, file.name))
    .some((path) => path !== join("src", "lua", "index.ts") && statSync(path).mtimeMs > built);
}
