import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions, type Session } from "../../src/index.js";
import { slotOf } from "../../src/redis/slot.js";
import { storeContract } from "../contract/store.js";
import { CLUSTERS, type TestClient } from "../support/clients.js";
import { startCluster, type TestCluster } from "../support/cluster.js";
import { everyMethod } from "../support/every-method.js";
import { shardOfRef, tagOf } from "../support/shards.js";

const SHARDS = 16;

let cluster: TestCluster;
let apps = 0;

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(() => cluster.stop());

const ports = () => cluster.nodes.map(({ port }) => port);

describe.each(Object.keys(CLUSTERS))("on a Cluster of %s", (name) => {
  let client: TestClient;
  let rs: RedisSessions;

  beforeAll(() => {
    client = CLUSTERS[name]?.(ports()) as TestClient;
    rs = new RedisSessions({ client: client.client, wipe: 0, timeout: 10_000, shards: SHARDS });
  });
  afterAll(() => client.close());

  test("every method works with the shards on different nodes", () => everyMethod(rs, `app${apps++}`));

  test("calls that are made together reach all shards", async () => {
    const app = `app${apps++}`;
    const users = Array.from({ length: 100 }, (_, n) => `user${n}`);
    const created = await Promise.all(users.map((id, n) => rs.create({ app, id, ip: "::1", d: { n } })));
    const calls = created.flatMap(({ token }, n) => [rs.set({ app, token, d: { n: n + 1 } }), rs.get({ app, token })]);
    const expected = users.flatMap((_, n) => [{ n: n + 1 }, { n: n + 1 }]);
    expect((await Promise.all(calls)).map((session) => session?.d)).toEqual(expected);
    expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(100);
    expect(await rs.killall({ app })).toEqual({ kill: 100 });
    expect(await rs.wipe()).toEqual({ wiped: 0 });
  });
});

describe.each([
  ["ioredis 5", 1],
  ["ioredis 6", 2],
  ["iovalkey", 3],
])("calls that are made together with %s", (name, moved) => {
  let client: TestClient;
  let rs: RedisSessions;

  beforeEach(() => {
    client = CLUSTERS[name]?.(ports()) as TestClient;
    rs = new RedisSessions({ client: client.client, wipe: 0, timeout: 10_000, shards: SHARDS });
  });
  afterEach(() => client.close());

  test("leave in one write for each node", async () => {
    const app = `app${apps++}`;
    const create = (n: number) => rs.create({ app, id: `user${n}`, ip: "::1" });
    await Promise.all(Array.from({ length: 100 }, (_, n) => create(n)));
    const streams = (client.client as unknown as Cluster).nodes("master").map(({ stream }) => stream);
    const writes = streams.flatMap((stream) => [vi.spyOn(stream, "_write"), vi.spyOn(stream, "_writev")]);
    // The calls before came together, so the first of these waits for the others.
    await Promise.all(Array.from({ length: 101 }, (_, n) => create(n)));
    expect(writes.reduce((sum, { mock }) => sum + mock.calls.length, 0)).toBe(3);
  });

  test("are not redirected because the slot of another shard has moved", async () => {
    const app = `app${apps++}`;
    const users = Array.from({ length: 64 }, (_, n) => `user${n}`);
    const created = await Promise.all(users.map((id) => rs.create({ app, id, ip: "::1" })));
    const [first] = created.filter(({ ref }) => shardOfRef(ref, SHARDS) === moved);
    const others = created.filter(({ ref }) => shardOfRef(ref, SHARDS) !== moved);
    // The next shard is in the same range of slots, even after the earlier moves.
    await cluster.move(slotOf(tagOf(app, moved, SHARDS)));
    // ioredis reads the slots again when a call is redirected. The calls come before it has done so.
    vi.spyOn(client.client as unknown as Cluster, "refreshSlotsCache").mockReturnValue();
    const before = await redirections();
    await rs.get({ app, token: `${first?.token}` });
    await Promise.all(others.map(({ token }) => rs.get({ app, token })));
    expect(await redirections()).toBe(before + 1);
  });
});

/** How many commands the nodes have redirected because the slot has moved. */
async function redirections(): Promise<number> {
  const stats = await Promise.all(cluster.nodes.map((node) => node.client().info("errorstats")));
  return stats.reduce((sum, text) => sum + Number(/errorstat_MOVED:count=(\d+)/.exec(text)?.[1] ?? 0), 0);
}

