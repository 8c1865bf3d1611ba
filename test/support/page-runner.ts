import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Block } from "./pages.js";
import { runProgram } from "./programs.js";
import { freePort, type TestRedis } from "./redis.js";

/** Programs must be inside the package to import it by its name. Git ignores the folder. */
const FOLDER = `.pages/${process.pid}`;

/** The time limit of a program, in milliseconds. */
const TIME = 60_000;

/** The names of page-scene.js, and their types. */
const SCENE: Readonly<Record<string, string>> = {
  Redis: 'typeof import("ioredis").Redis',
  RedisSessions: 'typeof import("ioredis-sessions").RedisSessions',
  SessionError: 'typeof import("ioredis-sessions").SessionError',
  sessions: 'typeof import("ioredis-sessions/middleware").sessions',
  RedisStore: 'typeof import("ioredis-sessions/express-session").RedisStore',
  rest: 'typeof import("ioredis-sessions/rest").rest',
  express: 'typeof import("express").default',
  session: 'typeof import("express-session")',
  client: 'import("ioredis").Redis',
  rs: 'import("ioredis-sessions").RedisSessions',
  auth: 'import("ioredis-sessions/middleware").Sessions<import("ioredis-sessions").DefaultData>',
  app: 'import("express").Express',
  store: 'import("ioredis-sessions/express-session").RedisStore',
  token: "string",
  ref: "string",
};

