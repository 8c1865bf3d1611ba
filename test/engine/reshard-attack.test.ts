import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { describe, expect, test, vi } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import type { Created, RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { startProxy } from "../support/proxy.js";
import { LEASE, reshard, stopAt, stopBeforeCommand, useProcesses } from "../support/reshard.js";
import { readShards } from "../support/shards.js";

const t = useEngine();
const app = "webapp";
const ip = "203.0.113.7";

const { process, putState } = useProcesses(t);

const realNow = performance.now.bind(performance);

/** Lets all processes believe that they did not run for this time, ms. */
function timePasses(ms: number): void {
  const ahead = performance.now() - realNow() + ms;
  vi.spyOn(performance, "now").mockImplementation(() => realNow() + ahead);
}

function createMany(rs: RedisSessions, count: number, id = (n: number) => `user${n}`): Promise<Created[]> {
  return Promise.all(Array.from({ length: count }, (_, n) => rs.create({ app, id: id(n), ip, d: { n } })));
}

async function missing(rs: RedisSessions, created: readonly Created[]): Promise<number> {
  const found = await Promise.all(created.map(({ token }) => rs.get({ app, token })));
  return found.filter((one) => one === null).length;
}

describe("the fence", () => {
  test("stays when a process that met it, and was slow, finds that the move has ended", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    await putState({ shards: 1, next: 4 });
    // It has just read that the app is about to move, and does not ask again for a while.
    const idle = process(1);
    await idle.get({ app, token });
    internalsOf(idle).setLeaseTime(60_000);
    await sleep(2 * LEASE);
    await idle.get({ app, token });
    const slow = process(1);
    const stop = stopAt(slow, "change-app");
    await t.db.set("rs:{webapp}:fence:7", "1", "PX", 60_000);
    const reading = slow.get({ app, token });
    await stop.reached;
    await reshard(rs, app, 4, { wait: 0 });
    stop.go();
    expect(await reading).toMatchObject({ id: "alice" });
    const bob = await idle.create({ app, id: "bob", ip });
    expect(await process(4).get({ app, token: bob.token })).toMatchObject({ id: "bob" });
  });

  test.each([
    ["plans a move", 4, "read-apps"],
    ["calls a move off", 1, "change-app"],
  ] as const)(
    "stays when a command that %s stalls, and another one has moved the app meanwhile",
    async (_, to, step) => {
      const rs = process(1);
      const { token } = await rs.create({ app, id: "alice", ip });
      if (to === 1) await putState({ shards: 1, next: 4 });
      const slow = process(1);
      const stop = stopAt(slow, step, { after: true });
      const stalled = reshard(slow, app, to).catch((error) => error);
      await stop.reached;
      const idle = process(1);
      const moving = reshard(rs, app, 4, { wait: 5 * LEASE });
      await expect.poll(() => t.db.zscore("rs:apps", "{webapp}>")).toBe("4");
      await sleep(2 * LEASE);
      internalsOf(idle).setLeaseTime(60_000);
      await idle.get({ app, token });
      await moving;
      stop.go();
      await stalled;
      const bob = await idle.create({ app, id: "bob", ip });
      expect(await process(4).get({ app, token: bob.token })).toMatchObject({ id: "bob" });
    },
  );
});

describe("a process that could not reach Redis while the command waited", () => {
  test("does not use the old shards for a while after it can", async () => {
    const proxy = await startProxy(t.redis.port);
    try {
      const rs = process(1);
      const client = t.redis.client({ port: proxy.port, retryStrategy: () => 20 });
      const away = process(1, { client, timeout: 200 });
      const created = await createMany(away, 20);
      proxy.hold(0);
      let isOver = false;
      const asking = (async () => {
        while (!isOver) {
          await away.get({ app, token: `${created[0]?.token}` }).catch(() => {});
          await sleep(20);
        }
      })();
      expect(await reshard(rs, app, 4, { wait: 10 * LEASE })).toMatchObject({ complete: true });
      proxy.release(0);
      await sleep(100);
      isOver = true;
      await asking;
      expect(await missing(away, created)).toBe(0);
      const { token } = await away.create({ app, id: "bob", ip });
      expect(await process(4).get({ app, token })).toMatchObject({ id: "bob" });
    } finally {
      await proxy.stop();
    }
  });
});

