import { describe, expect, test } from "vitest";
import { useEngine } from "../support/engine.js";
import { run, useCommand } from "./support/command.js";

const FORM = "must be redis://[user:password@]host[:port][/number] or rediss://…";

const t = useEngine();
useCommand();

describe("the URL of Redis", () => {
  test.each([
    "foo",
    "6379",
    "127.0.0.1:6379",
    "http://127.0.0.1",
    "redis:127.0.0.1",
    "redis://",
    "redis:///0",
    "redis://:S3cret@",
    "redis://127.0.0.1/abc",
    "redis://127.0.0.1/0/1",
    "redis://127.0.0.1:99999",
    "redis://127.0.0.1:port",
    "redis://eve:S3#cret@127.0.0.1",
    "redis://eve:S3/cret@127.0.0.1",
    "redis://eve:S3%cret@127.0.0.1",
    "redis://127.0.0.1 S3cret",
  ])("exits with 2 for the invalid URL --redis %s", async (url) => {
    const { code, out, err } = await run(["ls", "webapp", "--redis", url]);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err.startsWith(`ioredis-sessions: --redis ${FORM} (`)).toBe(true);
    expect(err).not.toMatch(/S3|cret|\n./);
  });

  test.each(["REDIS_URL", "RS_REDISURL"])("names the variable %s in the error about an invalid URL", async (name) => {
    for (const command of [["activity", "webapp"], ["serve"]]) {
      const { code, err } = await run(command, { [name]: "https://eve:S3cret@example.com" });
      expect(code).toBe(2);
      expect(err).toContain(`ioredis-sessions: ${name} ${FORM}`);
      expect(err).not.toContain("S3cret");
    }
  });

  test("accepts a URL with a slash, a database number, options and upper case", async () => {
    await t.create();
    for (const end of ["/", "/0", "?family=4", "/0?family=4"]) {
      const { code, out, err } = await run(["activity", "webapp", "--redis", t.redis.url.replace(/\/*$/, end)]);
      expect({ code, out, err }).toMatchObject({ code: 0, out: expect.stringContaining("1 user") });
    }
    for (const scheme of ["REDIS:", "valkey:"]) {
      const env = { RS_REDISURL: t.redis.url.replace("redis:", scheme) };
      expect(await run(["activity", "webapp"], env)).toMatchObject({ code: 0 });
    }
  });
});
