import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type Created,
  type CreateOptions,
  RedisSessions,
  type Session,
  type SessionEvent,
  type ShardCount,
} from "../../src/index.js";
import { refOf } from "../../src/sessions/token.js";
import { useEngine } from "../support/engine.js";
import { everyMethod } from "../support/every-method.js";
import { openRedisSessions } from "../support/redis-sessions.js";
import { readShards, shardOfId, shardOfRef, tagOf, userIn } from "../support/shards.js";

const t = useEngine({ shards: 16 });
const app = "webapp";

function engine(shards: ShardCount, timeout = 2000): RedisSessions {
  return new RedisSessions({ client: t.db, wipe: 0, shards, timeout });
}

/** Creates sessions of different users, `minutes` apart, in a random order. Returns their refs, the last used first. */
async function createActive(count: number): Promise<string[]> {
  const created = await Promise.all(Array.from({ length: count }, (_, i) => t.create({ id: `user${i % 97}` })));
  const refs = created.map(({ ref }) => ref).sort();
  const now = Date.now();
  await Promise.all(
    refs.map((ref, i) => t.db.zadd(`rs:{${tagOf(app, shardOfRef(ref, 16), 16)}}:active`, now - 5 * i, ref)),
  );
  return refs;
}

test("every method works", () => everyMethod(t.rs));

test.each([0, 3, 64, "16", null])("refuses %j as the number of shards", (shards) => {
  expect(() => new RedisSessions({ client: t.db, shards: shards as ShardCount })).toThrow(
    /shards must be 1, 2, 4, 8, 16 or 32/,
  );
});

describe("the keys of a session", () => {
  test("are in the shard of its user, and its token and refs lead there, also after rotate", async () => {
    for (let shard = 0; shard < 16; shard++) {
      const id = userIn(shard, 16);
      const { token, ref } = await t.create({ id });
      expect(await t.db.exists(`rs:{${tagOf(app, shard, 16)}}:s:${ref}`)).toBe(1);
      expect([shardOfRef(token, 16), shardOfRef(ref, 16)]).toEqual([shard, shard]);
      const rotated = await t.rs.rotate({ app, token, grace: 0 });
      expect(shardOfRef(`${rotated?.ref}`, 16)).toBe(shard);
    }
    const stored = await readShards(t.db, app, 16);
    expect(stored.problems).toEqual([]);
    expect(stored.sessions).toHaveLength(16);
  });

  test("have no shard in their names with one shard", async () => {
    await engine(1).create({ app, id: "alice", ip: "::1" });
    expect(await t.db.exists(`rs:{webapp}:active`)).toBe(1);
    expect(await t.db.zscore("rs:apps", "{webapp}")).toBeNull();
  });
});

describe("a plain call", () => {
  test("is one command", async () => {
    const { token } = await t.create();
    for (const call of [
      () => t.rs.get({ app, token }),
      () => t.rs.set({ app, token, d: { n: 1 } }),
      () => t.create(),
    ]) {
      await call();
      expect(await t.redis.watch(call)).toHaveLength(1);
    }
    await t.rs.killsoid({ app, id: "alice" });
    await Promise.all([t.create(), t.create()]);
    // It reads whether there is a store, ends the two sessions, and asks no other shard.
    expect(await t.redis.watch(() => t.rs.killsoid({ app, id: "alice" }))).toHaveLength(3);
  });
});

