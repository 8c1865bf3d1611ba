import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pack, repo, unpack } from "../support/packed.js";
import { startRedis, type TestRedis } from "../support/redis.js";

/** Uses the packed package in a project with node-redis, where ioredis is not installed. */

const temp = mkdtempSync(join(tmpdir(), "ioredis-sessions-without-"));
const exec = promisify(execFile);
let redis: TestRedis;

beforeAll(async () => {
  [redis] = await Promise.all([startRedis(), pack(temp).then(({ tarball }) => unpack(tarball, temp))]);
  rmSync(join(temp, "node_modules/ioredis"));
}, 120_000);

afterAll(async () => {
  await redis.stop();
  rmSync(temp, { recursive: true, force: true });
});

const USE = `
const main = async () => {
  const client = await createClient({ url: process.env.REDIS_URL }).connect();
  const rs = new RedisSessions({ client });
  const { token } = await rs.create({ app: "webapp", id: "alice", ip: "127.0.0.1" });
  const session = await rs.get({ app: "webapp", token });
  const stored = await new RedisStore({ client }).length();
  client.destroy();
  let refusal;
  try { new RedisSessions(); } catch ({ name, message, hint }) { refusal = { name, message, hint }; }
  console.log(JSON.stringify({ id: session?.id, stored, refusal }));
};
main();
`;

const PROGRAMS = {
  "esm.mjs": `import { createClient } from "redis";
import { RedisSessions } from "ioredis-sessions";
import { RedisStore } from "ioredis-sessions/express-session";
${USE}`,
  "commonjs.cjs": `const { createClient } = require("redis");
const RedisSessions = require("ioredis-sessions");
const { RedisStore } = require("ioredis-sessions/express-session");
${USE}`,
};

describe("without ioredis", () => {
  test.each(Object.entries(PROGRAMS))(
    "%s runs on node-redis, and the error of an own connection says what to install",
    async (name, text) => {
      writeFileSync(join(temp, name), text);
      const env = { ...process.env, REDIS_URL: redis.url };
      const { stdout } = await exec(process.execPath, [name], { cwd: temp, env });
      expect(JSON.parse(stdout)).toEqual({
        id: "alice",
        stored: 0,
        refusal: {
          name: "invalidValue",
          message: "RedisSessions opens its own connection with ioredis, which is not installed",
          hint: expect.stringContaining("npm install ioredis"),
        },
      });
    },
  );

  test("a TypeScript project compiles, our declarations included", async () => {
    writeFileSync(
      join(temp, "typed.mts"),
      `import { createClient, createCluster, createSentinel } from "redis";
import { RedisSessions, type Client } from "ioredis-sessions";
import { RedisStore } from "ioredis-sessions/express-session";
const client: Client = createClient();
new RedisSessions({ client });
new RedisStore({ client: createCluster({ rootNodes: [] }) });
new RedisStore({ client: createSentinel({ name: "m", sentinelRootNodes: [] }) });
new RedisSessions({ options: { url: "redis://localhost" } });
// @ts-expect-error not a client
new RedisSessions({ client: createClient().legacy() });
`,
    );
    const settings = ["--module", "nodenext", "--target", "es2022", "--strict", "--noEmit", "--types", "node"];
    const args = [join(repo, "node_modules/typescript/bin/tsc"), ...settings, "--skipLibCheck", "false", "typed.mts"];
    const output = await exec(process.execPath, args, { cwd: temp }).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    );
    expect(output.split("\n").filter((line) => /^(typed\.mts|node_modules\/ioredis-sessions)/.test(line))).toEqual([]);
  }, 60_000);
});
