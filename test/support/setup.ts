import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Runs once before all tests: embeds the Lua scripts and sees to it that there is a redis-server. */
export function setup(): void {
  execFileSync(process.execPath, ["src/lua/embed.js"]);
  if (hasRedis()) return;
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    console.log("No redis-server on this machine: installing Debian's package redis-server …");
    const apt = (...args: string[]) =>
      spawnSync("apt-get", args, { stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
    apt("update", "-qq");
    apt("install", "-y", "-qq", "--no-install-recommends", "redis-server");
  }
  if (!hasRedis()) {
    throw new Error(
      "The tests need redis-server (6.2 or later) on the PATH: apt install redis-server, brew install redis, or https://redis.io/downloads",
    );
  }
}

function hasRedis(): boolean {
  return spawnSync("redis-server", ["--version"]).status === 0;
}
