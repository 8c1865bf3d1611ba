import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";

/** The package as npm publishes it, for tests that install it like a consumer. */

export const repo = resolve(import.meta.dirname, "../..");
const tools = join(repo, "test/consumers/tools");
const exec = promisify(execFile);

export interface Manifest {
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

export function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

export async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await exec("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], { cwd });
  return stdout;
}

/** Builds and packs a copy, so that dist of the repository is not changed. Returns the tarball and the packed files. */
export async function pack(temp: string): Promise<{ tarball: string; files: string[] }> {
  const source = join(temp, "source");
  for (const name of [
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "src",
    "commonjs",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
  ]) {
    cpSync(join(repo, name), join(source, name), { recursive: true });
  }
  symlinkSync(join(repo, "node_modules"), join(source, "node_modules"));
  await npm(source, "run", "build");
  const packed = JSON.parse(await npm(source, "pack", "--ignore-scripts", "--json", "--pack-destination", temp));
  // npm 12 returns an object with the package names as keys.
  const [one] = Object.values(packed) as { filename: string; files: { path: string }[] }[];
  if (one === undefined) throw new Error("npm pack returned no package");
  return { tarball: join(temp, basename(one.filename)), files: one.files.map(({ path }) => path) };
}

/** Unpacks the tarball into the project's node_modules. Links its dependencies from the repository. */
export async function unpack(tarball: string, project: string): Promise<void> {
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, "ioredis-sessions"), { recursive: true });
  await exec("tar", ["-xzf", tarball, "-C", join(modules, "ioredis-sessions"), "--strip-components=1"]);
  const { dependencies = {}, peerDependencies = {} } = manifest(repo);
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), "@types"]) {
    symlinkSync(join(repo, "node_modules", name), join(modules, name));
  }
}

/** The folder of compilers, package managers and runtimes of consumers. npm installs it on first use. */
export function toolsFolder(): string {
  if (!existsSync(join(tools, "node_modules/.package-lock.json"))) {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: tools, stdio: "inherit" });
  }
  return join(tools, "node_modules");
}
