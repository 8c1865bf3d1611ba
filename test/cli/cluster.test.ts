import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { ask, type Result, run, serve, statusOf, useCommand } from "./support/command.js";

useCommand();

/** One app for each node, in the order of the nodes. */
const APPS: string[] = [];
const ip = "::1";

let cluster: TestCluster;
let rs: RedisSessions;

beforeAll(async () => {
  cluster = await startCluster();
  for (const node of cluster.nodes) await node.client().config("SET", "cluster-require-full-coverage", "no");
  rs = new RedisSessions({ client: cluster.client, wipe: 0 });
  for (let i = 0; APPS.length < 3; i++) {
    const slot = await cluster.slotOf(`rs:{app${i}}:active`);
    if (Math.floor(slot / 5461.4) === APPS.length) APPS.push(`app${i}`);
  }
});

afterAll(() => cluster.stop());

beforeEach(async () => {
  for (const app of APPS) {
    await rs.killall({ app });
    await rs.create({ app, id: "alice", ip });
  }
});

async function expectOutput(args: string[], part: string): Promise<void> {
  const { code, out, err } = await run(args);
  expect({ args, code, err }).toEqual({ args, code: 0, err: "" });
  expect(out).toContain(part);
}

describe("on a Cluster", () => {
  test("finds the nodes of all apps, whichever node it is given", async () => {
    for (const [i, app] of APPS.entries()) {
      const given = cluster.nodes[(i + 1) % 3] as TestRedis;
      await expectOutput(["ls", app, "--redis", given.url], "alice");
    }
  });

  test.each([[[]], [["--cluster"]]])("runs every command, with the flags %j", async (flags) => {
    const [app = ""] = APPS;
    const { ref } = await rs.create({ app, id: "bob", ip });
    const to = ["--redis", (cluster.nodes[1] as TestRedis).url, ...flags];
    await expectOutput(["activity", app, ...to], "2 users");
    await expectOutput(["soid", app, "bob", ...to], ref);
    await expectOutput(["kill", app, ref, ...to], "1 session ended");
    await expectOutput(["killsoid", app, "alice", ...to], "1 session ended");
    await expectOutput(["killall", app, "--yes", ...to], "0 sessions ended");
  });

  test("reports a node that cannot be reached", async () => {
    const nowhere = "redis://127.0.0.1:1";
    const { code, out, err } = await run(["ls", "shop", "--redis", nowhere, "--cluster"]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^ioredis-sessions: Redis is not available: .*127\.0\.0\.1:1.*check the startup nodes/);
  });

  test("refuses a database other than 0", async () => {
    const url = `${cluster.nodes[0]?.url}/1`;
    const { code, err } = await run(["ls", "shop", "--redis", url, "--cluster"]);
    expect(code).toBe(2);
    expect(err).toBe("ioredis-sessions: A Cluster has only database 0 (leave out the number at the end of the URL)\n");
  });

  test("says in words that a server is a node of a Cluster, if the Redis user may not ask for that", async () => {
    for (const node of cluster.nodes) {
      await node.client().acl("SETUSER", "ann", "on", ">S3cret", "~*", "&*", "+@all", "-info");
    }
    const url = (cluster.nodes[0] as TestRedis).url.replace("://", "://ann:S3cret@");
    const results = await Promise.all(APPS.map((app) => run(["ls", app, "--redis", url])));
    const failed = results.filter(({ code }) => code === 1) as Result[];
    expect(failed).toHaveLength(2);
    for (const { err } of failed) expect(err).toMatch(/MOVED \d+ .*node of a Cluster.*--cluster/);
    const { code, out } = await run(["ls", `${APPS[2]}`, "--redis", url, "--cluster"]);
    expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("alice") });

    const served = await serve(["--redis", url]);
    expect(await statusOf(`${served.url}/readyz`)).toBe(503);
    expect(served.said()).toMatch(/^Not ready: redisError: .*MOVED .*node of a Cluster.*--cluster/m);
  });
});

test("--cluster says that a server is not part of one", async () => {
  const redis = await startRedis();
  try {
    const { code, out, err } = await run(["ls", "shop", "--redis", redis.url, "--cluster"]);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("cluster support disabled");
    expect(err).toContain("without --cluster");
  } finally {
    await redis.stop();
  }
});

describe("serve", () => {
  test.each([[[]], [["--cluster"]]])("serves every app, with the flags %j", async (flags) => {
    const { url, said, stop } = await serve(["--redis", `${cluster.nodes[1]?.url}`, ...flags]);
    for (const app of APPS) {
      expect(await statusOf(`${url}/${app}/create/carol?ip=::1`, undefined, "PUT")).toBe(200);
      expect(await (await ask(`${url}/${app}/activity?dt=60`)).json()).toEqual({ activity: 2 });
    }
    await expect.poll(() => statusOf(`${url}/readyz`), { timeout: 10_000 }).toBe(200);
    expect((await stop()).code).toBe(0);
    expect(said()).not.toMatch(/MOVED|Error/);
  });

  test("is not ready while a node with some of the apps is down, and ready again when it is back", async () => {
    const { url, said } = await serve(["--redis", `${cluster.nodes[0]?.url}`]);
    await expect.poll(() => statusOf(`${url}/readyz`), { timeout: 10_000 }).toBe(200);
    const [, , third] = cluster.nodes as [TestRedis, TestRedis, TestRedis];
    await third.kill();
    try {
      expect(await statusOf(`${url}/readyz`)).toBe(503);
      expect(await statusOf(`${url}/healthz`)).toBe(200);
      const statuses = await Promise.all(APPS.map((app) => statusOf(`${url}/${app}/activity?dt=60`)));
      expect([...statuses].sort()).toEqual([200, 200, 503]);
      expect(said()).toMatch(/^Not ready: .+$/m);
      await statusOf(`${url}/readyz`);
      expect(said().match(/^Not ready/gm)).toHaveLength(1);
    } finally {
      await third.start();
    }
    await expect.poll(() => statusOf(`${url}/readyz`), { timeout: 20_000, interval: 200 }).toBe(200);
    expect(said()).toMatch(/^Ready$/m);
  });
});