/** The names of the scene that the code uses but does not declare at the start of a line. */
function namesOf(code: string): string[] {
  const declarations = [
    ...code.matchAll(/^(?:export )?(?:const|let|var|class|(?:async )?function\*?) ([\w$]+|[{[][^=]*?[}\]])/gm),
    ...code.matchAll(/^import (?:type )?([^"';]*) from /gm),
  ].map(([, names = ""]) => names);
  const has = (text: string, name: string) => new RegExp(`(?<![\\w$."'/-])${name}(?![\\w$"'/-]|\\??:)`).test(text);
  return Object.keys(SCENE).filter((name) => has(code, name) && !declarations.some((text) => has(text, name)));
}

/** Replaces `// → expected` by a comparison. */
function withComparisons(code: string): string {
  let last = "";
  return code
    .split("\n")
    .map((line) => {
      const declaration = /^ *const ([\w$]+|\{[^=]*\}) = /.exec(line)?.[1];
      last = declaration ?? last;
      const [, indent = "", statement = "", expected] = /^( *)(.*?) *\/\/ → (.*)$/.exec(line) ?? [];
      if (expected === undefined) return line;
      const value = statement === "" || declaration !== undefined ? `(${last})` : statement.replace(/;$/, "");
      const [, name] = /^throws (\w+)/.exec(expected) ?? [];
      if (name !== undefined) return `${indent}await __.fails(async () => ${value}, "${name}");`;
      const whole = statement !== "" && declaration !== undefined ? `${statement} ` : "";
      return `${indent}${whole}__.is(${value}, (${expected}));`;
    })
    .join("\n");
}

/** Port in the pages → the free port that replaces it. */
type Ports = ReadonlyMap<string, number>;

async function choosePorts(redis: TestRedis): Promise<Ports> {
  return new Map([
    ["3000", await freePort()],
    ["8101", await freePort()],
    ["6379", redis.port],
  ]);
}

function withPorts(code: string, ports: Ports): string {
  return code
    .replace(/\b(3000|8101|6379)\b/g, (port) => `${ports.get(port)}`)
    .replaceAll("new Redis()", `new Redis(${ports.get("6379")})`);
}

interface Program {
  readonly file: string;
  readonly text: string;
  readonly env: Record<string, string>;
}

/** Returns the program of a block with its hidden code. */
function writeProgram(code: string, redis: TestRedis, ports: Ports, before = "", check = ""): Program {
  const all = `${before}\n${code}\n${check}`;
  const names = namesOf(all);
  const bare = /\buse\(auth\)|\bsession\(|auth\.fastify/.test(all);
  const imports = (text: string) => text.match(/^import [^;]*;$/gm)?.join("\n") ?? "";
  const rest = (text: string) => text.replace(/^import [^;]*;$/gm, "");
  const isUsed = (name: string) => new RegExp(`\\b${name}\\b`).test(check + before);
  const isDeclared = (name: string) => new RegExp(`^const ${name}\\b`, "m").test(all);
  const helpers = ["assert", "is", "visitor", "url"].filter((name) => isUsed(name) && !isDeclared(name));
  const lines = [
    `import * as __ from "${resolve("test/support/page-scene.js")}";`,
    imports(all),
    ...helpers.map((name) => `const ${name} = __.${name};`),
    ...names.map((name) => `const ${name} = await __.scene.${name}({ bare: ${bare} });`),
    rest(before),
    withComparisons(rest(code)),
    all.includes("listen(") ? "await __.listening();" : "",
    !all.includes("listen(") && names.includes("app") ? `await __.listen(app, { bare: ${bare} });` : "",
    rest(check),
    "process.exit(0);",
  ];
  const text = withPorts(lines.join("\n"), ports);
  const file = resolve(mkdtempSync(join(FOLDER, "js-")), "page.mjs");
  writeFileSync(file, text);
  const port = /\b8101\b/.test(code) && !/\b3000\b/.test(code) ? "8101" : "3000";
  return { file, text, env: { REDIS_URL: redis.url, PORT: `${ports.get(port)}`, NODE_ENV: "test" } };
}

/** Runs a program to its end. */
async function runProgramOf({ file, text, env }: Program): Promise<void> {
  const ended = await runProgram(process.execPath, [file], env, TIME);
  if (ended.code !== 0) throw new Error(`${ended.err || ended.out || "killed after the time limit"}\n\n${text}`);
}

/** Checks the types of a block. Returns its code as JavaScript. */
async function compile(code: string): Promise<string> {
  const names = namesOf(code).map((name) => `declare const ${name}: ${SCENE[name]};`);
  const folder = mkdtempSync(join(FOLDER, "ts-"));
  writeFileSync(join(folder, "page.ts"), `${names.join("\n")}\n${code}\nexport {};\n`);
  const compilerOptions = {
    noUnusedLocals: false,
    noUnusedParameters: false,
    module: "nodenext",
    experimentalDecorators: true,
    noEmit: false,
    outDir: "js",
  };
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: resolve("tsconfig.json"), compilerOptions, include: ["page.ts"], exclude: [] }),
  );
  const ended = await runProgram(process.execPath, ["node_modules/typescript/bin/tsc", "-p", folder], {}, TIME);
  if (ended.code !== 0) throw new Error(`${ended.out}\n\n${code}`);
  return readFileSync(join(folder, "js", "page.js"), "utf8");
}

/** The code of a block, after the code of the js blocks that it continues. */
function programOf(block: Block, blocks: readonly Block[]): { before: string; code: string } {
  if (!block.continues) return { before: block.before, code: codeOf(block) };
  const above = blocks.slice(0, blocks.indexOf(block)).findLast(({ language }) => isProgram(language));
  if (above === undefined) throw new Error(`${block.page}:${block.line} has no js block above it to continue`);
  const first = programOf(above, blocks);
  return { before: `${first.before}\n${block.before}`, code: `${first.code}\n${codeOf(block)}` };
}

function codeOf({ language, code }: Block): string {
  if (language !== "diff") return code;
  return code
    .split("\n")
    .filter((line) => !line.startsWith("-"))
    .map((line) => line.slice(1))
    .join("\n");
}

function isProgram(language: string): boolean {
  return language === "js" || language === "diff";
}

/** Removes the program files of all blocks, including failed ones. */
export function removePrograms(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}

/** Runs, type-checks or compares a block of another language than `sh`. `blocks` are all blocks of its page. */
export async function runBlock(block: Block, blocks: readonly Block[], redis: TestRedis): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const { language, code, check } = block;
  const ports = await choosePorts(redis);
  const text = `const block = ${JSON.stringify(code)};\n${check}`;
  if (isProgram(language)) {
    const program = programOf(block, blocks);
    const own = check.includes("block") ? text : check;
    await runProgramOf(writeProgram(program.code, redis, ports, program.before, own));
  } else if (language === "ts") {
    const program = await compile(code);
    if (check !== "") await runProgramOf(writeProgram(program, redis, ports, block.before, check));
  } else {
    if (language === "json") JSON.parse(code);
    else if (check === "") throw new Error("A block of this language needs a check, see test/support/pages.ts");
    await runProgramOf(writeProgram("", redis, ports, block.before, text));
  }
}

const { dependencies, devDependencies, peerDependencies, scripts } = JSON.parse(readFileSync("package.json", "utf8"));
const PACKAGES = ["ioredis-sessions", ...Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies })];

