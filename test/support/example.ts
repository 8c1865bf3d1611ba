import { spawn } from "node:child_process";
import { once } from "node:events";
import { freePort } from "./redis.js";

/** An example that runs as a process of its own. */
export interface Example {
  /** Where it listens. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts a file of examples/ on a free port; it has to say its address when it listens. */
export async function startExample(
  file: string,
  redisUrl: string,
  variables: Record<string, string> = {},
): Promise<Example> {
  const port = await freePort();
  const env = { ...process.env, ...variables, PORT: `${port}`, REDIS_URL: redisUrl };
  const child = spawn(process.execPath, [`examples/${file}`], { env, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  await new Promise<void>((resolve, reject) => {
    const listen = (text: Buffer) => {
      said += text;
      if (said.includes(`http://localhost:${port}`)) resolve();
    };
    child.stdout.on("data", listen);
    child.stderr.on("data", listen);
    child.once("exit", () => reject(new Error(`examples/${file} ended:\n${said}`)));
  });
  return {
    url: `http://localhost:${port}`,
    async stop() {
      if (child.exitCode !== null) return;
      child.kill();
      await once(child, "exit");
    },
  };
}
