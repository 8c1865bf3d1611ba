import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { run, serve, statusOf, useCommand } from "./support/command.js";

useCommand();

let dir: string;
let path: string;
let redis: TestRedis;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "ioredis-sessions-socket-"));
  path = join(dir, "redis.sock");
  redis = await startRedis(["--unixsocket", path]);
  for (const db of [0, 1]) {
    const rs = new RedisSessions({ client: redis.client({ db }), wipe: 0 });
    await rs.create({ app: "webapp", id: db === 0 ? "alice" : "bob", ip: "::1" });
  }
  await redis.client().acl("SETUSER", "ann", "on", ">S3 cret", "~*", "&*", "+@all");
});

afterAll(async () => {
  await redis.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe("a Unix socket", () => {
  test.each<[string, () => string, string]>([
    ["a path", () => path, "alice"],
    ["a path with a database", () => `${path}?db=1`, "bob"],
    ["a URL", () => `unix://${path}`, "alice"],
    ["a URL with a database", () => `unix://${path}?db=1`, "bob"],
    ["a URL with a user", () => `unix://${path}?username=ann&password=S3%20cret`, "alice"],
  ])("is reached by %s", async (_what, url, user) => {
    const { code, out, err } = await run(["ls", "webapp", "--redis", url()]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain(user);
    const rs = new RedisSessions({ options: { url: url() }, wipe: 0 });
    expect((await rs.soid({ app: "webapp", id: user })).sessions).toHaveLength(1);
    await rs.quit();
  });

  test("is reached by serve and through REDIS_URL", async () => {
    const { url, stop } = await serve([], { REDIS_URL: `unix://${path}` });
    expect(await statusOf(`${url}/readyz`)).toBe(200);
    expect((await stop()).code).toBe(0);
  });

  test("that does not exist is reported with its path", async () => {
    const { code, err } = await run(["ls", "webapp", "--redis", join(dir, "nothing")]);
    expect(code).toBe(1);
    expect(err).toMatch(/^ioredis-sessions: Redis is not available: connect ENOENT \S+nothing \(.*check the path/);
  });

  test.each(["unix://", "unix://relative/redis.sock", "unix://eve:S3cret@/run/redis.sock", "/run/redis sock"])(
    "is refused in the form %s",
    async (url) => {
      const { code, err } = await run(["ls", "webapp", "--redis", url]);
      expect(code).toBe(2);
      expect(err).toContain("--redis must be");
      expect(err).not.toContain("S3cret");
    },
  );
});
