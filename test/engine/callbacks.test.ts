import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const nobody = { app, token: "x".repeat(64) };

/** Collects what a callback is called with, until a moment after its first call. */
function calls(run: (callback: (...args: unknown[]) => void) => unknown): Promise<unknown[][]> {
  return new Promise((resolve) => {
    const seen: unknown[][] = [];
    const returned = run((...args) => {
      seen.push(args);
      if (seen.length === 1) setTimeout(() => resolve(seen), 20);
    });
    expect(returned).toBeUndefined();
  });
}

test("ignores a callback argument that is not a function, so that a method can be passed to map", async () => {
  const ours = await Promise.all([t.create(), t.create()]);
  const kill = t.rs.kill as (options: object, index: number) => Promise<unknown>;
  expect(await Promise.all(ours.map(({ token }) => ({ app, token })).map(kill))).toEqual([{ kill: 1 }, { kill: 1 }]);
  expect(await t.rs.ping(null as never)).toBe("PONG");
});

describe("a callback is called once, with null and the result, by", () => {
  test("create", async () => {
    const result = { token: expect.any(String), ref: expect.any(String) };
    expect(await calls((done) => t.rs.create({ app, id: "alice", ip: "::1" }, done))).toEqual([[null, result]]);
  });

  test("get, set, rotate and kill", async () => {
    const { token, ref } = await t.create();
    expect(await calls((done) => t.rs.get({ app, token }, done))).toEqual([[null, expect.objectContaining({ ref })]]);
    expect(await calls((done) => t.rs.set({ app, token, d: { a: 1 } }, done))).toEqual([
      [null, expect.objectContaining({ ref, d: { a: 1 } })],
    ]);
    expect(await calls((done) => t.rs.rotate({ app, token }, done))).toEqual([
      [null, { token: expect.any(String), ref: expect.any(String) }],
    ]);
    expect(await calls((done) => t.rs.kill({ app, token }, done))).toEqual([[null, { kill: 1 }]]);
  });

  test("get, set, rotate and kill when there is no session", async () => {
    expect(await calls((done) => t.rs.get(nobody, done))).toEqual([[null, null]]);
    expect(await calls((done) => t.rs.set({ ...nobody, d: { a: 1 } }, done))).toEqual([[null, null]]);
    expect(await calls((done) => t.rs.rotate(nobody, done))).toEqual([[null, null]]);
    expect(await calls((done) => t.rs.kill(nobody, done))).toEqual([[null, { kill: 0 }]]);
  });

  test("soid, soapp, activity, killsoid and killall", async () => {
    const { ref } = await t.create();
    await t.create({ id: "bob" });
    const alices = [expect.objectContaining({ ref })];
    expect(await calls((done) => t.rs.soid({ app, id: "alice" }, done))).toEqual([[null, { sessions: alices }]]);
    expect(await calls((done) => t.rs.soapp({ app, dt: 60, limit: 1 }, done))).toEqual([
      [null, { sessions: [expect.anything()] }],
    ]);
    expect(await calls((done) => t.rs.activity({ app, dt: 60 }, done))).toEqual([[null, { activity: 2 }]]);
    expect(await calls((done) => t.rs.killsoid({ app, id: "alice" }, done))).toEqual([[null, { kill: 1 }]]);
    expect(await calls((done) => t.rs.killall({ app }, done))).toEqual([[null, { kill: 1 }]]);
  });

  test("wipe, ping and quit", async () => {
    expect(await calls((done) => t.rs.wipe(done))).toEqual([[null, { wiped: 0 }]]);
    expect(await calls((done) => t.rs.ping(done))).toEqual([[null, "PONG"]]);
    expect(await calls((done) => t.rs.quit(done))).toEqual([[null, undefined]]);
  });
});

test("passes only the error to the callback when a call fails", async () => {
  expect(await calls((done) => t.rs.get({ app: "x", token: "y" }, done))).toEqual([
    [expect.objectContaining({ name: "invalidFormat", message: "Invalid app format" })],
  ]);
  await t.db.set("rs:{webapp}:users", "not a zset");
  expect(await calls((done) => t.rs.activity({ app, dt: 60 }, done))).toEqual([
    [expect.objectContaining({ name: "redisError" })],
  ]);
});

test("never calls the callback before the method has returned", async () => {
  for (const token of ["bad", nobody.token]) {
    let returned = false;
    const early = new Promise<boolean>((resolve) => {
      t.rs.get({ app, token }, () => resolve(!returned));
      returned = true;
    });
    expect(await early).toBe(false);
  }
});

describe("what a callback throws", () => {
  let built: string;

  beforeAll(() => {
    built = mkdtempSync(join("node_modules", ".callbacks-test-"));
    execFileSync("node_modules/.bin/tsc", ["-p", "tsconfig.build.json", "--noCheck", "--outDir", built]);
  });

  afterAll(() => rmSync(built, { recursive: true, force: true }));

  test.each([
    ["a result", "x".repeat(64)],
    ["an error", "bad"],
  ])("at %s is an uncaught exception in the process, and no second call", (_what, token) => {
    const program = `
      import { RedisSessions } from "./${built}/index.js";
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
      const rs = new RedisSessions({ port: ${t.redis.port} });
      rs.get({ app: "webapp", token: "${token}" }, (error, session) => {
        console.log("called with", error?.name ?? session);
        setTimeout(() => rs.quit(), 50);
        throw new Error("the callback's own");
      });`;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    expect(child.stderr).toBe("");
    expect(child.stdout).toBe(
      `called with ${token === "bad" ? "invalidFormat" : "null"}\nuncaught the callback's own\n`,
    );
  });
});