describe("the number of shards of an app", () => {
  test("is stored with its first session", async () => {
    await t.create();
    expect(await t.db.zscore("rs:apps", "{webapp}")).toBe("16");
  });

  const x = "x".repeat(64);
  const calls: Record<string, (rs: RedisSessions) => Promise<unknown>> = {
    create: (rs) => rs.create({ app, id: "bob", ip: "::1" }),
    get: (rs) => rs.get({ app, token: x }),
    "get by ref": (rs) => rs.get({ app, ref: x.slice(0, 27) }),
    set: (rs) => rs.set({ app, token: x, d: { n: 1 } }),
    increment: (rs) => rs.increment({ app, token: x, key: "n" }),
    touch: (rs) => rs.touch({ app, token: x }),
    confirm: (rs) => rs.confirm({ app, token: x }),
    rotate: (rs) => rs.rotate({ app, token: x }),
    kill: (rs) => rs.kill({ app, token: x }),
    "kill by ref": (rs) => rs.kill({ app, ref: x.slice(0, 27) }),
    killsoid: (rs) => rs.killsoid({ app, id: "alice" }),
    killall: (rs) => rs.killall({ app }),
    setAll: (rs) => rs.setAll({ app, id: "alice", d: { n: 1 } }),
    soid: (rs) => rs.soid({ app, id: "alice" }),
    "soid in pages": (rs) => rs.soid({ app, id: "alice", limit: 1 }),
    soapp: (rs) => rs.soapp({ app, dt: 60 }),
    sessions: (rs) => rs.sessions({ app, dt: 60 }).next(),
    activity: (rs) => rs.activity({ app, dt: 60 }),
  };

  describe.each<[ShardCount, ShardCount]>([
    [16, 1],
    [16, 4],
    [1, 16],
  ])("%i is not that of a process with shards: %i, in which", (inRedis, mine) => {
    test.each(Object.keys(calls))("%s names both", async (name) => {
      const { token, ref } = await engine(inRedis).create({ app, id: "alice", ip: "::1" });
      const rs = engine(mine);
      await expect(calls[name]?.(rs)).rejects.toMatchObject({
        name: "redisError",
        message: expect.stringMatching(
          new RegExp(`^The app "webapp" has ${inRedis} shards? in Redis, .* has the option shards: ${mine}$`),
        ),
        hint: expect.stringContaining(`pass shards: ${inRedis} `),
      });
      // Nothing has happened to the session.
      expect(await engine(inRedis).get({ app, token })).toMatchObject({ ref, r: 1, w: 1 });
    });
  });

  test("that is wrong lets a process write one session at most, which no other process sees", async () => {
    await t.create();
    const rs = engine(1);
    const create = () => rs.create({ app, id: "bob", ip: "::1" });
    await expect(create()).rejects.toMatchObject({ name: "redisError" });
    const size = await t.db.dbsize();
    for (let i = 0; i < 5; i++) await expect(create()).rejects.toMatchObject({ name: "redisError" });
    expect(await t.db.dbsize()).toBe(size);
    expect((await t.rs.soapp({ app, dt: 60 })).sessions).toHaveLength(1);
  });

  test("is that of one of two processes that create the first session at once", async () => {
    const [one, four] = [engine(1), engine(4)];
    for (let round = 0; round < 20; round++) {
      const session = { app: `app${round}`, id: "alice", ip: "::1" };
      const results = await Promise.allSettled([one.create(session), four.create(session)]);
      const winner = results.findIndex(({ status }) => status === "fulfilled");
      expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
      expect(Number(await t.db.zscore("rs:apps", `{app${round}}`))).toBe([0, 4][winner]);
      const { token } = (results[winner] as PromiseFulfilledResult<{ token: string }>).value;
      expect(await [one, four][winner]?.get({ app: session.app, token })).toMatchObject({ id: "alice" });
    }
  });

  test("may be another one when the wiper has dropped the app", async () => {
    await t.create();
    await t.rs.killall({ app });
    await t.db.zadd("rs:apps", 1, app);
    await t.rs.wipe();
    expect(await t.db.zrange("rs:apps", "0", "-1")).toEqual([]);
    await engine(2).create({ app, id: "alice", ip: "::1" });
    expect(await t.db.zscore("rs:apps", "{webapp}")).toBe("2");
  });
});

describe("soapp", () => {
  const refsOf = ({ sessions }: { sessions: Session[] }) => sessions.map(({ ref }) => ref);

  test("merges the shards by last activity, with an exact offset and limit", async () => {
    const refs = await createActive(700);
    expect(refsOf(await t.rs.soapp({ app, dt: 60 }))).toEqual(refs);
    for (const [offset, limit] of [
      [0, 1],
      [0, 10],
      [3, 40],
      [499, 3],
      [650, 100],
      [700, 1],
    ] as const) {
      expect(refsOf(await t.rs.soapp({ app, dt: 60, offset, limit }))).toEqual(refs.slice(offset, offset + limit));
    }
    const listed: string[] = [];
    for await (const { ref } of t.rs.sessions({ app, dt: 60 })) listed.push(ref);
    expect(listed).toEqual(refs);
  });

  test("counts only sessions that exist towards the offset and the limit", async () => {
    const refs = await createActive(300);
    const gone = refs.filter((_, i) => i % 3 === 0);
    for (const ref of gone) await t.db.del(`rs:{${tagOf(app, shardOfRef(ref, 16), 16)}}:s:${ref}`);
    const left = refs.filter((_, i) => i % 3 !== 0);
    for (const offset of [0, 7, 150, 199]) {
      expect(refsOf(await t.rs.soapp({ app, dt: 60, offset, limit: 20 }))).toEqual(left.slice(offset, offset + 20));
    }
  });

  test("reads only as many sessions as it returns", async () => {
    await createActive(400);
    await t.rs.soapp({ app, dt: 60, limit: 5 });
    const commands = await t.redis.watch(() => t.rs.soapp({ app, dt: 60, limit: 5 }));
    const keys = commands.flat().filter((text) => /:s:/.test(text));
    expect(new Set(keys).size).toBe(5);
  });
});

