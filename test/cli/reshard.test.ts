import { describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { keysOfShards, LEASE } from "../support/reshard.js";
import { readShards } from "../support/shards.js";
import { spawnCommand, toolsOn, useCommand } from "./support/command.js";

const t = useEngine();
useCommand();
const { tool, jsonOf } = toolsOn(() => t.redis);
const app = "webapp";
const to = (shards: number, ...flags: string[]) => ["reshard", app, "--to", String(shards), "--wait", "0", ...flags];

async function createMany(count: number): Promise<string[]> {
  internalsOf(t.rs).setLeaseTime(LEASE);
  const created = [];
  for (let n = 0; n < count; n += 500)
    created.push(
      ...(await Promise.all(Array.from({ length: 500 }, (_, i) => t.create({ id: `user${(n + i) % 300}` })))),
    );
  return created.slice(0, count).map(({ ref }) => ref);
}

describe("reshard", () => {
  test("moves the sessions of an app, and says so in words and as JSON", async () => {
    await createMany(500);
    expect(await tool(...to(4, "--dry-run"))).toEqual({
      code: 0,
      out: "webapp has 1 shard: 500 sessions would be moved\n",
      err: "",
    });
    expect(await tool(...to(4))).toEqual({ code: 0, out: "webapp has 4 shards now: 500 sessions moved\n", err: "" });
    expect(await tool(...to(4))).toEqual({ code: 0, out: "webapp has 4 shards\n", err: "" });
    expect(await jsonOf(...to(1))).toEqual({ from: 4, to: 1, moved: 500, complete: true });
    expect((await readShards(t.db, app, 1)).problems).toEqual([]);
  });

  test("refuses a wrong command line with the exit code 2", async () => {
    await t.create();
    expect(await tool("reshard", app)).toMatchObject({ code: 2, err: expect.stringContaining("--to") });
    expect(await tool(...to(3))).toMatchObject({ code: 2, err: expect.stringContaining("It must be one of 1, 2, 4") });
    expect(await tool("reshard", "other", "--to", "4")).toMatchObject({
      code: 2,
      err: expect.stringContaining('The app "other" has no session'),
    });
    await t.db.zadd("rs:apps", 4, "{webapp}>");
    expect(await tool(...to(16))).toMatchObject({ code: 2, err: expect.stringContaining("reshard webapp --to 4") });
  });

  test("stops at Ctrl-C while it waits, and can be called off", async () => {
    const { token } = await t.create();
    const { child, result } = spawnCommand(["reshard", app, "--to", "4", "--redis", t.redis.url]);
    while ((await t.db.zscore("rs:apps", "{webapp}>")) === null);
    child.kill("SIGINT");
    const remedy = "run the command again, and it waits again from the beginning; or call the move off with --to 1";
    expect(await result).toMatchObject({ code: 1, out: `no session moved yet\nstopped: ${remedy}\n` });
    expect(await t.rs.get({ app, token })).not.toBeNull();
    const calledOff = (verb: string) => `webapp has 1 shard: the move to 4 shards ${verb} called off\n`;
    expect(await tool(...to(1, "--dry-run"))).toMatchObject({ code: 0, out: calledOff("would be") });
    expect(await t.db.zscore("rs:apps", "{webapp}>")).toBe("4");
    expect(await tool(...to(1))).toMatchObject({ code: 0, out: calledOff("was") });
    expect(await t.db.zscore("rs:apps", "{webapp}>")).toBeNull();
  });

  test("stops at Ctrl-C while sessions move, and goes on when it is run again; the app works in between", async () => {
    const refs = await createMany(10_000);
    const { child, result } = spawnCommand([...to(4), "--json", "--redis", t.redis.url]);
    while ((await t.db.keys("rs:{webapp.4.*}:active")).length === 0);
    child.kill("SIGINT");
    const stopped = await result;
    expect(stopped).toMatchObject({ code: 1, err: "" });
    expect(JSON.parse(stopped.out)).toMatchObject({ from: 1, to: 4, complete: false });
    for (const ref of refs.filter((_, i) => i % 500 === 0)) expect(await t.rs.get({ app, ref })).toMatchObject({ ref });
    expect(await jsonOf(...to(4))).toMatchObject({ from: 1, to: 4, complete: true });
    expect((await readShards(t.db, app, 4)).sessions.sort()).toEqual(refs.sort());
  }, 60_000);

  test("loses nothing when it is killed again and again", async () => {
    const refs = await createMany(6000);
    for (const shards of [4, 1]) {
      for (let kills = 0; ; kills++) {
        const { child, result } = spawnCommand([...to(shards), "--redis", t.redis.url]);
        const timer = setTimeout(() => child.kill("SIGKILL"), 400 + 150 * kills);
        const { code } = await result;
        clearTimeout(timer);
        for (const ref of refs.filter((_, i) => i % 1000 === kills))
          expect(await t.rs.get({ app, ref })).toMatchObject({ ref });
        if (code === 0) break;
      }
      const stored = await readShards(t.db, app, shards);
      expect(stored.problems).toEqual([]);
      expect(stored.sessions.sort()).toEqual(refs.sort());
      for (const former of [1, 4].filter((one) => one !== shards))
        expect(await keysOfShards(t.db, app, former)).toEqual([]);
    }
  }, 60_000);

  test("says after a failure how far it came, and that it can be run again", async () => {
    await createMany(20_000);
    const { result } = spawnCommand([...to(4), "--redis", t.redis.url]);
    while ((await t.db.keys("rs:{webapp.4.*}:active")).length === 0);
    await t.db.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    const { code, out, err } = await result;
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^at least \d+ moved, about \d+ left: run the command again to go on\n/);
    expect(await tool(...to(4))).toMatchObject({ code: 0 });
    expect((await readShards(t.db, app, 4)).sessions).toHaveLength(20_000);
  }, 60_000);
});

test("a process with another number says which one to pass", async () => {
  await t.create();
  await tool(...to(4));
  const rs = new RedisSessions({ client: t.redis.client(), wipe: 0, shards: 16 });
  await expect(rs.get({ app, ref: "x".repeat(27) })).rejects.toMatchObject({
    hint: expect.stringContaining("pass shards: 4"),
  });
});
