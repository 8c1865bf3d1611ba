import { type Program, startProgram } from "./programs.js";

/** Starts a file of examples/ on a free port. The example must print its URL when it listens. */
export function startExample(file: string, redisUrl: string, variables: Record<string, string> = {}): Promise<Program> {
  return startProgram(process.execPath, [`examples/${file}`], { ...variables, REDIS_URL: redisUrl });
}
