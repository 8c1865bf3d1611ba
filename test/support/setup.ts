import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { needProgram } from "./packages.js";

/** Runs once before all tests: embeds the Lua scripts and the dashboard's files, builds dist and ensures that redis-server is installed. */
export async function setup(): Promise<void> {
  execFileSync(process.execPath, ["src/lua/embed.js"]);
  execFileSync(process.execPath, ["src/dashboard/assets/embed.js"]);
  // tsc writes dist despite type errors. `npm run types` reports them.
  if (isDistOld()) spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.build.json"]);
  await needProgram(
    "redis-server",
    "redis-server",
    "The tests need redis-server (6.2 or later) on the PATH: apt install redis-server, brew install redis, or https://redis.io/downloads",
  );
}

/** Generated from other files, and therefore always newer than dist. */
const GENERATED = [join("src", "lua", "index.ts"), join("src", "dashboard", "assets", "index.ts")];

/** Whether a source file is newer than dist. */
function isDistOld(): boolean {
  if (!existsSync("dist/index.js")) return true;
  const built = statSync("dist/index.js").mtimeMs;
  return readdirSync("src", { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((file) => join(file.parentPath, file.name))
    .some((path) => !GENERATED.includes(path) && statSync(path).mtimeMs > built);
}
