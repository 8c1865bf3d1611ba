import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";

/**
 * Sees to it that a program is there: as root on Debian its package is installed when it is missing.
 * @param command what must be on the PATH, or is a path
 * @param otherwise the error's message when there still is none
 */
export async function needProgram(command: string, debianPackage: string, otherwise: string): Promise<void> {
  if (has(command)) return;
  if (process.getuid?.() === 0 && existsSync("/usr/bin/apt-get")) {
    console.log(`No ${command} on this machine: installing Debian's package ${debianPackage} …`);
    await apt("update", "-qq");
    await apt("install", "-y", "-qq", "--no-install-recommends", debianPackage);
  }
  if (!has(command)) throw new Error(otherwise);
}

function has(command: string): boolean {
  return spawnSync(command, ["--version"]).status === 0;
}

/** Waits for another apt-get that is at work. Its failure shows in that the program is still missing. */
async function apt(...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await once(spawn("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], { stdio: "inherit", env }), "exit");
}