describe("activity", () => {
  test("is the sum of the shards", async () => {
    await createActive(300);
    expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 97 });
  });
});

describe("wipe", () => {
  test("visits every shard, with the number of shards that Redis has for each app", async () => {
    for (const shards of [1, 4, 32] as const) {
      const name = `app-${shards}`;
      const rs = engine(shards);
      await Promise.all(Array.from({ length: 64 }, (_, i) => rs.create({ app: name, id: `user${i}`, ip: "::1" })));
      for (let shard = 0; shard < shards; shard++) {
        const base = `rs:{${tagOf(name, shard, shards)}}:`;
        for (const ref of await t.db.zrange(`${base}active`, "0", "-1")) await t.db.del(`${base}s:${ref}`);
        const expiry = await t.db.zrange(`${base}expiry`, "0", "-1");
        for (const entry of expiry) await t.db.zadd(`${base}expiry`, 1, entry);
      }
    }
    expect(await t.rs.wipe()).toEqual({ wiped: 192 });
    for (const shards of [1, 4, 32]) expect((await readShards(t.db, `app-${shards}`, shards)).entries).toBe(0);
  });
});

describe("create with replaces", () => {
  const session = { app, ip: "::1" };
  const [alice, bob] = [userIn(3, 16), userIn(11, 16)];

  test("ends the session of another user in another shard", async () => {
    const old = await t.rs.create({ ...session, id: alice });
    const created = await t.rs.create({ ...session, id: bob, replaces: old.token });
    expect(await t.rs.get({ app, token: old.token })).toBeNull();
    expect(await t.rs.get({ app, token: created.token })).toMatchObject({ id: bob });
    expect((await readShards(t.db, app, 16)).problems).toEqual([]);
  });

  test("keeps it if the user has too many sessions", async () => {
    const old = await t.rs.create({ ...session, id: alice });
    await t.rs.create({ ...session, id: bob });
    const options: CreateOptions = { ...session, id: bob, replaces: old.token, maxPerUser: 1, overflow: "reject" };
    await expect(t.rs.create(options)).rejects.toMatchObject({ name: "tooManySessions" });
    expect(await t.rs.get({ app, token: old.token })).toMatchObject({ id: alice });
  });
});

describe("races", () => {
  test("killsoid ends a session that is rotated at the same time, and maxPerUser holds", async () => {
    const others = [t.rs, engine(16), engine(16)];
    for (let round = 0; round < 10; round++) {
      const id = `user${round}`;
      const { token } = await t.rs.create({ app, id, ip: "::1" });
      await Promise.all([others[1]?.rotate({ app, token }), others[2]?.killsoid({ app, id })]);
      expect((await t.rs.soid({ app, id })).sessions).toEqual([]);
      await Promise.all(
        Array.from({ length: 9 }, (_, i) => others[i % 3]?.create({ app, id, ip: "::1", maxPerUser: 2 })),
      );
      expect((await t.rs.soid({ app, id })).sessions).toHaveLength(2);
    }
    expect((await readShards(t.db, app, 16)).problems).toEqual([]);
  });
});

test("users are spread over the shards", async () => {
  const counts = Array(16).fill(0);
  for (let i = 0; i < 4000; i++) counts[shardOfId(`user${i}`, 16)]++;
  // Five standard deviations of 250.
  for (const count of counts) expect(Math.abs(count - 250)).toBeLessThan(5 * Math.sqrt(250));
});

test("after an outage that the first registration met, a create with several shards is not answered", async () => {
  const rs = engine(4, 300);
  await rs.ping();
  t.redis.pause();
  const creating = rs.create({ app, id: "alice", ip: "::1" });
  await expect(creating).rejects.toMatchObject({ name: "timeout" });
  t.redis.resume();
  await sleep(50);
});

describe("a session that was created with one shard", () => {
  test("has a token and a ref that lead to the shard of its user, whatever the number of shards will be", async () => {
    const rs = engine(1);
    for (let i = 0; i < 50; i++) {
      const { token, ref } = await rs.create({ app, id: `user${i}`, ip: "::1" });
      for (const shards of [2, 4, 8, 16, 32]) {
        const shard = shardOfId(`user${i}`, shards);
        expect([shardOfRef(token, shards), shardOfRef(ref, shards)]).toEqual([shard, shard]);
      }
    }
  });
});