storeContract("RedisStore with 16 shards on a Cluster", () => {
  return new RedisStore({ client: cluster.client.setMaxListeners(0), prefix: `store${apps++}:`, shards: SHARDS });
});

describe("the shards of an app", () => {
  test("are at most 20 % from even on three nodes, whatever the app is called", async () => {
    for (const app of ["webapp", "sess", "=a:b", "딸기", ...Array.from({ length: 100 }, (_, i) => `app${i}`)]) {
      const slots = Array.from({ length: SHARDS }, (_, shard) => slotOf(tagOf(app, shard, SHARDS)));
      for (let node = 0; node < 3; node++) {
        const count = slots.filter((slot) => Math.floor(slot / 5461.4) === node).length;
        expect(Math.abs(count - SHARDS / 3)).toBeLessThan((0.2 * SHARDS) / 3);
      }
    }
  });

  test("have the slots that Redis says", async () => {
    for (let shard = 0; shard < SHARDS; shard++) {
      const tag = tagOf("webapp", shard, SHARDS);
      expect(slotOf(tag)).toBe(await cluster.slotOf(`rs:{${tag}}:active`));
    }
  });

  test("share the keys and the commands of 2,000 users", async () => {
    const app = `app${apps++}`;
    const rs = new RedisSessions({ client: cluster.client, wipe: 0, timeout: 10_000, shards: SHARDS });
    const nodes = cluster.nodes.map((node) => node.client());
    const before = await Promise.all(nodes.map((node) => node.dbsize()));
    for (let i = 0; i < 2000; i += 200) {
      await Promise.all(Array.from({ length: 200 }, (_, j) => rs.create({ app, id: `user${i + j}`, ip: "::1" })));
    }
    const grown = await Promise.all(nodes.map(async (node, i) => (await node.dbsize()) - Number(before[i])));
    const even = grown.reduce((sum, keys) => sum + keys) / 3;
    for (const keys of grown) expect(Math.abs(keys - even)).toBeLessThan(0.2 * even);
  });
});

test("an iterator that is stopped and resumed at random places misses no event and repeats none", async () => {
  const app = `app${apps++}`;
  const options = {
    client: cluster.client,
    wipe: 0,
    timeout: 10_000,
    shards: SHARDS,
    events: { stream: 10_000 },
  } as const;
  const [rs, reader] = [new RedisSessions(options), new RedisSessions(options)];
  const total = 1200;
  const writing = (async () => {
    for (let round = 0; round < total / 60; round++) {
      const users = Array.from({ length: 20 }, (_, i) => `user${20 * round + i}`);
      const created = await Promise.all(users.map((id) => rs.create({ app, id, ip: "::1" })));
      await Promise.all(created.map(({ token }) => rs.set({ app, token, d: { round } })));
      await Promise.all(users.map((id) => rs.killsoid({ app, id })));
    }
  })();
  const seen: string[] = [];
  for (let after = "0"; seen.length < total; ) {
    let left = 1 + Math.floor(Math.random() * 100);
    for await (const event of reader.events({ app, after })) {
      if (event.kind === "missed") throw new Error("No event was trimmed");
      after = `${event.entry}`;
      seen.push(`${event.ref} ${event.kind}`);
      if (--left === 0 || seen.length === total) break;
    }
  }
  await writing;
  await expectStored(app, seen);
  await Promise.all([rs.quit(), reader.quit()]);
}, 60_000);

/** Checks that events, as `<ref> <kind>`, are those in the streams of an app, in the order of each shard. */
async function expectStored(app: string, seen: readonly string[]): Promise<void> {
  for (let shard = 0; shard < SHARDS; shard++) {
    const entries = await cluster.client.xrange(`rs:{${tagOf(app, shard, SHARDS)}}:events`, "-", "+");
    const stored = entries.map(([, fields]) => `${fields[3]} ${fields[1]}`);
    expect(seen.filter((event) => shardOfRef(event, SHARDS) === shard)).toEqual(stored);
    expect(stored.length).toBeGreaterThan(0);
  }
}

