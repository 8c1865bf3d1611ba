import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { browse } from "../support/browse.js";
import { startExample } from "../support/example.js";
import { type Ended, findProgram, nameOf, type Program, runProgram } from "../support/programs.js";
import { freePort, startRedis, type TestRedis } from "../support/redis.js";

const API_KEY = "example-key-0123456789";

const python = findProgram(["python3", "/usr/bin/python3"], ["--version"]);
const php = findProgram(["php"], ["--version"]);
const curl = findProgram(["curl"], ["--version"]);

let redis: TestRedis;
let server: Program;

beforeAll(async () => {
  redis = await startRedis();
  server = await startExample("rest/server.js", redis.url, {
    API_KEY,
    SESSION_SECRET: "keyboard cat and 19 more characters",
  });
});
beforeEach(async () => {
  await redis.client().flushdb();
});
afterAll(async () => {
  await server?.stop();
  await redis?.stop();
});

/** The example client of one platform. All clients have the same commands. */
interface Client {
  run(args: readonly string[], session?: string, key?: string, url?: string): Promise<Ended>;
  /** The arguments of a command that sets data. */
  set(d: Record<string, string | number | boolean | null>): string[];
}

function client(command: string | undefined, file: string, set: Client["set"]): Client {
  return {
    set,
    run(args, session = "", key = API_KEY, url = `${server.url}/sessions`) {
      const env = { API_URL: url, API_KEY: key, SESSION: session };
      return runProgram(command ?? "", [`examples/rest/${file}`, ...args], env);
    },
  };
}

const pairs: Client["set"] = (d) => ["set", ...Object.entries(d).map(([name, value]) => `${name}=${value}`)];

const CLIENTS = [
  { name: nameOf("Python", python, "no python3"), there: python, ...client(python, "client.py", pairs) },
  { name: nameOf("PHP", php, "no php"), there: php, ...client(php, "client.php", pairs) },
  {
    name: nameOf("the shell", curl, "no curl"),
    there: curl,
    ...client("sh", "client.sh", (d) => ["set", JSON.stringify(d)]),
  },
];

describe.each(CLIENTS)("the client in $name", ({ there, run, set }) => {
  test.skipIf(there === undefined)("signs in, reads, changes and signs out", async () => {
    const login = await run(["login", "앨리스 <a/b>"]);
    expect(login).toMatchObject({ code: 0, err: "" });
    expect(login.out).toMatch(/^[A-Za-z0-9]{64}$/);
    const session = { id: "앨리스 <a/b>", ip: "127.0.0.1", d: { theme: "light" } };
    const shown = JSON.parse((await run(["show"], login.out)).out);
    expect(shown).toMatchObject(session);
    const changed = await run(set({ theme: "dark", visits: 3, vip: true, note: "ü & =" }), login.out);
    expect(JSON.parse(changed.out).d).toEqual({ theme: "dark", visits: 3, vip: true, note: "ü & =" });
    const byRef = await run(set({ note: null, vip: null }), shown.ref);
    expect(JSON.parse(byRef.out).d).toEqual({ theme: "dark", visits: 3 });
    const logout = await run(["logout"], login.out);
    expect([logout.code, JSON.parse(logout.out)]).toEqual([0, { kill: 1 }]);
    expect((await run(["show"], login.out)).out).toBe("{}");
  });

  test.skipIf(there === undefined)("prints an error of the interface", async () => {
    const wrong = await run(["login", "alice"], "", "wrong-wrong-wrong-wrong");
    expect(wrong.code).not.toBe(0);
    expect(wrong.out + wrong.err).toContain("ERR_UNAUTHORIZED");
    const short = await run(["show"], "short");
    expect(short.code).not.toBe(0);
    expect(short.out + short.err).toContain("Invalid token format");
    expect((await run([])).code).not.toBe(0);
  });

  test.skipIf(there === undefined)("prints an error if the server is down", async () => {
    const { code, err } = await run(["show"], "", API_KEY, `http://127.0.0.1:${await freePort()}`);
    expect(code).not.toBe(0);
    expect(err).toMatch(/^(Nobody answers at http\S+|curl: .*)$/);
  });
});

