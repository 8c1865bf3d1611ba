import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { manifest, npm, pack, repo } from "../support/packed.js";
import { readPages } from "../support/pages.js";
import { type Program, runProgram, startProgram } from "../support/programs.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** Builds the code of docs/recipes/next.md with Next and the packed package, and runs it. */

const project = mkdtempSync(join(tmpdir(), "ioredis-sessions-next-"));
let redis: TestRedis;
let site: Program;

/** What the recipe leaves to the reader. */
const REST = {
  "lib/auth.js": `
    import { Redis } from "ioredis";
    import { RedisSessions } from "ioredis-sessions";
    import { sessions } from "ioredis-sessions/middleware";
    const rs = new RedisSessions({ client: new Redis(process.env.REDIS_URL) });
    export const auth = sessions({ rs, app: "webapp", secret: process.env.SESSION_SECRET });`,
  "app/layout.js": `
    export default function Layout({ children }) {
      return <html lang="en"><body>{children}</body></html>;
    }`,
  "app/account/page.js": `
    import { cookies } from "next/headers";
    import "../../lib/session.js";
    export default async function Account() {
      const token = (await cookies()).get("rs")?.value;
      const session = token === undefined ? null : await globalThis.rs.get({ app: "webapp", token });
      return <p>{session?.id ?? "nobody"}</p>;
    }`,
};

beforeAll(async () => {
  let tarball: string;
  [redis, { tarball }] = await Promise.all([startRedis(), pack(project)]);
  const { dependencies = {}, devDependencies = {} } = manifest(repo);
  const { cookie } = dependencies;
  const { ioredis } = devDependencies;
  const packages = {
    cookie,
    ioredis,
    "ioredis-sessions": `file:${tarball}`,
    next: "^16",
    react: "^19",
    "react-dom": "^19",
  };
  write("package.json", JSON.stringify({ private: true, type: "module", dependencies: packages }));

  const recipe = readPages().find(({ path }) => path === "docs/recipes/next.md");
  const codeOf = (file: string) => recipe?.blocks.find(({ code }) => code.split("\n")[0]?.includes(file))?.code;
  write("pages/api/me.js", `import { auth } from "../../lib/auth.js";\n${codeOf("pages/api/me.js")}`);
  write("lib/session.js", `${codeOf("lib/session.js")}`);
  const functions = 'import { getSession, signIn, signOut } from "../../../lib/session.js";';
  write("app/api/session/route.js", `${functions}\n${codeOf("app/api/session/route.js")}`);
  for (const [file, text] of Object.entries(REST)) write(file, text);

  await npm(project, "install");
  const next = join(project, "node_modules/next/dist/bin/next");
  const env = {
    REDIS_URL: redis.url,
    SESSION_SECRET: "keyboard cat and 19 more characters",
    NODE_ENV: "production",
    NEXT_TELEMETRY_DISABLED: "1",
  };
  const built = await runProgram(process.execPath, [next, "build", project], env, 240_000);
  expect(built.code, `${built.out}\n${built.err}`).toBe(0);
  site = await startProgram(process.execPath, [next, "start", project], env);
}, 400_000);

afterAll(async () => {
  await site?.stop();
  await redis?.stop();
  rmSync(project, { recursive: true, force: true });
});

function write(file: string, text: string): void {
  mkdirSync(dirname(join(project, file)), { recursive: true });
  writeFileSync(join(project, file), text);
}

/** Sends a request with a cookie. Returns the status, the text and the cookie that was set. */
async function send(method: string, path: string, cookie = "", body?: object) {
  const headers = { cookie, ...(body && { "content-type": "application/json" }) };
  const response = await fetch(site.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const [line = ""] = response.headers.getSetCookie();
  return { status: response.status, text: await response.text(), cookie: line.split(";")[0] ?? "", line };
}

describe("docs/recipes/next.md", () => {
  test("signs in, reads and signs out in route handlers, and reads in a Server Component", async () => {
    expect(await send("GET", "/api/session")).toMatchObject({ status: 200, text: "null" });
    const login = await send("POST", "/api/session", "", { name: "alice" });
    expect(login).toMatchObject({ status: 204, line: expect.stringMatching(/HttpOnly; Secure; SameSite=Lax/) });
    expect(JSON.parse((await send("GET", "/api/session", login.cookie)).text)).toMatchObject({ id: "alice" });
    expect((await send("GET", "/account", login.cookie)).text).toContain("<p>alice</p>");
    expect((await send("DELETE", "/api/session", login.cookie)).line).toMatch(/^rs=; Max-Age=0/);
    expect(await send("GET", "/api/session", login.cookie)).toMatchObject({ text: "null" });
    expect((await send("GET", "/account", login.cookie)).text).toContain("<p>nobody</p>");
  });

  test("signs in and reads with the middleware in the Pages Router", async () => {
    expect(await send("GET", "/api/me")).toMatchObject({ status: 200, text: "null" });
    const login = await send("POST", "/api/me", "", { name: "bob" });
    expect(JSON.parse(login.text)).toMatchObject({ id: "bob", ip: "127.0.0.1" });
    expect(JSON.parse((await send("GET", "/api/me", login.cookie)).text)).toMatchObject({ id: "bob", r: 2 });
  });
});
