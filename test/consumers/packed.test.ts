import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startRedis, type TestRedis } from "../support/redis.js";

/** The package as npm would publish it, installed into a project of its own, and used. */

const repo = resolve(import.meta.dirname, "../..");
const temp = mkdtempSync(join(tmpdir(), "ioredis-sessions-packed-"));
const source = join(temp, "source");
const project = join(temp, "project");
const exec = promisify(execFile);

interface Manifest {
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
}

/** A package and all that it depends on: the folders where npm has put them. */
function closure(names: readonly string[], found = new Map<string, string>()): Map<string, string> {
  for (const name of names) {
    if (found.has(name)) continue;
    found.set(name, join(repo, "node_modules", name));
    closure(Object.keys(manifest(join(repo, "node_modules", name)).dependencies ?? {}), found);
  }
  return found;
}

async function npm(cwd: string, ...args: string[]): Promise<string> {
  const { stdout } = await exec("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], { cwd });
  return stdout;
}

/** Builds a copy, so that the repository's own dist is left alone. Gives the packed files. */
async function pack(): Promise<string[]> {
  for (const name of [
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "src",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
  ]) {
    cpSync(join(repo, name), join(source, name), { recursive: true });
  }
  symlinkSync(join(repo, "node_modules"), join(source, "node_modules"));
  await npm(source, "run", "build");
  const packed = JSON.parse(await npm(source, "pack", "--ignore-scripts", "--json", "--pack-destination", temp));
  // npm 12 gives an object by the packages' names.
  const [one] = Object.values(packed) as { filename: string; files: { path: string }[] }[];
  if (one === undefined) throw new Error("npm pack has packed nothing");
  await install(one.filename);
  return one.files.map(({ path }) => path);
}

/** Installs the tarball without the network: the dependencies are packed from where they are. */
async function install(tarball: string): Promise<void> {
  mkdirSync(project);
  const { dependencies = {}, peerDependencies = {} } = manifest(source);
  const needed = closure(Object.keys(dependencies));
  const packed = JSON.parse(
    await npm(temp, "pack", "--ignore-scripts", "--json", "--pack-destination", temp, ...needed.values()),
  );
  const files = (Object.values(packed) as { name: string; filename: string }[]).map(
    ({ name, filename }) => [name, `file:../${filename}`] as const,
  );
  const all = { "ioredis-sessions": `file:../${tarball}`, ...Object.fromEntries(files) };
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", private: true, dependencies: all }));
  await npm(project, "install", "--offline", "--ignore-scripts", "--legacy-peer-deps");

  // What the user of the package has: its peers, and TypeScript's types.
  for (const name of new Set(["ioredis", "express", "express-session", "@types", ...Object.keys(peerDependencies)])) {
    symlinkSync(join(repo, "node_modules", name), join(project, "node_modules", name));
  }
  cpSync(join(import.meta.dirname, "projects"), project, { recursive: true });
}

let redis: TestRedis;
let files: string[];

beforeAll(async () => {
  [redis, files] = await Promise.all([startRedis(), pack()]);
}, 120_000);

afterAll(async () => {
  await redis.stop();
  rmSync(temp, { recursive: true, force: true });
});

async function run(program: string): Promise<unknown> {
  const env = { ...process.env, REDIS_URL: redis.url };
  const { stdout, stderr } = await exec(process.execPath, [program], { cwd: project, env });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

test("the package holds what is needed and no more", () => {
  for (const file of ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/index.js", "dist/index.d.ts"]) {
    expect(files).toContain(file);
  }
  expect(files.filter((file) => !/^(dist\/.*\.(js|d\.ts)|[A-Za-z]+\.(md|json)|LICENSE)$/.test(file))).toEqual([]);
  expect(existsSync(join(project, "node_modules/ioredis-sessions/dist/index.js"))).toBe(true);
});

test("an ES module can use every entry point", async () => {
  expect(await run("esm.js")).toEqual({
    me: "alice",
    stored: "bob",
    refusal: 'RedisSessions has no option "wip". Did you mean "wipe"?',
    entries: Object.keys((manifest(repo) as { exports: object }).exports).filter((entry) => !entry.endsWith(".json")),
  });
});

test("a CommonJS program can require it, without a warning", async () => {
  expect(await run("commonjs.cjs")).toEqual({ found: "carol", all: 1, store: "function", same: true });
});

test("a strict TypeScript program compiles, with its own data merged into the request's session", async () => {
  const compilerOptions = {
    target: "es2022",
    module: "nodenext",
    types: ["node"],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noEmit: true,
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["typed.ts"] }));
  const tsc = exec(join(repo, "node_modules/.bin/tsc"), ["-p", project]);
  const errors = await tsc.then(
    () => "",
    ({ stdout }: { stdout: string }) => stdout,
  );
  expect(errors).toBe("");
});