describe("a wait", () => {
  test("begins again if the move was called off and planned again meanwhile", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    const waiting = reshard(process(1), app, 4, { wait: 1500 });
    await expect.poll(() => t.db.zscore("rs:apps", "{webapp}>")).toBe("4");
    await sleep(1100);
    // Another operator, between two looks of the first command.
    await reshard(process(1), app, 1);
    const idle = process(1);
    internalsOf(idle).setLeaseTime(60_000);
    await idle.get({ app, token });
    const again = reshard(process(1), app, 4, { wait: 60_000, signal: AbortSignal.timeout(3000) });
    await waiting.catch(() => {});
    // The second one has not waited for its time, so the first must not have moved the app.
    expect(await t.db.zscore("rs:apps", "{webapp}")).toBeNull();
    await again;
  });
});

describe("FLUSHALL", () => {
  test("after a move loses no session that is created later by a process with the former number", async () => {
    const rs = process(1);
    await rs.create({ app, id: "alice", ip });
    await reshard(rs, app, 4);
    await sleep(2 * LEASE);
    await rs.soapp({ app, dt: 60 });
    await t.db.flushall();
    await sleep(2 * LEASE);
    // After a minute a process registers the app again.
    timePasses(61_000);
    const { token } = await rs.create({ app, id: "alice", ip });
    expect(await rs.get({ app, token })).toMatchObject({ id: "alice" });
    timePasses(200_000);
    expect(await rs.get({ app, token })).toMatchObject({ id: "alice" });
    expect(await process(1).get({ app, token })).toMatchObject({ id: "alice" });
  });
});

describe("FLUSHALL before a process has noticed it", () => {
  test("does not stop the processes that still have the former number", async () => {
    const rs = process(1);
    await rs.create({ app, id: "alice", ip });
    await reshard(rs, app, 4);
    internalsOf(rs).setLeaseTime(60_000);
    timePasses(35_000);
    await rs.soapp({ app, dt: 60 });
    await t.db.flushall();
    // The lease is still valid, and a minute has passed since the app was registered.
    timePasses(26_000);
    const { token } = await rs.create({ app, id: "alice", ip });
    expect(await process(1).get({ app, token })).toMatchObject({ id: "alice" });
    expect(await process(4).get({ app, token })).toMatchObject({ id: "alice" });
  });
});

describe("a call of several steps that meets the fence in between", () => {
  test("sign-in at the limit, in place of another user's session: the new session does not count twice", async () => {
    const rs = process(1);
    const old = await rs.create({ app, id: "alice", ip });
    await putState({ shards: 1, next: 4 });
    const late = process(1);
    const stop = stopAt(late, "kill");
    const creating = late.create({
      app,
      id: "bob",
      ip,
      maxPerUser: 1,
      overflow: "reject",
      replaces: old.token,
    });
    await stop.reached;
    await reshard(rs, app, 4);
    stop.go();
    const { token } = await creating;
    const other = process(4);
    expect(await other.get({ app, token })).toMatchObject({ id: "bob" });
    expect(await other.get({ app, token: old.token })).toBeNull();
    expect((await other.soid({ app, id: "bob" })).sessions).toHaveLength(1);
  });

  test.each(["killsoid", "killall"] as const)("%s counts all sessions that it has ended", async (name) => {
    const rs = process(1);
    await createMany(rs, 600, () => "alice");
    await putState({ shards: 1, next: 4 });
    const late = process(1);
    const stop = stopAt(late, "kill-many", { nth: 3 });
    const killing = name === "killall" ? late.killall({ app }) : late.killsoid({ app, id: "alice" });
    await stop.reached;
    await reshard(rs, app, 4);
    stop.go();
    expect(await killing).toEqual({ kill: 600 });
    expect((await process(4).soapp({ app, dt: 60 })).sessions).toEqual([]);
  });

  test("setAll writes to each session once", async () => {
    const rs = process(1);
    const created = await createMany(rs, 5, () => "alice");
    await putState({ shards: 1, next: 4 });
    const late = process(1);
    const stop = stopAt(late, "update", { nth: 5, after: true });
    const setting = late.setAll({ app, id: "alice", d: { role: "admin" } });
    await stop.reached;
    await reshard(rs, app, 4);
    stop.go();
    expect(await setting).toEqual({ set: 5 });
    for (const { token } of created) expect(await rs.get({ app, token })).toMatchObject({ d: { role: "admin" } });
  });
});

