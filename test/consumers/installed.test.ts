import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { manifest, pack, repo, toolsFolder } from "../support/packed.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** Tests the packed package with other package managers, npm's registry, Node and other runtimes. */

const temp = mkdtempSync(join(tmpdir(), "ioredis-sessions-installed-"));
const exec = promisify(execFile);
let redis: TestRedis;
let tarball: string;
let tools: string;

beforeAll(async () => {
  tools = toolsFolder();
  [redis, { tarball }] = await Promise.all([startRedis(), pack(temp)]);
}, 300_000);

afterAll(async () => {
  await redis.stop();
  rmSync(temp, { recursive: true, force: true });
});

type Command = () => [file: string, ...args: string[]];

const pnpm: Command = () => [join(tools, ".bin/pnpm"), "install", "--ignore-workspace"];
// Yarn 1 takes a tarball from its cache by name and version alone, so the shared cache may have one of an earlier run.
const yarn1: Command = () => [
  process.execPath,
  join(tools, "yarn/bin/yarn.js"),
  "install",
  "--no-lockfile",
  "--cache-folder",
  join(temp, "yarn-cache"),
];
const yarn4: Command = () => [process.execPath, join(tools, "@yarnpkg/cli-dist/bin/yarn.js"), "install"];
const bunInstall: Command = () => [join(tools, ".bin/bun"), "install"];

const node: Command = () => [process.execPath];
const bun: Command = () => [join(tools, ".bin/bun")];
const deno: Command = () => [join(tools, ".bin/deno"), "run", "--allow-all"];
// Yarn 4 keeps packages in zip files and refuses imports that package.json does not declare.
const plugAndPlay: Command = () => [process.execPath, join(tools, "@yarnpkg/cli-dist/bin/yarn.js"), "node"];

const esm = {
  file: "esm.js",
  prints: {
    me: "alice",
    stored: "bob",
    refusal: 'RedisSessions has no option "wip". Did you mean "wipe"?',
    entries: [".", "./dashboard", "./express-session", "./middleware", "./rest"],
  },
};
const commonjs = {
  file: "commonjs.cjs",
  prints: { found: "carol", all: 1, store: "function", exports: true, same: true },
};

const device = { id: "alice", device: "Firefox on Linux", maxAge: 3600 };
const expressApp = {
  file: "express-app.js",
  prints: {
    refused: [303, "/login?next=%2Fdevices%3Fa%3D1"],
    rotated: 64,
    devices: [
      { ...device, current: true },
      { ...device, current: false },
    ],
    ended: { kill: 2 },
    after: [303, "/login?next=%2Fdevices"],
    visits: [1, 2, 1],
  },
};

const rows = [
  {
    manager: "pnpm",
    install: pnpm,
    runs: [
      { runtime: "Node", with: node, programs: [esm, commonjs, expressApp] },
      { runtime: "Bun", with: bun, programs: [esm, commonjs, expressApp] },
      { runtime: "Deno", with: deno, programs: [esm, commonjs, expressApp] },
    ],
  },
  { manager: "Yarn 1", install: yarn1, runs: [{ runtime: "Node", with: node, programs: [esm, commonjs, expressApp] }] },
  {
    manager: "Yarn 4",
    install: yarn4,
    // On Node 20, Plug'n'Play cannot require any ES module from a zip file.
    runs: [{ runtime: "Node", with: plugAndPlay, programs: [esm, expressApp] }],
  },
  { manager: "Bun", install: bunInstall, runs: [{ runtime: "Bun", with: bun, programs: [esm, commonjs, expressApp] }] },
];

describe.each(rows)("installed with $manager", ({ manager, install, runs }) => {
  const project = join(temp, manager.replace(" ", ""));

  beforeAll(async () => {
    const { devDependencies: versions = {} } = manifest(repo);
    const peers = ["ioredis", "express", "express-session"].map((name) => [name, versions[name]]);
    const dependencies = { "ioredis-sessions": `file:${tarball}`, ...Object.fromEntries(peers) };
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }));
    // Yarn 4 needs a lockfile to find the root of the project.
    writeFileSync(join(project, "yarn.lock"), "");
    for (const { file } of [esm, commonjs, expressApp])
      cpSync(join(import.meta.dirname, "projects", file), join(project, file));
    const [file, ...args] = install();
    // With CI set, package managers refuse to create a lockfile. Here they must create one.
    await exec(file, args, { cwd: project, env: { ...process.env, CI: "" } });
  }, 120_000);

  test.each(
    runs.flatMap(({ runtime, with: run, programs }) => programs.map((program) => ({ runtime, run, ...program }))),
  )("$runtime runs $file", async ({ run, file: program, prints }) => {
    await redis.client().flushall();
    const [file, ...args] = run();
    const { stdout } = await exec(file, [...args, program], {
      cwd: project,
      env: { ...process.env, REDIS_URL: redis.url },
    });
    expect(JSON.parse(stdout)).toEqual(prints);
  });
});
