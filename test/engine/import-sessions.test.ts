import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { type ImportCounts, RedisSessions } from "../../src/index.js";
import { CLIENT_NAMES, CLUSTERS, openClient } from "../support/clients.js";
import { startCluster } from "../support/cluster.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { type ForeignEngine, openRedisSessions, VERSIONS } from "../support/redis-sessions.js";

const t = useEngine();
const app = "webapp";
const from = "redis-sessions";
const NONE: ImportCounts = { imported: 0, expired: 0, ended: 0, present: 0, damaged: 0 };

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const START = Date.now();

/** A token as redis-sessions makes it. `n` makes it unique. */
function tokenOf(n: number, created = START): string {
  return `${String(n).padStart(55, "a")}Z${created.toString(36)}`;
}

/** Writes what redis-sessions writes for a session of alice. */
async function plant(token: string, fields: Record<string, string | number | undefined> = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const session = { id: "alice", r: 1, w: 1, ip: "::1", la: now, ttl: 7200, ...fields };
  const { id, la } = session;
  for (const [name, value] of Object.entries(session)) {
    if (value !== undefined) await t.db.hset(`rs:webapp:${token}`, name, value);
  }
  await t.db.zadd("rs:webapp:_sessions", Number(la), `${token}:${id}`);
  await t.db.zadd("rs:webapp:_users", Number(la), String(id));
  await t.db.zadd("rs:SESSIONS", Number(la) + 7200, `webapp:${token}:${id}`);
  await t.db.sadd(`rs:webapp:us:${id}`, token);
  return token;
}

/** The keys of redis-sessions that are left. */
async function left(): Promise<string[]> {
  return [...(await t.db.keys("rs:webapp:*")), ...(await t.db.keys("rs:SESSIONS"))];
}

/** Each ends the session of a token of alice. */
const END: Record<"kill" | "killsoid" | "killall" | "rotate", (token: string) => Promise<unknown>> = {
  kill: (token: string) => t.rs.kill({ app, token }),
  killsoid: () => t.rs.killsoid({ app, id: "alice" }),
  killall: () => t.rs.killall({ app }),
  rotate: (token: string) => t.rs.rotate({ app, token, grace: 0 }),
};

describe.each(VERSIONS)("importSessions from redis-sessions %s", (version) => {
  let old: ForeignEngine;
  beforeAll(() => {
    old = openRedisSessions(version, t.redis.port);
    return async () => void (await old.quit());
  });

  test("keeps token, user, ip, data, counters, ttl, last use and creation", async () => {
    const before = Date.now();
    const d = { name: "Zoë\n", n: -1.5, ok: false };
    const { token } = await old.create({ app, id: "user:1", ip: "203.0.113.7", ttl: 600, d });
    await old.get({ app, token });
    await old.set({ app, token, d: { n: 2 } });
    const { token: plain } = await old.create({ app, id: "bob", ip: "::1" });
    const la = Number(await t.db.hget(`rs:webapp:${token}`, "la"));

    expect(await t.rs.importSessions({ app, from })).toEqual({ ...NONE, imported: 2, complete: true });
    const session = await t.rs.get({ app, token, touch: false });
    expect(session).toMatchObject({ id: "user:1", ip: "203.0.113.7", r: 2, w: 2, ttl: 600, d: { ...d, n: 2 } });
    expect(session?.created).toBeGreaterThanOrEqual(before);
    expect(session?.created).toBeLessThanOrEqual(Date.now());
    expect(session?.expires).toBe((la + 600) * 1000);
    const pttl = await t.db.pttl(`rs:{webapp}:s:${session?.ref}`);
    expect(Math.abs((la + 600) * 1000 - Date.now() - pttl)).toBeLessThan(2000);
    expect((await t.rs.soid({ app, id: "user:1" })).sessions).toHaveLength(1);
    expect(await t.rs.get({ app, token: plain })).toMatchObject({ id: "bob", r: 1, w: 1, ttl: 7200 });
    expect((await readStored(t.db, app)).problems).toEqual([]);
    expect(await left()).toEqual([]);
    expect(JSON.stringify(await t.db.keys("*"))).not.toContain(token);
  });

  test("keeps the end of a session that use does not prolong", async () => {
    const { token } = await old.create({ app, id: "alice", ip: "::1", ttl: 100, no_resave: true });
    const key = `rs:webapp:${token}`;
    // redis-sessions shortens the ttl at each read: the session has 60 seconds left after its last use.
    const la = Number(await t.db.hget(key, "la"));
    await t.db.hset(key, { ttl: 60, la });
    await t.rs.importSessions({ app, from });
    const session = await t.rs.get({ app, token });
    expect(session).toMatchObject({ no_resave: true });
    expect(Math.abs((session?.expires ?? 0) - (la + 60) * 1000)).toBeLessThanOrEqual(1000);
    expect(await t.db.pttl(`rs:{webapp}:s:${session?.ref}`)).toBeLessThanOrEqual(60_000);
  });
});

