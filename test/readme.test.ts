import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { RedisSessions } from "../src/index.js";
import { startExample } from "./support/example.js";
import type { Program } from "./support/programs.js";
import { startRedis, type TestRedis } from "./support/redis.js";

const readme = readFileSync("README.md", "utf8");
const scripts: Record<string, string> = JSON.parse(readFileSync("package.json", "utf8")).scripts;

let redis: TestRedis;

beforeAll(async () => {
  redis = await startRedis();
});

afterAll(() => redis.stop());

/** The code blocks of a language that contain a text. */
function blocks(language: string, containing: string): string[] {
  const all = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  return all
    .filter(([, name, code]) => name === language && code?.includes(containing))
    .map(([, , code]) => code ?? "");
}

test("every npm script that the README names exists", () => {
  const named = [...readme.matchAll(/npm (?:run (\w+)|(test))\b/g)].map(([, run, test]) => run ?? test ?? "");
  expect(named.length).toBeGreaterThan(1);
  expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
});

test("every link within the README leads somewhere", () => {
  const anchors = [...readme.matchAll(/^#+ (.*)$/gm)].map(
    ([, title]) =>
      `#${title
        ?.toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-")}`,
  );
  const links = [...readme.matchAll(/\]\((#[^)]+)\)/g)].map(([, link]) => link ?? "");
  expect(links.length).toBeGreaterThan(3);
  expect(links.filter((link) => !anchors.includes(link))).toEqual([]);
});

/** Runs a program of the README on an empty Redis, in which `listen` stands for listening on port 3000. */
async function run(program: string, listen: string, work: (url: string) => Promise<void>): Promise<void> {
  await redis.client().flushdb();
  const file = `.readme-${process.pid}.js`;
  const port = "process.env.PORT";
  expect(program).toContain(listen);
  const listens = `${listen.replace("3000", port)}\nconsole.log("http://localhost:" + ${port});`;
  writeFileSync(`examples/${file}`, program.replace(listen, listens));
  let example: Program | undefined;
  try {
    example = await startExample(file, redis.url, { SESSION_SECRET: "a long random string" });
    await work(example.url);
  } finally {
    await example?.stop();
    rmSync(`examples/${file}`, { force: true });
  }
}

/** Logs alice in. Gives her cookie. */
async function cookieOf(url: string): Promise<string> {
  const login = await fetch(`${url}/login/alice`, { method: "POST", redirect: "manual" });
  return `${login.headers.get("set-cookie")}`.split(";")[0] ?? "";
}

/** Logs alice in. Gives what asks with her cookie. */
async function logIn(url: string): Promise<(path?: string, method?: string) => Promise<unknown>> {
  const cookie = await cookieOf(url);
  return (path = "/", method = "GET") =>
    fetch(url + path, { method, headers: { cookie } }).then((response) => response.json());
}

const [quickStart = ""] = blocks("js", "app.listen(3000)");

test("the quick start's program runs as it stands: log in, read, log out everywhere", async () => {
  await run(quickStart, "app.listen(3000);", async (url) => {
    const ask = await logIn(url);
    expect(await ask()).toMatchObject({ id: "alice", r: 1 });
    expect(await ask("/logout-everywhere", "POST")).toEqual({ kill: 1 });
    expect(await ask()).toBeNull();
  });
});

test("the program for tests is signed in to the quick start's", async () => {
  const [program = ""] = blocks("js", "encodeURIComponent(sign(");
  expect(program).toContain('"http://localhost:3000/"');
  const asks = program.replace('"http://localhost:3000/"', '"http://localhost:" + process.env.PORT');
  const tells = 'app.get("/home", async (_req, res) => res.json(await home.json()));';
  await run(`${quickStart}${asks}${tells}`, "app.listen(3000);", async (url) => {
    const answer = () => fetch(`${url}/home`).then((home) => home.text());
    await expect.poll(answer, { timeout: 5000 }).toContain('"id":"alice"');
  });
});

test("a guest's cart goes with the sign-in, and nobody else's", async () => {
  const [program = ""] = blocks("js", "guest:");
  await run(quickStart.replace("app.listen", `${program}app.listen`), "app.listen(3000);", async (url) => {
    let cookie = "";
    const post = async (path: string) => {
      const answer = await fetch(url + path, { method: "POST", headers: { cookie } });
      cookie = answer.headers.get("set-cookie")?.split(";")[0] ?? cookie;
      return answer.json();
    };
    expect(await post("/cart/tea")).toMatchObject({ id: expect.stringMatching(/^guest:/), d: { cart: ["tea"] } });
    expect(await post("/cart/milk")).toMatchObject({ d: { cart: ["tea", "milk"] } });
    expect(await post("/checkout/alice")).toMatchObject({ id: "alice", d: { cart: ["tea", "milk"] } });
    const bob = await post("/checkout/bob");
    expect(bob).toMatchObject({ id: "bob" });
    expect(bob).not.toHaveProperty("d");
  });
});

test("the program for Fastify runs with the quick start's rs and auth", async () => {
  const [program = ""] = blocks("js", "auth.fastify");
  const [before = ""] = quickStart.split("const app =");
  await run(`${before}${program}`, "await app.listen({ port: 3000 });", async (url) => {
    const ask = await logIn(url);
    expect(await ask()).toMatchObject({ id: "alice", ip: "127.0.0.1", r: 1 });
    expect(await ask("/account")).toMatchObject([{ current: true }]);
    expect((await fetch(`${url}/account`)).status).toBe(401);
  });
});

test("the program for WebSockets greets the user whose cookie opens a socket, and refuses others", async () => {
  const [program = ""] = blocks("js", "WebSocketServer");
  await run(`${quickStart.replace("app.listen(3000);", "")}${program}`, "app.listen(3000);", async (url) => {
    const socket = new WebSocket(url, { headers: { cookie: await cookieOf(url) } });
    const [greeting] = await once(socket, "message");
    expect(String(greeting)).toBe("Hello, alice");
    socket.terminate();
    await expect(once(new WebSocket(url), "open")).rejects.toThrow("401");
  });
});

test("the storage layout's commands find the session of a token", async () => {
  const db = redis.client();
  await db.flushdb();
  const rs = new RedisSessions({ client: db, wipe: 0 });
  const { token, ref } = await rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1", d: { theme: "dark" } });

  const [command = ""] = blocks("sh", "openssl dgst");
  expect(
    execFileSync("sh", ["-c", command], { env: { ...process.env, TOKEN: token } })
      .toString()
      .trim(),
  ).toBe(ref);

  const [commands = ""] = blocks("sh", "ZCOUNT");
  const [text, pttl, owners, crowd, active, users] = await Promise.all(
    commands
      .trim()
      .split("\n")
      .map((line) => line.replace(/^redis-cli | +#.*/g, "").replace("EPK1pZsXi2DC3Q_qr5PUX7hBNqA", ref))
      .map((line) => line.replace("1795392000000", `${Date.now() - 60_000}`).split(" "))
      .map(([name = "", ...args]) => db.call(name, ...args.map((arg) => arg.replace(/^'(.*)'$/, "$1")))),
  );
  const lines = String(text).split("\n");
  expect([lines[5], lines[8]]).toEqual(['"alice"', '"theme":"dark"']);
  expect(pttl).toBeGreaterThan(7_100_000);
  expect([owners, crowd]).toEqual([`\n${ref}\n`, []]);
  expect(active).toEqual([ref]);
  expect(users).toBe(1);
});
