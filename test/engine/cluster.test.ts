import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Client, RedisSessions } from "../../src/index.js";
import { CLUSTERS, type TestClient } from "../support/clients.js";
import { startCluster, type TestCluster } from "../support/cluster.js";

let cluster: TestCluster;

const opened = new Map<string, TestClient>();

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(async () => {
  for (const client of opened.values()) client.close();
  await cluster.stop();
});

describe.each(Object.keys(CLUSTERS))("on a Cluster of %s", (name) => {
  let rs: RedisSessions;

  beforeAll(() => {
    const client = CLUSTERS[name]?.(cluster.nodes.map(({ port }) => port)) as TestClient;
    opened.set(name, client);
    rs = new RedisSessions({ client: client.client, wipe: 0, timeout: 10_000 });
  });

  test("every method works with the apps on different nodes", async () => {
    await cluster.client.del("rs:apps");
    for (const app of ["shop", "forum", "intranet"]) {
      const { token } = await rs.create({ app, id: "alice", ip: "127.0.0.1", d: { n: 1 } });
      const other = await rs.create({ app, id: "alice", ip: "127.0.0.2" });
      expect((await rs.get({ app, token }))?.d).toEqual({ n: 1 });
      expect((await rs.set({ app, token, d: { n: 2 } }))?.d).toEqual({ n: 2 });
      const rotated = await rs.rotate({ app, token });
      expect((await rs.get({ app, token }))?.ref).toBe(rotated?.ref);
      expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(2);
      expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(2);
      expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
      expect(await rs.kill({ app, ref: other.ref })).toEqual({ kill: 1 });
      expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
      await rs.create({ app, id: "bob", ip: "127.0.0.1" });
      expect(await rs.killall({ app })).toEqual({ kill: 1 });
    }
    await cluster.client.zadd("rs:apps", 1, "shop", 1, "forum");
    expect(await rs.wipe()).toEqual({ wiped: 0 });
    expect(await cluster.client.zrange("rs:apps", "0", "-1")).toEqual(["intranet"]);
    const sizes = await Promise.all(cluster.nodes.map((node) => node.client().dbsize()));
    expect(sizes.filter((size) => size > 0).length).toBeGreaterThan(1);
  });

  test("events of apps on all nodes are heard, by sharded announcements", async () => {
    const client = opened.get(name)?.client as Client;
    const listening = new RedisSessions({ client, wipe: 0, timeout: 10_000, events: { stream: 100 } });
    const heard: string[] = [];
    for (const kind of ["created", "rotated", "ended"] as const) {
      listening.on(kind, (event) => heard.push(`${event.app} ${event.kind} ${event.ref}`));
    }
    const expected: string[] = [];
    for (const app of ["shop", "forum", "intranet"]) {
      const { token, ref } = await listening.create({ app, id: "alice", ip: "127.0.0.1" });
      const rotated = await listening.rotate({ app, token });
      await listening.killsoid({ app, id: "alice" });
      expected.push(`${app} created ${ref}`, `${app} rotated ${ref}`, `${app} ended ${rotated?.ref}`);
      for await (const event of listening.events({ app, after: "0" })) {
        if (event.kind === "ended" && event.ref === rotated?.ref) break;
      }
    }
    await expect.poll(() => heard.toSorted(), { timeout: 10_000 }).toEqual(expected.toSorted());
    await listening.quit();
  });

  test("calls that are made together reach the apps on all nodes", async () => {
    const apps = ["shop", "forum", "intranet"];
    const created = await Promise.all(
      Array.from({ length: 30 }, (_, n) => {
        const app = apps[n % 3] as string;
        return rs.create({ app, id: `user${n}`, ip: "127.0.0.1", d: { n } }).then(({ token }) => ({ app, token, n }));
      }),
    );
    const read = await Promise.all(created.map(({ app, token }) => rs.get({ app, token })));
    expect(read.map((session) => session?.d)).toEqual(created.map(({ n }) => ({ n })));
    const mixed = await Promise.all(
      created.flatMap(({ app, token, n }) => [rs.set({ app, token, d: { n: n + 1 } }), rs.get({ app, token })]),
    );
    expect(mixed.map((session) => session?.d)).toEqual(created.flatMap(({ n }) => [{ n: n + 1 }, { n: n + 1 }]));
    expect(await Promise.all(apps.map((app) => rs.killall({ app })))).toEqual(Array(3).fill({ kill: 10 }));
  });

  test("calls succeed while their app's slot moves between nodes", async () => {
    const app = "moving";
    const users = Array.from({ length: 20 }, (_, i) => `user${i}`);
    const sessions = await Promise.all(users.map((id) => rs.create({ app, id, ip: "::1" })));
    let moves = 0;
    const moving = (async () => {
      const slot = await cluster.slotOf(`rs:{${app}}:active`);
      for (; moves < 30; moves++) {
        await cluster.move(slot);
        await sleep(30);
      }
    })();
    let round = 0;
    for (; moves < 30; round++) {
      const calls = sessions.flatMap(({ token }) => [
        rs.set({ app, token, d: { round } }),
        rs.get({ app, token }),
        rs.kill({ app, token: "x".repeat(64) }),
      ]);
      for (const [i, answer] of (await Promise.all(calls)).entries()) {
        expect(answer).toMatchObject(i % 3 === 2 ? { kill: 0 } : { id: users[Math.floor(i / 3)] });
      }
      await sleep(2);
    }
    await moving;
    // ioredis waits 100 ms before it sends a refused call again.
    expect(round).toBeGreaterThan(5);
    expect(await rs.killall({ app })).toEqual({ kill: 20 });
  }, 30_000);

  test("calls that find keys on both nodes are sent again until the move is over", async () => {
    const app = "torn";
    const sessions = await Promise.all(
      Array.from({ length: 20 }, (_, i) => rs.create({ app, id: `user${i}`, ip: "::1", d: { n: 0 } })),
    );
    let calls: Promise<unknown>[] = [];
    await cluster.move(await cluster.slotOf(`rs:{${app}}:active`), async () => {
      // One by one, in one run, and plain commands.
      calls = [
        rs.soid({ app, id: "user1" }),
        rs.soapp({ app, dt: 60 }),
        ...sessions.map(({ token }, n) => rs.set({ app, token, d: { n } })),
        ...sessions.map(({ token }) => rs.get({ app, token })),
      ];
      // ioredis gives up after 16 attempts, 100 ms each.
      await sleep(2200);
    });
    const answers = (await Promise.all(calls)).slice(-20) as { d?: { n: number } }[];
    expect(answers.map((session) => session.d)).toEqual(sessions.map((_, n) => ({ n })));
  }, 30_000);
});