describe("importSessions", () => {
  test("keeps the time of the last use, and of the creation if the token tells it", async () => {
    const now = Math.floor(Date.now() / 1000);
    const [hour, day] = [(now - 3600) * 1000 + 123, (now - 86_400) * 1000];
    const told = await plant(tokenOf(1, hour), { la: now - 30, ttl: 600 });
    const untold = await plant("z".repeat(64), { la: now - 40, ttl: 600 });
    const once = await plant(tokenOf(2, day), { la: now - 50, ttl: 600, no_resave: 1 });
    await t.rs.importSessions({ app, from });
    const { sessions } = await t.rs.soapp({ app, dt: 45 });
    expect(sessions.map(({ created }) => created)).toEqual([hour, (now - 40) * 1000]);
    expect(await t.rs.get({ app, token: told, touch: false })).toMatchObject({ expires: (now + 570) * 1000 });
    expect(await t.rs.get({ app, token: untold })).toMatchObject({ id: "alice" });
    const expires = (now + 550) * 1000;
    expect(await t.rs.get({ app, token: once })).toMatchObject({ created: day, expires, no_resave: true });
  });

  test("counts what it skips and why, and leaves damaged keys and other apps alone", async () => {
    const now = Math.floor(Date.now() / 1000);
    await plant(tokenOf(1));
    await plant(tokenOf(2), { la: now - 100, ttl: 50 });
    await t.db.hset(`rs:webapp:${tokenOf(3)}`, "w", 4);
    await plant(tokenOf(4), { d: "{" });
    await plant(tokenOf(5), { d: "[1]" });
    await plant(tokenOf(6), { ttl: "soon" });
    await plant(tokenOf(7), { id: "x".repeat(129) });
    await t.db.hset(`rs:forum:${tokenOf(8)}`, { id: "alice", r: 1, w: 1, la: now, ttl: 100 });
    await t.db.hset("rs:webapp:settings", { id: "alice" });
    const counts = { ...NONE, imported: 1, expired: 1, ended: 1, damaged: 4 };
    expect(await t.rs.importSessions({ app, from, dryRun: true })).toEqual({ ...counts, complete: true });
    expect(await t.db.keys("rs:{*")).toEqual([]);
    expect(await t.rs.importSessions({ app, from })).toEqual({ ...counts, complete: true });
    expect((await left()).filter((key) => /Z/.test(key))).toHaveLength(4);
    expect(await t.db.exists(`rs:forum:${tokenOf(8)}`, "rs:webapp:settings")).toBe(2);
    expect(await t.rs.importSessions({ app, from })).toEqual({ ...NONE, damaged: 4, complete: true });
  });

  test.each([
    ["a ttl that never ends", { ttl: "999999999999999" }, 9e15],
    ["a ttl that never ends, and no_resave", { ttl: "99999999999999999", no_resave: "1" }, 9e15],
    ["a last use in the future", { la: "999999999999999" }, 7_200_000],
  ])("imports a session with %s", async (_what, fields, left) => {
    const token = await plant(tokenOf(1), fields);
    const before = Date.now();
    expect(await t.rs.importSessions({ app, from })).toMatchObject({ imported: 1 });
    const session = await t.rs.get({ app, token });
    expect(Math.abs((session?.expires ?? 0) - before - left) / left).toBeLessThan(0.01);
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("imports into another namespace, from a namespace with characters of a pattern", async () => {
    const token = tokenOf(1);
    const now = Math.floor(Date.now() / 1000);
    await t.db.hset(`a[b]*:webapp:${token}`, { id: "alice", r: 1, w: 1, ip: "::1", la: now, ttl: 100 });
    await t.db.hset(`ab:webapp:${tokenOf(2)}`, { id: "alice", r: 1, w: 1, ip: "::1", la: now, ttl: 100 });
    expect(await t.rs.importSessions({ app, from, namespace: "a[b]*" })).toMatchObject({ imported: 1 });
    expect(await t.rs.get({ app, token })).toMatchObject({ id: "alice" });
  });

  test("imports data of a megabyte", async () => {
    const big = "x".repeat(1024 * 1024);
    const token = await plant(tokenOf(1), { d: JSON.stringify({ big, n: 1 }) });
    expect(await t.rs.importSessions({ app, from })).toMatchObject({ imported: 1 });
    expect((await t.rs.get({ app, token }))?.d).toEqual({ big, n: 1 });
    expect(await t.db.keys("rs:{webapp}:new:*")).toEqual([]);
  });

  test("stops when its signal is aborted, tells its progress, and imports the rest at the next call", async () => {
    for (let n = 0; n < 100; n++) await plant(tokenOf(n), { id: `user${n}` });
    const stop = new AbortController();
    const seen: number[] = [];
    const onProgress = ({ imported }: ImportCounts) => {
      seen.push(imported);
      if (imported >= 40) stop.abort();
    };
    expect(await t.rs.importSessions({ app, from, onProgress, signal: stop.signal })).toEqual({
      ...NONE,
      imported: 40,
      complete: false,
    });
    expect(seen).toEqual([20, 40]);
    expect(await t.rs.importSessions({ app, from })).toMatchObject({ imported: 60, complete: true });
    expect((await readStored(t.db, app)).problems).toEqual([]);
    expect(await left()).toEqual([]);
  });

  test("does not overwrite a session that an import has written before it failed", async () => {
    const token = await plant(tokenOf(1));
    await expect(failingAtRemoval().importSessions({ app, from })).rejects.toMatchObject({ name: "redisError" });
    await t.rs.set({ app, token, d: { cart: 3 } });
    expect(await t.rs.importSessions({ app, from })).toEqual({ ...NONE, present: 1, complete: true });
    expect((await t.rs.get({ app, token }))?.d).toEqual({ cart: 3 });
    for (const mark of await t.db.keys("rs:{webapp}:imported:*")) {
      expect(await t.db.pttl(mark)).toBeLessThanOrEqual(60_000);
    }
    expect(await left()).toEqual([]);
  });

  test.each(["kill", "killsoid", "killall", "rotate"] as const)(
    "does not bring back a session that %s has ended after an import failed",
    async (name) => {
      const token = await plant(tokenOf(1));
      await expect(failingAtRemoval().importSessions({ app, from })).rejects.toThrow();
      await END[name](token);
      // A tombstone or a bar would also prevent it, but not all of these calls leave one that lasts.
      for (const key of await t.db.keys("rs:{webapp}:s:*")) if ((await t.db.get(key)) === ">") await t.db.del(key);
      await t.db.del('rs:{webapp}:barred:"alice"', 'rs:{webapp}:barred:""');
      expect(await t.rs.importSessions({ app, from })).toEqual({ ...NONE, ended: 1, complete: true });
      expect(await t.rs.get({ app, token })).toBeNull();
    },
  );

  test.each(["killsoid", "killall"] as const)(
    "does not bring back what %s ends while the import runs",
    async (name) => {
      const token = await plant(tokenOf(1));
      const client = t.redis.client();
      const hmget = client.hmget.bind(client) as (...args: unknown[]) => Promise<unknown>;
      // The logout comes between reading and writing.
      client.hmget = (async (...args: unknown[]) => {
        const values = await hmget(...args);
        await END[name](token);
        return values;
      }) as typeof client.hmget;
      const rs = new RedisSessions({ client, wipe: 0 });
      expect(await rs.importSessions({ app, from })).toEqual({ ...NONE, ended: 1, complete: true });
      expect(await t.rs.get({ app, token })).toBeNull();
      expect(await left()).toEqual([]);
    },
  );

  test("does not bring back a session that ended after another import has moved it", async () => {
    const token = await plant(tokenOf(1));
    const client = t.redis.client();
    const hmget = client.hmget.bind(client) as (...args: unknown[]) => Promise<unknown>;
    client.hmget = (async (...args: unknown[]) => {
      const values = await hmget(...args);
      expect(await t.rs.importSessions({ app, from })).toMatchObject({ imported: 1 });
      expect(await t.rs.kill({ app, token })).toEqual({ kill: 1 });
      return values;
    }) as typeof client.hmget;
    expect(await new RedisSessions({ client, wipe: 0 }).importSessions({ app, from })).toMatchObject({ ended: 1 });
    expect(await t.rs.get({ app, token })).toBeNull();
  });

  test("loses no write of a request that is served meanwhile", async () => {
    const tokens = await Promise.all(Array.from({ length: 200 }, (_, n) => plant(tokenOf(n), { id: `user${n % 7}` })));
    let running = true;
    const written = new Map<string, number>();
    const requests = (async () => {
      for (let n = 0; running; n++) {
        const token = tokens[n % tokens.length] as string;
        if ((await t.rs.set({ app, token, d: { n } })) !== null) written.set(token, n);
      }
    })();
    const { imported } = await t.rs.importSessions({ app, from });
    running = false;
    await requests;
    expect(imported).toBe(200);
    for (const [token, n] of written) expect((await t.rs.get({ app, token }))?.d).toEqual({ n });
    expect(written.size).toBeGreaterThan(0);
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("sends Redis only a few commands for each session, and no script that handles many", async () => {
    for (let n = 0; n < 50; n++) await plant(tokenOf(n));
    const commands = await t.redis.watch(() => t.rs.importSessions({ app, from }));
    const names = commands.map(([name = ""]) => name.toLowerCase());
    expect(names).not.toContain("keys");
    expect(names.filter((name) => name === "hmget")).toHaveLength(50);
    expect(names.length).toBeLessThan(50 * 8 + 20);
  });
});

describe.each(CLIENT_NAMES)("importSessions on %s", (name) => {
  test("imports all sessions", async () => {
    const { client, close } = openClient(name, t.redis.port);
    ends.push(close);
    for (let n = 0; n < 30; n++) await plant(tokenOf(n));
    await t.db.set("rs:webapp:other", "1");
    const rs = new RedisSessions({ client, wipe: 0 });
    expect(await rs.importSessions({ app, from })).toMatchObject({ imported: 30, damaged: 0, complete: true });
    expect(await rs.get({ app, token: tokenOf(7) })).toMatchObject({ id: "alice" });
  });
});

test("importSessions scans every master of a Cluster", async () => {
  const cluster = await startCluster();
  ends.push(() => cluster.stop());
  const now = Math.floor(Date.now() / 1000);
  const tokens = Array.from({ length: 60 }, (_, n) => tokenOf(n));
  for (const token of tokens) {
    await cluster.client.hset(`rs:webapp:${token}`, { id: "alice", r: 1, w: 1, ip: "::1", la: now, ttl: 100 });
  }
  for (const [i, name] of Object.keys(CLUSTERS).entries()) {
    const { client, close } = (CLUSTERS[name] as (typeof CLUSTERS)[string])(cluster.nodes.map(({ port }) => port));
    ends.push(close);
    const rs = new RedisSessions({ client, wipe: 0, namespace: `rs${i}`, timeout: 10_000 });
    // A client needs a moment to know the cluster.
    while (!(await rs.ping().catch(() => false))) await sleep(20);
    expect(await rs.importSessions({ app, from, namespace: "rs", dryRun: true })).toMatchObject({ imported: 60 });
  }
  const rs = new RedisSessions({ client: cluster.client, wipe: 0 });
  expect(await rs.importSessions({ app, from })).toMatchObject({ imported: 60, complete: true });
  expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(60);
}, 30_000);

/** An engine whose client fails before a session is removed from redis-sessions. */
function failingAtRemoval(): RedisSessions {
  const client = t.redis.client();
  client.zrem = (() => Promise.reject(new Error("the connection is lost"))) as typeof client.zrem;
  return new RedisSessions({ client, wipe: 0 });
}
