import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";

/**
 * Ensures that a program is installed. Installs the package of a missing program if this process is root on Debian.
 * @param command a name on the PATH, or a path
 * @param otherwise the message of the error if the program is still missing
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

/** Runs apt-get, and waits for another apt-get first. Ignores failures, because the caller checks the program again. */
async function apt(...args: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await once(spawn("apt-get", ["-o", "DPkg::Lock::Timeout=120", ...args], { stdio: "inherit", env }), "exit");
}