test("events are heard on a Cluster of Redis 6, which has no sharded channels", async () => {
  const without = ["SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE"].flatMap((command) => ["--rename-command", command, ""]);
  const old = await startCluster(without);
  const clients = ["ioredis 6", "node-redis 6"].map(
    (name) => CLUSTERS[name]?.(old.nodes.map(({ port }) => port)) as TestClient,
  );
  try {
    const engines = clients.map(({ client }) => new RedisSessions({ client, wipe: 0, timeout: 10_000, events: true }));
    const heard = engines.map((rs) => {
      const refs: string[] = [];
      rs.on("created", ({ ref }) => refs.push(ref));
      return refs;
    });
    const subscribed = engines.map((rs) => new Promise((resolve) => rs.once("subscribed", resolve)));
    const apps = ["shop", "forum", "intranet"];
    // Each engine creates the first session of each app, so it hears the app.
    for (const rs of engines) for (const app of apps) await rs.create({ app, id: "alice", ip: "127.0.0.1" });
    await Promise.all(subscribed);
    const last: string[] = [];
    for (const rs of engines)
      for (const app of apps) last.push((await rs.create({ app, id: "bob", ip: "127.0.0.1" })).ref);
    // Each app has a connection of its own, so their events may come in another order.
    for (const refs of heard) await expect.poll(() => refs, { timeout: 20_000 }).toEqual(expect.arrayContaining(last));
    for (const rs of engines) await rs.quit();
  } finally {
    for (const { close } of clients) close();
    await old.stop();
  }
});
