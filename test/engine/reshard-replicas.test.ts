import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { type Created, RedisSessions } from "../../src/index.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { LEASE, reshard } from "../support/reshard.js";

const app = "webapp";
const unconfirmed = {
  name: "redisError",
  message: "No replica of a Redis server has confirmed a write within 1000 ms",
};

let server: TestRedis;
let replica: TestRedis;
let rs: RedisSessions;
let session: Created;

beforeEach(async () => {
  server = await startRedis(["--repl-diskless-sync-delay", "0"]);
  replica = await startRedis(["--replicaof", "127.0.0.1", `${server.port}`]);
  while (!(await replica.client().info("replication")).includes("master_link_status:up")) await sleep(50);
  rs = new RedisSessions({ client: server.client(), wipe: 0 });
  internalsOf(rs).setLeaseTime(LEASE);
  session = await rs.create({ app, id: "alice", ip: "203.0.113.7" });
});

afterEach(async () => {
  replica.resume();
  await rs.quit();
  await Promise.all([server.stop(), replica.stop()]);
});

describe("reshard, when the replica of a server does not confirm writes", () => {
  test("stops before the app moves, and completes the move when it is run again", async () => {
    replica.pause();
    await expect(reshard(rs, app, 4)).rejects.toMatchObject(unconfirmed);
    expect(await server.client().zscore("rs:apps", "{webapp}")).toBeNull();
    replica.resume();
    expect(await reshard(rs, app, 4)).toMatchObject({ moved: 1, complete: true });
    expect(await rs.get({ app, token: session.token })).toMatchObject({ id: "alice" });
  });

  test("removes no session from its old place", async () => {
    const onProgress = ({ waiting }: { waiting: number }) => {
      if (waiting === 0) replica.pause();
    };
    await expect(reshard(rs, app, 4, { onProgress })).rejects.toMatchObject(unconfirmed);
    const places = await server.client().keys(`rs:*:s:${session.ref}`);
    expect(places).toHaveLength(2);
    expect(places).toContain(`rs:{webapp}:s:${session.ref}`);
  });
});
