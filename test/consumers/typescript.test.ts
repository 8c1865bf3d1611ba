import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pack, repo, toolsFolder, unpack } from "../support/packed.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** Compiles TypeScript projects against the packed package with each module setting, and runs the output. */

const temp = mkdtempSync(join(tmpdir(), "ioredis-sessions-typescript-"));
const exec = promisify(execFile);
let redis: TestRedis;
let tools: string;

beforeAll(async () => {
  tools = toolsFolder();
  [redis] = await Promise.all([startRedis(), pack(temp).then(({ tarball }) => unpack(tarball, temp))]);
}, 300_000);

afterAll(async () => {
  await redis.stop();
  rmSync(temp, { recursive: true, force: true });
});

interface Setting {
  module: string;
  moduleResolution?: string;
  esModuleInterop?: boolean;
  skipLibCheck?: boolean;
  ignoreDeprecations?: string;
}

interface Compiler {
  version: string;
  folder(): string;
  commonjs: Setting[];
  module: Setting[];
}

const node10 = { module: "commonjs", moduleResolution: "node10" };
const bundler = { moduleResolution: "bundler" };
const off = { esModuleInterop: false };
// Only this setting reports errors inside our declarations. It doubles the time.
const whole = { skipLibCheck: false };
// TypeScript 6 warns about settings that 7 has removed.
const old = { ignoreDeprecations: "6.0" };

/** Each compiler with its module settings for CommonJS packages and ES module packages. */
const compilers: Compiler[] = [
  {
    version: "5.4",
    folder: () => join(tools, "typescript54"),
    commonjs: [
      node10,
      { ...node10, ...off, ...whole },
      { module: "node16", ...whole },
      { module: "node16", ...off },
      { module: "nodenext" },
    ],
    module: [
      { module: "esnext", moduleResolution: "node10" },
      { module: "node16" },
      { module: "nodenext" },
      { module: "esnext", ...bundler, ...whole },
      { module: "preserve", ...bundler },
    ],
  },
  {
    version: "5.9",
    folder: () => join(tools, "typescript59"),
    commonjs: [
      node10,
      { ...node10, ...off },
      { module: "node16" },
      { module: "node18" },
      { module: "node20" },
      { module: "nodenext" },
      { module: "nodenext", ...off },
    ],
    module: [
      { module: "node16" },
      { module: "node18" },
      { module: "node20" },
      { module: "nodenext" },
      { module: "esnext", ...bundler },
      { module: "preserve", ...bundler },
    ],
  },
  {
    version: "6",
    folder: () => join(tools, "typescript6"),
    commonjs: [
      { ...node10, ...old },
      { ...node10, ...off, ...old },
      { module: "commonjs", ...bundler },
      { module: "node16" },
      { module: "node20" },
      { module: "nodenext" },
    ],
    module: [{ module: "node16" }, { module: "nodenext" }, { module: "esnext", ...bundler }],
  },
  {
    version: "7",
    folder: () => join(repo, "node_modules/typescript"),
    commonjs: [
      { module: "commonjs", ...bundler, ...whole },
      { module: "node16" },
      { module: "node20" },
      { module: "nodenext", ...whole },
    ],
    module: [{ module: "node16" }, { module: "node20" }, { module: "nodenext" }, { module: "esnext", ...bundler }],
  },
];

test("exports the same names in the CommonJS types and the ES module types", () => {
  // TypeScript 7 has no compiler API.
  const ts = createRequire(import.meta.url)(join(tools, "typescript6")) as CompilerApi;
  const folder = join(temp, "node_modules/ioredis-sessions");
  const files = [join(folder, "commonjs/index.d.cts"), join(folder, "dist/index.d.ts")];
  const program = ts.createProgram(files, { module: ts.ModuleKind.NodeNext, types: [] });
  const checker = program.getTypeChecker();
  const [required, imported] = files.map((file) =>
    checker
      .getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)))
      .map(({ name }) => name)
      .filter((name) => !["prototype", "export="].includes(name))
      .sort(),
  );
  expect(imported).toContain("RedisSessionsOptions");
  expect(required).toEqual(imported);
});

/** The part of TypeScript's API that the test above uses. */
interface CompilerApi {
  ModuleKind: { NodeNext: number };
  createProgram(
    files: string[],
    options: object,
  ): {
    getSourceFile(file: string): unknown;
    getTypeChecker(): {
      getSymbolAtLocation(node: unknown): unknown;
      getExportsOfModule(symbol: unknown): { name: string }[];
    };
  };
}

describe.each(compilers)("TypeScript $version", ({ version, folder, commonjs, module }) => {
  const projects = [
    ...commonjs.map((setting) => ({ type: "commonjs", setting })),
    // TypeScript refuses `import x = require()` if the output is an ES module.
    ...module.map((setting) => ({ type: "module", setting })),
  ].map(({ type, setting }, index) => ({
    type,
    setting,
    name: `${version}-${index}`,
    title: `a ${type} package with ${Object.entries(setting)
      .map((entry) => entry.join(" "))
      .join(", ")}`,
    programs: type === "commonjs" ? ["imports", "requires"] : ["imports"],
  }));
  let report: string;

  beforeAll(async () => {
    for (const project of projects) write(project);
    // Build all projects in one process, which reads each declaration once.
    const tsc = exec(process.execPath, [join(folder(), "bin/tsc"), "-b", ...projects.map(({ name }) => name)], {
      cwd: temp,
    });
    report = await tsc.then(
      () => "",
      ({ stdout }: { stdout: string }) => stdout,
    );
  }, 300_000);

  test.each(projects)("compiles and runs $title", async ({ name, programs }) => {
    expect(report.split("\n").filter((line) => line.includes(`${name}/`))).toEqual([]);
    for (const program of programs) {
      const env = { ...process.env, REDIS_URL: redis.url };
      const { stdout, stderr } = await exec(process.execPath, [join(temp, name, `dist/${program}.js`)], { env });
      expect(stderr).toBe("");
      expect(JSON.parse(stdout)).toEqual({
        id: "alice",
        listed: 1,
        code: "ERR_INVALID_FORMAT",
        same: true,
        store: 0,
        rest: "function",
        dashboard: "function",
      });
    }
  });

  test("reports no other errors", () => {
    expect(report).toBe("");
  });
});

function write(project: { name: string; type: string; setting: Setting; programs: string[] }): void {
  const { name, type, setting, programs } = project;
  const compilerOptions = {
    target: "es2022",
    lib: ["es2022"],
    types: ["node"],
    strict: true,
    skipLibCheck: true,
    rootDir: "src",
    outDir: "dist",
    ...setting,
  };
  mkdirSync(join(temp, name, "src"), { recursive: true });
  writeFileSync(join(temp, name, "package.json"), JSON.stringify({ type, private: true }));
  writeFileSync(join(temp, name, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
  for (const program of programs) {
    cpSync(join(import.meta.dirname, `projects/typescript/${program}.ts`), join(temp, name, `src/${program}.ts`));
  }
}
