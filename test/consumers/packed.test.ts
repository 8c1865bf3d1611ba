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
  const env = { ...process.env, REDIS_URL: redis.url, REDIS_PORT: `${redis.port}`, SESSION_TTL: "3600" };
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

  // redis-sessions 2.1.0 and 3.0.0 print the same for this program.
  test("runs a program for redis-sessions 2 with only the import changed", async () => {
    expect(await run("redis-sessions-2.cjs")).toEqual({
      ping: "PONG",
      created: true,
      visits: ["200 Alice true", "401 no token", "401 no session", "500 Invalid token format"],
      changed: { name: "Alice", paid: true, total: 12.5 },
      read: 4,
      activity: { activity: 2 },
      active: ["10.0.0.1", "10.0.0.2", "10.0.0.3"],
      killed: { kill: 1 },
      again: { kill: 0 },
      signedOut: "401 no session",
      signedIn: "200 Alice true",
      errors: [
        "missingParameter: No app supplied",
        "invalidFormat: Invalid app format",
        "missingParameter: No id supplied",
        "invalidValue: ttl must be a positive integer >= 10",
        "invalidValue: d must be an object",
        "invalidValue: d.list has a forbidden type. Only strings, numbers, boolean and null are allowed.",
        "missingParameter: No token supplied",
      ],
    });
  });

  // redis-sessions 4.0.0 prints the same for this program.
  test("runs a program for redis-sessions 4 with only the import changed", async () => {
    expect(await run("redis-sessions-4.js")).toEqual({
      ping: "PONG",
      users: ["alice", null],
      set: { cart: 3 },
      nobody: null,
      noResave: true,
      activity: { activity: 2 },
      soapp: 3,
      soid: [{ ip: "10.0.0.1", d: { cart: 3 } }, { ip: "10.0.0.2" }],
      logout: [{ kill: 1 }, { kill: 0 }],
      killsoid: { kill: 1 },
      left: null,
      killall: { kill: 1 },
      errors: [
        "invalidFormat: Invalid app format",
        "invalidFormat: Invalid token format",
        "invalidValue: deltaTime must be a positive integer >= 10",
        "invalidValue: d.list has a forbidden type. Only strings, numbers, boolean and null are allowed.",
      ],
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