describe("while the slot of a shard moves", () => {
  test("no call fails, and no session is lost or revived", async () => {
    const app = `app${apps++}`;
    const rs = new RedisSessions({ client: cluster.client, wipe: 0, timeout: 10_000, shards: SHARDS });
    const users = Array.from({ length: 64 }, (_, i) => `user${i}`);
    const sessions = await Promise.all(users.map((id) => rs.create({ app, id, ip: "::1", d: { round: 0 } })));
    const ended = await Promise.all(users.map((id) => rs.create({ app, id, ip: "::1" })));
    let isMoving = true;
    const moving = (async () => {
      for (let i = 0; i < 12; i++) await cluster.move(slotOf(tagOf(app, i % 4, SHARDS)));
      isMoving = false;
    })();
    let round = 0;
    while (isMoving) {
      round++;
      const calls = sessions.flatMap(({ token }, i) => [
        rs.set({ app, token, d: { round } }),
        rs.get({ app, token }),
        rs.kill({ app, token: `${ended[i]?.token}` }),
      ]);
      const answers = (await Promise.all(calls)) as (Session & { kill?: number })[];
      for (const [i, answer] of answers.entries()) {
        // While a slot moves, calls on one session may change their order.
        const expected = [{ d: { round } }, { id: users[Math.floor(i / 3)] }, { kill: round === 1 ? 1 : 0 }];
        expect(answer).toMatchObject(expected[i % 3] as object);
      }
      await sleep(2);
    }
    await moving;
    expect(round).toBeGreaterThan(1);
    expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(64);
    expect(await rs.killall({ app })).toEqual({ kill: 64 });
  }, 30_000);
});

describe("while a node is down", () => {
  test("an iterator yields the events of the other nodes, and later its own, none twice", async () => {
    const app = `app${apps++}`;
    const client = CLUSTERS["ioredis 6"]?.(ports()) as TestClient;
    for (const node of cluster.nodes) await node.client().config("SET", "cluster-require-full-coverage", "no");
    const rs = new RedisSessions({
      client: client.client,
      wipe: 0,
      timeout: 500,
      shards: SHARDS,
      events: { stream: 10_000 },
    });
    const seen: string[] = [];
    const reading = (async () => {
      for await (const event of rs.events({ app, after: "0" })) {
        seen.push(event.kind === "missed" ? "missed" : `${event.ref} ${event.kind}`);
      }
    })();
    const users = Array.from({ length: 64 }, (_, i) => `user${i}`);
    await Promise.all(users.map((id) => rs.create({ app, id, ip: "::1" })));
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(64);
    // Each killsoid reads the list of apps.
    const node = cluster.nodes[(Math.floor(slotOf("rs:apps") / 5461.4) + 1) % 3];
    node?.pause();
    try {
      const kills = await Promise.allSettled(users.map((id) => rs.killsoid({ app, id })));
      const killed = kills.filter(({ status }) => status === "fulfilled").length;
      expect(killed).toBeGreaterThan(10);
      expect(killed).toBeLessThan(64);
      await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(64 + killed);
    } finally {
      node?.resume();
    }
    await expect.poll(() => Promise.all(users.map((id) => rs.killsoid({ app, id }))).catch(() => null)).not.toBeNull();
    await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(128);
    await rs.quit();
    await reading;
    await expectStored(app, seen);
    client.close();
  }, 60_000);
});

describe("while the node that has the list of apps is down", () => {
  test("the shards on the other nodes are used for a while, if their number was checked before", async () => {
    const leaseTime = 3000;
    // An app of which one shard is not on the node that stops.
    const app = `app${apps++}`;
    const client = CLUSTERS["ioredis 6"]?.(ports()) as TestClient;
    for (const node of cluster.nodes) await node.client().config("SET", "cluster-require-full-coverage", "no");
    const rs = new RedisSessions({ client: client.client, wipe: 0, timeout: 1000, shards: SHARDS });
    internalsOf(rs).setLeaseTime(leaseTime);
    const listed = Math.floor(slotOf("rs:apps") / 5461.4);
    const created = await Promise.all(
      Array.from({ length: 32 }, (_, i) => rs.create({ app, id: `user${i}`, ip: "::1" })),
    );
    cluster.nodes[listed]?.pause();
    try {
      const answers = await Promise.allSettled(created.map(({ token }) => rs.get({ app, token })));
      const fulfilled = answers.filter(({ status }) => status === "fulfilled").length;
      expect(fulfilled).toBeGreaterThan(10);
      expect(fulfilled).toBeLessThan(32);
      // Later, the app may have moved.
      await sleep(2 * leaseTime);
      const later = await Promise.allSettled(created.map(({ token }) => rs.get({ app, token })));
      expect(later.map((one) => one.status === "rejected" && one.reason.status)).toEqual(created.map(() => 503));
    } finally {
      cluster.nodes[listed]?.resume();
      client.close();
    }
  });
});
