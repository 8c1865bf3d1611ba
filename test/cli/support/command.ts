import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect } from "vitest";

/** The time limit of a command in ms. A command that exceeds it hangs. */
const HANG = 15_000;

export interface Result {
  code: number | null;
  out: string;
  err: string;
}

type Environment = Record<string, string | undefined>;

const running = new Set<ChildProcess>();

/** Starts the built command without the settings of this machine. */
function start(
  args: readonly string[],
  env: Environment,
): { child: ChildProcess; result: Promise<Result>; said(): string } {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(RS_|REDIS_URL$)/.test(name));
  const child = spawn(process.execPath, ["dist/cli/main.js", ...args], {
    env: { ...Object.fromEntries(inherited), NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const result: Result = { code: null, out: "", err: "" };
  child.stdout?.setEncoding("utf8").on("data", (text) => {
    result.out += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    result.err += text;
  });
  const hang = setTimeout(() => child.kill("SIGKILL"), HANG);
  const ended = once(child, "close").then(([code]) => {
    clearTimeout(hang);
    running.delete(child);
    return { ...result, code };
  });
  return { child, result: ended, said: () => result.out + result.err };
}

/** Runs the command to its end. The code is null if the command hung and was killed. */
export function run(args: readonly string[], env: Environment = {}): Promise<Result> {
  return start(args, env).result;
}

/** The command, connected to one Redis. */
export interface Tools {
  /** Runs a command. */
  tool(...args: string[]): Promise<Result>;
  /** Runs a command and returns its output, parsed as JSON. */
  jsonOf(...args: string[]): Promise<unknown>;
}

export function toolsOn(redis: () => { url: string }): Tools {
  const tool = (...args: string[]) => run([...args, "--redis", redis().url]);
  return {
    tool,
    async jsonOf(...args) {
      const { code, out, err } = await tool(...args, "--json");
      expect({ code, err }).toEqual({ code: 0, err: "" });
      return JSON.parse(out);
    },
  };
}

/** Sends a request to `serve`, with or without an API key. */
export function ask(url: string, key?: string, method = "GET"): Promise<Response> {
  return fetch(url, { method, headers: key === undefined ? {} : { Authorization: `Bearer ${key}` } });
}

/** The status of the answer of `serve`. */
export async function statusOf(url: string, key?: string, method = "GET"): Promise<number> {
  const response = await ask(url, key, method);
  await response.arrayBuffer();
  return response.status;
}

/** A running `serve`. */
export interface Served {
  readonly url: string;
  /** The output so far, including the log. */
  said(): string;
  /** Sends a signal and waits for the exit. */
  stop(signal?: NodeJS.Signals): Promise<Result>;
}

/** Starts a command. */
export function spawnCommand(args: readonly string[]): { child: ChildProcess; result: Promise<Result> } {
  return start(args, {});
}

/** Runs `serve` and waits until it listens. Uses a free port unless `args` or `env` name one. */
export async function serve(args: readonly string[] = [], env: Environment = {}): Promise<Served> {
  const port = args.includes("--port") || env.RS_PORT !== undefined ? [] : ["--port", "0"];
  const { child, result, said } = start(["serve", ...port, ...args], env);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on("data", () => {
      const match = /serves on (http:\S+)/.exec(said());
      if (match?.[1] !== undefined) resolve(match[1]);
    });
    result.then(({ code }) => reject(new Error(`serve ended with ${code}:\n${said()}`)), reject);
  });
  return {
    url,
    said,
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return result;
    },
  };
}

/** Ends commands that tests have left running. Call it at the top of a test file. Returns a function that writes key files. */
export function useCommand(): { keyFile(text: string): string } {
  const dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-cli-"));
  let files = 0;
  afterEach(() => {
    for (const child of running) child.kill("SIGKILL");
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return {
    keyFile(text) {
      files += 1;
      const path = join(dir, `keys-${files}`);
      writeFileSync(path, text);
      return path;
    },
  };
}