test.skipIf(python === undefined || php === undefined || curl === undefined)(
  nameOf(
    "shares a session that Python creates, PHP and curl change, Express reads and the command ends",
    python && php && curl,
    "needs python3, php and curl",
  ),
  async () => {
    const [py, ph, sh] = CLIENTS as [(typeof CLIENTS)[0], (typeof CLIENTS)[0], (typeof CLIENTS)[0]];
    const { out: token } = await py.run(["login", "alice"]);
    await Promise.all([
      ph.run(ph.set({ theme: "dark", visits: 3 }), token),
      sh.run(sh.set({ coupon: "SPRING" }), token),
    ]);

    // A program reads the session in Express by its token.
    const d = { theme: "dark", visits: 3, coupon: "SPRING" };
    const me = await fetch(`${server.url}/me`, { headers: { Authorization: `Bearer ${token}` } });
    expect(await me.json()).toMatchObject({ id: "alice", device: "Python", d });

    // A browser exchanges the token for a cookie.
    const handed = await browse(`${server.url}/hand-over`, "", { token }, { "sec-fetch-site": "same-origin" });
    expect(handed.status).toBe(303);
    expect(handed.cookie).not.toContain(token);
    const page = await browse(`${server.url}/`, handed.cookie);
    expect(page.text).toContain("Hello, alice");
    expect(page.text).toContain("SPRING");
    expect((await py.run(["show"], token)).out).toBe("{}");

    const [, ref = ""] = /SESSION=([\w-]{27}) /.exec(page.text) ?? [];
    expect((await ph.run(ph.set({ theme: "light", from: "PHP" }), ref)).code).toBe(0);
    expect((await browse(`${server.url}/`, handed.cookie)).text).toContain("PHP");

    const command = ["dist/cli/main.js", "killsoid", "demo-shop", "alice"];
    expect((await runProgram(process.execPath, command, { REDIS_URL: redis.url })).out).toBe("1 session ended");
    expect((await browse(`${server.url}/`, handed.cookie)).text).toContain("You are signed out");
  },
);

describe("the hand-over", () => {
  async function token(): Promise<string> {
    const response = await fetch(`${server.url}/sessions/demo-shop/create/alice?ip=::1`, {
      method: "PUT",
      headers: { "X-API-Key": API_KEY },
    });
    return ((await response.json()) as { token: string }).token;
  }

  test("refuses a form of another site", async () => {
    for (const site of ["cross-site", "same-site"]) {
      const { status, cookie } = await browse(
        `${server.url}/hand-over`,
        "",
        { token: await token() },
        { "sec-fetch-site": site },
      );
      expect({ status, cookie }).toEqual({ status: 403, cookie: "" });
    }
  });

  test("refuses an unknown token and a token that was used before", async () => {
    const good = await token();
    expect((await browse(`${server.url}/hand-over`, "", { token: good })).status).toBe(303);
    for (const bad of [good, "x".repeat(64), "short", ""]) {
      const { status, cookie } = await browse(`${server.url}/hand-over`, "", { token: bad });
      expect(status).toBe(401);
      expect(cookie).not.toMatch(/rs=\w/);
    }
    const { cookie: signedIn } = await browse(`${server.url}/hand-over`, "", { token: await token() });
    expect(await browse(`${server.url}/hand-over`, signedIn, { token: "short" })).toMatchObject({
      status: 401,
      cookie: signedIn,
    });
  });

  test("ignores a token in the URL", async () => {
    const good = await token();
    expect((await browse(`${server.url}/hand-over?token=${good}`, "", {})).status).toBe(401);
    expect((await browse(`${server.url}/?token=${good}`, "")).text).toContain("You are signed out");
  });
});

test("requires the key of the example and permits its app only", async () => {
  const get = (path: string, headers = {}) => fetch(`${server.url}/sessions${path}`, { headers });
  expect((await get("/demo-shop/soid/alice")).status).toBe(401);
  expect((await get("/other-app/soid/alice", { "X-API-Key": API_KEY })).status).toBe(403);
  expect((await get("/demo-shop/soid/alice", { "X-API-Key": API_KEY })).status).toBe(200);
});