/** Returns the error in a line that begins with "npm", or undefined. */
function wrongOfNpm(line: string): string | undefined {
  const [, script] = /npm run ([\w:]+)/.exec(line) ?? [];
  if (script !== undefined && scripts[script] === undefined) return `There is no script ${script}`;
  const [, names = ""] = /npm (?:install|i) ([^&#|]*)/.exec(line) ?? [];
  const unknown = names.split(" ").filter((name) => /^[@a-z]/.test(name) && !PACKAGES.includes(name));
  return unknown.length > 0 ? `Not in package.json: ${unknown}` : undefined;
}

/** Quotes a word for the shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns the shell code that tests a line of an sh block. */
function lineOfShell(line: string): string {
  if (/^npm /.test(line)) {
    const wrong = wrongOfNpm(line);
    return wrong === undefined ? "" : `echo ${quote(wrong)} >&2; exit 1`;
  }
  const [, command = line, expected] = /^(.*?) +# → (.*)$/s.exec(line) ?? [];
  if (/\bnode [\w.-]+\.m?js$|ioredis-sessions serve\b/.test(command)) {
    const port = /--port (\d+)/.exec(command)?.[1] ?? (/\bserve\b/.test(command) ? "8101" : "3000");
    return `__start ${port}\n${command.replace(/ *#.*/, "")} &\n__wait ${port}`;
  }
  if (expected === undefined) return line;
  const parts = expected.split(/(…|\$[A-Z]+)/).filter((part) => part !== "");
  const pattern = parts.map((part) => (part === "…" ? "*" : part.startsWith("$") ? `"${part}"` : quote(part))).join("");
  return `__out=$(${command} 2>&1)\n[[ "$__out" == *${pattern}* ]] || { printf '%s\\n' ${quote(`${command}: not ${expected}, but`)} "$__out" >&2; exit 1; }`;
}

const SHELL = `set -eo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
__start() { kill $(jobs -p) 2>/dev/null && wait || true; }
__wait() { for _ in $(seq 200); do (: </dev/tcp/127.0.0.1/$1) 2>/dev/null && return; sleep 0.05; done; echo "Nothing listens on $1" >&2; exit 1; }
`;

const PUT = `const put = (variables) => {
  for (const [name, value] of Object.entries(variables)) console.log(\`\${name}='\${value}'\`);
};`;

/** Runs the `sh` blocks of a page in one shell. */
export async function runShell(blocks: readonly Block[], redis: TestRedis): Promise<void> {
  mkdirSync(FOLDER, { recursive: true });
  const ports = await choosePorts(redis);
  // Files such as server.mjs import the package by its name, so they need it in node_modules.
  const folder = mkdtempSync(join(FOLDER, "sh-"));
  const tools = mkdtempSync(join(tmpdir(), "pages-tools-"));
  const tool = (name: string, script: string) =>
    writeFileSync(join(tools, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const path = process.env.PATH ?? "";
  tool("redis-cli", `PATH=${quote(path)}; exec redis-cli -p ${redis.port} "$@"`);
  tool("ioredis-sessions", `exec ${quote(process.execPath)} ${quote(resolve("dist/cli/main.js"))} "$@"`);
  tool("npx", `exec "$@"`);
  for (const { code } of blocks) {
    const [, name] = /^\/\/ ([\w-]+\.m?js)\n/.exec(code) ?? [];
    if (name !== undefined) writeFileSync(join(folder, name), withPorts(code, ports));
  }

  let script = SHELL;
  for (const block of blocks.filter(({ language, noRun }) => language === "sh" && noRun === undefined)) {
    if (block.before !== "") {
      const program = writeProgram("", redis, ports, `${PUT}\n${block.before}`);
      const variables = Object.entries(program.env).map(([name, value]) => `${name}=${quote(value)}`);
      script += `__put=$(${variables.join(" ")} node ${quote(program.file)})\neval "$__put"\n`;
    }
    const lines = block.code.match(/(?:\\\n|.)*\n/g) ?? [];
    script += lines.map((line) => `${lineOfShell(line.trimEnd())}\n`).join("");
  }
  const file = join(tools, "page.sh");
  writeFileSync(file, withPorts(script, ports));
  const env = { PATH: `${tools}:${path}`, REDIS_URL: redis.url, RS_PORT: `${ports.get("8101")}` };
  const ended = await runProgram("bash", ["-c", `cd ${quote(folder)} && exec bash ${quote(file)}`], env, TIME);
  if (ended.code !== 0) throw new Error(`${ended.err}\n${ended.out}\n\n${script}`);
  rmSync(tools, { recursive: true });
}