describe("sessions that were imported from redis-sessions", () => {
  test("are in the shards of their tokens, where the tools for users find them", async () => {
    const old = openRedisSessions("4", t.redis.port);
    const tokens: string[] = [];
    for (let i = 0; i < 40; i++) tokens.push((await old.create({ app, id: "alice", ip: "::1", ttl: 7200 })).token);
    old.quit();
    expect(await t.rs.importSessions({ app, from: "redis-sessions" })).toMatchObject({ imported: 40 });
    for (const token of tokens) expect(await t.rs.get({ app, token })).toMatchObject({ id: "alice" });
    const { sessions } = await t.rs.soid({ app, id: "alice" });
    expect(sessions).toHaveLength(40);
    expect(await t.rs.setAll({ app, id: "alice", d: { role: "editor" } })).toEqual({ set: 40 });
    expect(await t.rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
    expect(await t.rs.killsoid({ app, id: "alice", except: tokens[7] as string })).toEqual({ kill: 39 });
    expect((await readShards(t.db, app, 16)).sessions).toEqual([refOf(tokens[7] as string)]);
  });
});

describe("events", () => {
  test("of all shards are heard, also by an engine that has another number", async () => {
    const rs = new RedisSessions({ client: t.db, wipe: 0, shards: 16, events: true });
    const listener = new RedisSessions({ client: t.redis.client(), wipe: 0, events: true });
    await rs.create({ app, id: "alice", ip: "::1" });
    const heard: SessionEvent[] = [];
    const subscribed = new Promise<unknown>((resolve) => listener.on("subscribed", resolve));
    listener.on("created", (event) => void heard.push(event));
    listener.on("ended", (event) => void heard.push(event));
    expect(await subscribed).toEqual({ app, missed: false });
    const ids = Array.from({ length: 16 }, (_, shard) => userIn(shard, 16));
    const created = await Promise.all(ids.map((id) => rs.create({ app, id, ip: "::1" })));
    const { token, ref } = created[3] as Created;
    await rs.kill({ app, token });
    // The wiper of a listener announces what has expired.
    const expired = created[5]?.ref as string;
    const base = `rs:{${tagOf(app, 5, 16)}}:`;
    await t.db.pexpire(`${base}s:${expired}`, 1);
    await t.db.zadd(`${base}expiry`, "XX", 1, JSON.stringify(ids[5]) + expired);
    await expect.poll(() => heard.length, { timeout: 10_000 }).toBe(18);
    const refs = (kind: string) => heard.filter((event) => event.kind === kind).map((event) => event.ref);
    expect(refs("created").sort()).toEqual(created.map((one) => one.ref).sort());
    expect(refs("ended")).toEqual([ref, expired]);
    await listener.quit();
  });

  test("of an app are iterated", async () => {
    const rs = new RedisSessions({ client: t.db, wipe: 0, shards: 16, events: true });
    const events = rs.events({ app });
    const first = events.next();
    await expect.poll(async () => (await t.db.pubsub("CHANNELS", "rs:*")).length).toBe(16);
    const { ref } = await rs.create({ app, id: userIn(9, 16), ip: "::1" });
    expect(await first).toMatchObject({ value: { kind: "created", ref } });
    await events.return();
    await rs.quit();
  });
});

describe("the near cache", () => {
  test("has sessions of all shards, and drops each when another process changes it", async () => {
    const [rs, other] = [0, 1].map(
      () => new RedisSessions({ client: t.redis.client(), wipe: 0, shards: 16, cachetime: 30 }),
    ) as [RedisSessions, RedisSessions];
    const ids = Array.from({ length: 16 }, (_, shard) => userIn(shard, 16));
    const created = await Promise.all(ids.map((id) => rs.create({ app, id, ip: "::1", d: { n: 1 } })));
    const read = () => Promise.all(created.map(({ token }) => rs.get({ app, token })));
    await expect.poll(async () => (await read()) && rs.cache.size, { timeout: 10_000 }).toBe(16);
    expect(await t.redis.watch(read)).toEqual([]);
    await Promise.all(created.map(({ token }) => other.set({ app, token, d: { n: 2 } })));
    await expect.poll(async () => (await read()).map((one) => one?.d?.n)).toEqual(Array(16).fill(2));
    await other.killsoid({ app, id: ids[7] as string });
    await expect.poll(async () => (await read())[7]).toBeNull();
    await Promise.all([rs.quit(), other.quit()]);
  });
});
