import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { freePort } from "./redis.js";

export interface Ended {
  code: number;
  out: string;
  err: string;
}

/** Runs a program to its end, and kills it after the time limit. */
export function runProgram(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  timeout = 15_000,
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout };
    execFile(command, args, options, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out: out.trimEnd(), err: err.trimEnd() });
    });
  });
}

/** Returns the first command that runs with these arguments, or undefined. */
export function findProgram(commands: readonly string[], args: readonly string[]): string | undefined {
  return commands.find((command) => spawnSync(command, args, { stdio: "ignore" }).status === 0);
}

/** The name of a test, with the reason if it is skipped. */
export function nameOf(name: string, program: string | undefined, reason: string): string {
  return program === undefined ? `${name} (skipped: ${reason})` : name;
}

/** A server in its own process. */
export interface Program {
  /** The URL of the server. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a server on a free port. The server must print its URL when it listens. */
export async function startProgram(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Program> {
  const port = await freePort();
  const child = spawn(command, args, {
    env: { ...process.env, ...env, PORT: `${port}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const listen = (text: Buffer) => {
      said += text;
      if (said.includes(`http://localhost:${port}`)) resolve();
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`${[command, ...args].join(" ")} ended:\n${said}`)));
  });
  return {
    url: `http://localhost:${port}`,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await once(child, "exit");
    },
  };
}
