import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { useStores, withCookie } from "./support/stores.js";

const t = useStores();

describe("without a callback a method gives a promise", () => {
  test("of what the callback would have been given", async () => {
    const store = t.store();
    expect(await store.set("sid", withCookie({ color: "red" }))).toBeUndefined();
    expect(await store.get("sid")).toMatchObject({ color: "red" });
    expect(await store.touch("sid", withCookie({}))).toBeUndefined();
    expect(await store.length()).toBe(1);
    expect(await store.ids()).toEqual(["sid"]);
    expect(await store.all()).toMatchObject([{ id: "sid", color: "red" }]);
    expect(await store.destroy("sid")).toBeUndefined();
    expect(await store.get("sid")).toBeNull();
    expect(await store.clear()).toBeUndefined();
  });

  test("that rejects with a SessionError", async () => {
    const store = t.store();
    await t.db.hset("rs:{sess}:s:~sid", "no", "text");
    const failed = { name: "redisError", code: "ERR_REDIS" };
    await expect(store.get("sid")).rejects.toMatchObject(failed);
    await expect(store.set("sid", withCookie({}))).rejects.toMatchObject(failed);
    await expect(store.destroy("sid")).rejects.toMatchObject(failed);
  });
});

test("what is no function is no callback", async () => {
  const store = t.store();
  expect(await store.set("sid", withCookie({ color: "red" }), null as never)).toBeUndefined();
  // As Koa's session middleware calls it.
  expect(await store.get("sid", 86_400_000 as never)).toMatchObject({ color: "red" });
  expect(await store.destroy("sid", null as never)).toBeUndefined();
});

test("with a callback a method gives nothing, and its error goes to the callback", async () => {
  const store = t.store();
  await t.db.set("rs:{sess}:s:~sid", "no session");
  const error = await new Promise((resolve) => {
    expect(store.get("sid", resolve)).toBeUndefined();
  });
  expect(error).toMatchObject({ name: "redisError" });
});

describe("what a callback throws", () => {
  let built: string;

  beforeAll(() => {
    built = mkdtempSync(join("node_modules", ".store-callbacks-test-"));
    const flags = ["--noCheck", "--declaration", "false", "--outDir", built];
    spawnSync("npx", ["tsc", "-p", "tsconfig.build.json", ...flags]);
  });

  afterAll(() => rmSync(built, { recursive: true, force: true }));

  const stores = {
    RedisStore: () => `import { RedisStore } from "./${built}/express-session/index.js";`,
    "connect-redis 8": () => 'import { RedisStore } from "connect-redis8";',
  };

  /** Calls a method with a callback that throws, and tells how often it is called. */
  function run(imports: string, call: string): string {
    const program = `
      ${imports}
      import { Redis } from "ioredis";
      let calls = 0;
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
      const client = new Redis(${t.redis.port});
      const store = new RedisStore({ client });
      const data = { cookie: { originalMaxAge: null }, color: "red" };
      function done() {
        calls++;
        setTimeout(() => { console.log("calls", calls); client.disconnect(); }, 50);
        throw new Error("the callback's own");
      }
      ${call}`;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    return child.stdout + child.stderr;
  }

  test.each([
    "store.get('sid', done)",
    "store.set('sid', data, done)",
    "store.touch('sid', data, done)",
    "store.destroy('sid', done)",
    "store.length(done)",
    "store.ids(done)",
    "store.all(done)",
    "store.clear(done)",
  ])("at %s is an uncaught exception, and no second call", (call) => {
    expect(run(stores.RedisStore(), call)).toBe("uncaught the callback's own\ncalls 1\n");
  });

  test("at an error is an uncaught exception, and no second call", async () => {
    await t.db.set("rs:{sess}:s:~sid", "no session");
    expect(run(stores.RedisStore(), "store.get('sid', done)")).toBe("uncaught the callback's own\ncalls 1\n");
  });

  test("is called twice by connect-redis 8, the control", () => {
    expect(run(stores["connect-redis 8"](), "store.set('sid', data, done)")).toContain("calls 2");
  });
});