describe("a process that does not know yet that the move has ended", () => {
  test("finds a session that it has not moved itself", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    await putState({ shards: 4, former: 1 });
    const late = process(1);
    internalsOf(late).setLeaseTime(60_000);
    await late.activity({ app, dt: 60 });
    await reshard(rs, app, 4);
    expect(await late.get({ app, token })).toMatchObject({ id: "alice" });
  });
});

describe("an app that has moved there and back", () => {
  test("a command that was stopped all the while, between two steps, moves nothing any more", async () => {
    const rs = process(1);
    const created = await createMany(rs, 1200);
    const slow = process(1);
    const stop = stopAt(slow, "move-out", { after: true });
    const stalled = reshard(slow, app, 4).catch((error) => error);
    await stop.reached;
    expect(await reshard(process(1), app, 4)).toMatchObject({ complete: true });
    expect(await reshard(process(1), app, 1)).toMatchObject({ complete: true });
    timePasses(300_000);
    stop.go();
    await stalled;
    expect(await missing(process(1), created)).toBe(0);
    const stored = await readShards(t.db, app, 1);
    expect(stored.problems).toEqual([]);
    expect(stored.sessions).toHaveLength(1200);
  });

  test("a list that was begun while it moved, and is read slowly, moves nothing any more", async () => {
    const rs = process(1);
    const created = await createMany(rs, 1200);
    await putState({ shards: 4, former: 1 });
    let count = 0;
    const reader = process(1);
    for await (const _ of reader.sessions({ app, dt: 3600 })) {
      count++;
      if (count !== 50) continue;
      expect(await reshard(rs, app, 4)).toMatchObject({ complete: true });
      expect(await reshard(rs, app, 1)).toMatchObject({ complete: true });
      timePasses(600_000);
    }
    expect(count).toBe(1200);
    expect(await missing(process(1), created)).toBe(0);
    expect((await readShards(t.db, app, 1)).sessions).toHaveLength(1200);
  });

  test("a call that looked for a session while it was away looks again", async () => {
    const rs = process(1);
    await rs.create({ app, id: "alice", ip });
    const late = process(1);
    const reading = stopBeforeCommand(late);
    // It reads the list of apps before and after.
    const ending = stopAt(late, "read-apps", { nth: 2 });
    const calling = late.soid({ app, id: "alice" });
    await reading.reached;
    await reshard(rs, app, 4);
    reading.go();
    await ending.reached;
    await reshard(rs, app, 1);
    ending.go();
    expect(await calling).toMatchObject({ sessions: [{ id: "alice" }] });
  });

  test("a killall that was begun while it moved ends what is there now", async () => {
    const rs = process(1);
    await createMany(rs, 1200);
    await putState({ shards: 4, former: 1 });
    const slow = process(1);
    const stop = stopAt(slow, "move-out", { after: true });
    const killing = slow.killall({ app });
    await stop.reached;
    await reshard(rs, app, 4);
    await reshard(rs, app, 1);
    stop.go();
    await killing;
    expect((await process(1).soapp({ app, dt: 3600 })).sessions).toEqual([]);
  });
});

async function leftOf(db: Redis, base: string): Promise<string[]> {
  return (await db.keys(`${base}*`)).filter((key) => !/\}:(fence|moved):.*$/.test(key));
}

describe("a killed mover", () => {
  test("what it has written but not removed comes back in no way after it has ended in the new shard", async () => {
    const session = await t.create();
    await t.create({ id: "bob" });
    await putState({ shards: 4, former: 1 });
    const dying = process(1);
    const stop = stopAt(dying, "move-out");
    void dying.get({ app, token: session.token }).catch(() => {});
    await stop.reached;
    const rs = process(4);
    await rs.killsoid({ app, id: "alice" });
    for (const key of await t.db.keys("rs:*:moved:*")) await t.db.del(key);
    await reshard(rs, app, 4);
    expect(await rs.get({ app, token: session.token })).toBeNull();
    expect((await rs.soid({ app, id: "alice" })).sessions).toEqual([]);
    expect(await leftOf(t.db, "rs:{webapp}:")).toEqual([]);
    stop.go();
    await sleep(50);
    expect(await rs.get({ app, token: session.token })).toBeNull();
  });
});
