import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { manifest, npm, pack, repo } from "../support/packed.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** Installs the package, as npm publishes it, into a separate project and uses it. */

const temp = mkdtempSync(join(tmpdir(), "ioredis-sessions-packed-"));
const project = join(temp, "project");
const exec = promisify(execFile);

/** The folders of a package and all its dependencies. */
function closure(names: readonly string[], found = new Map<string, string>()): Map<string, string> {
  for (const name of names) {
    if (found.has(name)) continue;
    found.set(name, join(repo, "node_modules", name));
    closure(Object.keys(manifest(join(repo, "node_modules", name)).dependencies ?? {}), found);
  }
  return found;
}

/** Installs the tarball without the network. Packs the dependencies from their installed folders. */
async function install(tarball: string): Promise<void> {
  mkdirSync(project);
  const { dependencies = {}, peerDependencies = {} } = manifest(repo);
  const needed = closure(Object.keys(dependencies));
  const packed = JSON.parse(
    await npm(temp, "pack", "--ignore-scripts", "--json", "--pack-destination", temp, ...needed.values()),
  );
  const files = (Object.values(packed) as { name: string; filename: string }[]).map(
    ({ name, filename }) => [name, `file:../${filename}`] as const,
  );
  const all = { "ioredis-sessions": `file:${tarball}`, ...Object.fromEntries(files) };
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", private: true, dependencies: all }));
  await npm(project, "install", "--offline", "--ignore-scripts", "--legacy-peer-deps");

  // The user's own packages: the peer dependencies and the types for TypeScript.
  for (const name of new Set(["ioredis", "express", "express-session", "@types", ...Object.keys(peerDependencies)])) {
    symlinkSync(join(repo, "node_modules", name), join(project, "node_modules", name));
  }
  cpSync(join(import.meta.dirname, "projects"), project, { recursive: true });
}

let redis: TestRedis;
let files: string[];

beforeAll(async () => {
  const packed = await pack(temp);
  files = packed.files;
  [redis] = await Promise.all([startRedis(), install(packed.tarball)]);
}, 120_000);

afterAll(async () => {
  await redis.stop();
  rmSync(temp, { recursive: true, force: true });
});

async function run(program: string): Promise<unknown> {
  const env = { ...process.env, REDIS_URL: redis.url, REDIS_PORT: `${redis.port}` };
  const { stdout, stderr } = await exec(process.execPath, [program], { cwd: project, env });
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}

describe("the packed package", () => {
  test("contains all necessary files and no others", () => {
    for (const file of ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "dist/index.js", "dist/index.d.ts"]) {
      expect(files).toContain(file);
    }
    expect(
      files.filter(
        (file) => !/^(dist\/.*\.(js|d\.ts)|commonjs\/[a-z-]+\.(cjs|d\.cts)|[A-Za-z]+\.(md|json)|LICENSE)$/.test(file),
      ),
    ).toEqual([]);
    expect(existsSync(join(project, "node_modules/ioredis-sessions/dist/index.js"))).toBe(true);
  });

  test("runs an ES module that uses every entry point", async () => {
    expect(await run("esm.js")).toEqual({
      me: "alice",
      stored: "bob",
      refusal: 'RedisSessions has no option "wip". Did you mean "wipe"?',
      entries: Object.keys((manifest(repo) as { exports: object }).exports).filter((entry) => !entry.endsWith(".json")),
    });
  });

  test("runs a CommonJS program without a warning", async () => {
    expect(await run("commonjs.cjs")).toEqual({
      found: "carol",
      all: 1,
      store: "function",
      exports: true,
      same: true,
    });
  });

  test("runs the calls of redis-sessions' README unchanged", async () => {
    const session = { id: "user1001", ip: "192.168.22.58", ttl: 3600, idle: 0 };
    const later = { last_action: "/read/msg/2121", birthday: "2013-08-13", foo: "bar" };
    expect(await run("redis-sessions.cjs")).toMatchObject({
      create: { token: expect.stringMatching(/^[A-Za-z0-9]{64,}$/) },
      set: { ...session, d: { foo: "bar", unread_msgs: 12, last_action: "/read/news", birthday: "2013-08-13" } },
      get: { ...session, r: 1, w: 2 },
      remove: { ...session, w: 3, d: later },
      activity: { activity: 1 },
      soapp: { sessions: [{ ...session, d: later }] },
      soid: { sessions: [{ ...session, d: later }] },
      kill: { kill: 1 },
      killsoid: { kill: 1 },
      killall: { kill: 1 },
    });
  });

  test("compiles a strict TypeScript program that declares its session data", async () => {
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
});
