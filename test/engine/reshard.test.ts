import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisStore } from "../../src/express-session/index.js";
import { type Created, RedisSessions, type SessionEvent, type ShardCount } from "../../src/index.js";
import { CLIENTS, openClient } from "../support/clients.js";
import { useEngine } from "../support/engine.js";
import { everyMethod } from "../support/every-method.js";
import { keysOfShards, LEASE, reshard, stopAt, stopBeforeCommand, useProcesses } from "../support/reshard.js";
import { readShards, shardOfId, tagOf } from "../support/shards.js";

const t = useEngine();
const app = "webapp";
const ip = "203.0.113.7";

const { process, putState } = useProcesses(t);

const baseOf = (id: string, shards: number) => `rs:{${tagOf(app, shardOfId(id, shards), shards)}}:`;

describe("reshard", () => {
  test("moves sessions with all that they have, in both directions", async () => {
    const rs = process(1);
    const created = await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        rs.create({ app, id: `user${n % 40}`, ip, device: "Firefox", d: { n }, ttl: 3600 + n, absolute: 7200 }),
      ),
    );
    for (const { token } of created.slice(0, 20)) await rs.set({ app, token, d: { more: "é".repeat(2000) } });
    const before = await Promise.all(created.map(({ ref }) => rs.get({ app, ref, touch: false })));
    const scores = await t.db.zrange(`rs:{${app}}:active`, "0", "-1", "WITHSCORES");
    let from: ShardCount = 1;
    for (const to of [4, 16, 2, 1] as const) {
      expect(await reshard(rs, app, to)).toEqual({ from, to, moved: 300, complete: true });
      expect(await keysOfShards(t.db, app, from)).toEqual([]);
      const stored = await readShards(t.db, app, to);
      expect(stored.problems).toEqual([]);
      expect(stored.sessions).toHaveLength(300);
      const other = process(to);
      for (const [n, { token, ref }] of created.entries()) {
        const { idle, ...same } = before[n] ?? {};
        expect(await other.get({ app, ref, touch: false })).toMatchObject(same);
        expect(await other.get({ app, token, touch: false })).toMatchObject(same);
      }
      from = to;
    }
    expect(await t.db.zrange(`rs:{${app}}:active`, "0", "-1", "WITHSCORES")).toEqual(scores);
  });

  test("keeps the TTL of a session, also of one that never ends, and moves large sessions", async () => {
    const rs = process(1);
    const { ref } = await rs.create({ app, id: "alice", ip, ttl: 3600, d: { text: "é".repeat(400_000) } });
    const store = new RedisStore({ rs, app, disableTTL: true, maxBytes: 20_000_000 });
    const large = "x".repeat(9_000_000);
    await store.set("sid", { cookie: { originalMaxAge: null }, userId: "alice", large } as never);
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 1_000_000);
    await reshard(rs, app, 4);
    const left = await t.db.pttl(`${baseOf("alice", 4)}s:${ref}`);
    expect(left).toBeLessThanOrEqual(1_000_000);
    expect(left).toBeGreaterThan(900_000);
    expect((await rs.get({ app, ref }))?.d?.text).toBe("é".repeat(400_000));
    expect(await store.get("sid")).toMatchObject({ userId: "alice", large });
    const [key = ""] = await t.db.keys("rs:{webapp.4.*}:s:~sid");
    expect(await t.db.pttl(key)).toBe(-1);
    expect(await keysOfShards(t.db, app, 1)).toEqual([]);
  });

  test("refuses an app without a session, and a third number while it moves", async () => {
    const rs = process(1);
    await expect(reshard(rs, app, 4)).rejects.toMatchObject({
      name: "invalidValue",
      hint: expect.stringContaining("first session"),
    });
    await t.create();
    await putState({ shards: 1, next: 4 });
    await expect(reshard(rs, app, 16)).rejects.toMatchObject({
      name: "invalidValue",
      message: 'The app "webapp" is moving from 1 to 4 shards',
      hint: "let that end first: reshard webapp --to 4; or call it off: --to 1",
    });
    await putState({ shards: 4, former: 1 });
    await expect(reshard(rs, app, 1)).rejects.toMatchObject({ hint: "let that end first: reshard webapp --to 4" });
  });

  test("calls a move off that has not begun", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    await putState({ shards: 1, next: 4 });
    expect(await reshard(rs, app, 1)).toEqual({ from: 1, to: 1, moved: 0, complete: true, calledOff: 4 });
    expect(await t.db.zrange("rs:apps", "0", "-1")).toEqual([app]);
    expect(await rs.get({ app, token })).not.toBeNull();
  });

  test("is done at once if the app has the number", async () => {
    const rs = process(1);
    await rs.create({ app, id: "alice", ip });
    expect(await reshard(rs, app, 1, { wait: 1_000_000 })).toEqual({ from: 1, to: 1, moved: 0, complete: true });
  });

  test("writes nothing with dryRun", async () => {
    const rs = process(1);
    for (let n = 0; n < 5; n++) await rs.create({ app, id: `user${n}`, ip });
    const before = await t.db.keys("*");
    expect(await reshard(rs, app, 4, { dryRun: true })).toEqual({ from: 1, to: 4, moved: 5, complete: true });
    expect((await t.db.keys("*")).sort()).toEqual(before.sort());
    expect(await t.db.zrange("rs:apps", "0", "-1")).toEqual([app]);
  });

  test("begins to wait again if the list of apps cannot be read", async () => {
    const rs = process(1, { timeout: 300 });
    await rs.create({ app, id: "alice", ip });
    const waits: number[] = [];
    const { connection } = internalsOf(rs);
    const moving = reshard(rs, app, 4, { wait: 5000, onProgress: ({ waiting }) => waiting > 0 && waits.push(waiting) });
    await expect.poll(() => waits.length, { timeout: 5000 }).toBeGreaterThan(1);
    t.redis.pause();
    await expect(connection.command((client) => client.ping())).rejects.toThrow();
    await sleep(1000);
    t.redis.resume();
    expect(await moving).toMatchObject({ complete: true });
    // It fell with each look, until it was whole again.
    expect(waits.filter((left) => left > 4500).length).toBeGreaterThan(1);
  });
});

describe("a process", () => {
  test("follows the app with the former, the next and the new number, and is refused with any other", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    const get = (shards: ShardCount) => process(shards).get({ app, token });
    const refused = { name: "redisError", hint: expect.stringContaining("pass shards: 4 ") };
    for (const state of [
      { shards: 1, next: 4 },
      { shards: 4, former: 1 },
    ]) {
      await putState(state);
      for (const shards of [1, 4] as const) expect(await get(shards)).toMatchObject({ id: "alice" });
      await expect(get(16)).rejects.toMatchObject(refused);
    }
    await reshard(rs, app, 4);
    for (const shards of [1, 4] as const) expect(await get(shards)).toMatchObject({ id: "alice" });
    await expect(get(16)).rejects.toMatchObject({
      ...refused,
      message: 'The app "webapp" has 4 shards in Redis, but this process has the option shards: 16',
    });
  });

  test("reads the list of apps once in a lease, before a call", async () => {
    const rs = process(1);
    internalsOf(rs).setLeaseTime(60_000);
    const { token } = await rs.create({ app, id: "alice", ip });
    expect(await t.redis.watch(() => rs.get({ app, token }))).toHaveLength(1);
    internalsOf(rs).setLeaseTime(1);
    const other = process(1);
    internalsOf(other).setLeaseTime(60_000);
    expect(await t.redis.watch(() => other.get({ app, token }))).toHaveLength(2);
    expect(await t.redis.watch(() => other.get({ app, token }))).toHaveLength(1);
  });

  test("that meets the fence completes the switch, if the command has died in between", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    await putState({ shards: 1, next: 4 });
    await t.db.set("rs:{webapp}:fence:7", "1", "PX", 60_000);
    expect(await process(4).get({ app, token })).toMatchObject({ id: "alice" });
    expect(await t.db.zscore("rs:apps", "{webapp}")).toBe("4");
    expect(await t.db.exists(`${baseOf("alice", 4)}active`)).toBe(1);
  });

  test.each([
    ["create", "create", (rs: RedisSessions) => rs.create({ app, id: "bob", ip })],
    ["set", "set", (rs: RedisSessions, { token }: Created) => rs.set({ app, token, d: { n: 2 } })],
    ["kill", "kill", (rs: RedisSessions, { token }: Created) => rs.kill({ app, token })],
    ["rotate", "rotate", (rs: RedisSessions, { token }: Created) => rs.rotate({ app, token, grace: 0 })],
    ["killsoid", "kill-many", (rs: RedisSessions) => rs.killsoid({ app, id: "alice" })],
    ["killall", "kill-many", (rs: RedisSessions) => rs.killall({ app })],
  ] as const)("whose %s arrives after the switch repeats it in the new shards", async (name, script, call) => {
    const rs = process(1);
    const created = await rs.create({ app, id: "alice", ip, d: { n: 1 } });
    await putState({ shards: 1, next: 4 });
    const late = process(1);
    const stop = stopAt(late, script);
    const calling = call(late, created);
    await stop.reached;
    expect(await reshard(rs, app, 4)).toMatchObject({ complete: true });
    stop.go();
    const result = await calling;
    const other = process(4);
    const alice = await other.get({ app, token: created.token });
    if (name === "create")
      expect(await other.get({ app, token: (result as Created).token })).toMatchObject({ id: "bob" });
    if (name === "set") expect([result, alice?.d]).toEqual([expect.objectContaining({ d: { n: 2 } }), { n: 2 }]);
    else if (name !== "create") expect(alice).toBeNull();
    if (name.startsWith("kill")) expect(result).toEqual({ kill: 1 });
    if (name === "rotate")
      expect(await other.get({ app, token: (result as Created).token })).toMatchObject({ id: "alice" });
    expect(await keysOfShards(t.db, app, 1)).toEqual([]);
    expect((await readShards(t.db, app, 4)).problems).toEqual([]);
  });

  test.each(["soid", "activity"] as const)("whose %s reads after the switch reads the new shards", async (name) => {
    const rs = process(1);
    await rs.create({ app, id: "alice", ip });
    await putState({ shards: 1, next: 4 });
    const late = process(1);
    const stop = stopBeforeCommand(late);
    const calling = name === "soid" ? late.soid({ app, id: "alice" }) : late.activity({ app, dt: 60 });
    await stop.reached;
    await reshard(rs, app, 4);
    stop.go();
    expect(await calling).toMatchObject(name === "soid" ? { sessions: [{ id: "alice" }] } : { activity: 1 });
  });

  test("that iterates over sessions gets each of them once, although the app moves meanwhile", async () => {
    const rs = process(1);
    const created = await Promise.all(Array.from({ length: 700 }, (_, n) => rs.create({ app, id: `user${n}`, ip })));
    await putState({ shards: 1, next: 4 });
    const listed: string[] = [];
    for await (const { ref } of process(1).sessions({ app, dt: 3600 })) {
      listed.push(ref);
      if (listed.length === 50) await reshard(rs, app, 4);
    }
    expect(listed.sort()).toEqual(created.map(({ ref }) => ref).sort());
  });
});

test.each([
  ["moves", { shards: 4, former: 1 }],
  ["is about to move", { shards: 4, next: 16 }],
])("every method works while the app %s", async (_state, state) => {
  await putState(state);
  await everyMethod(process(4));
});

describe("while an app moves", () => {
  const users = ["alice", "bob", "carol"];

  /** Creates sessions in the former shard and in the new ones. */
  async function inBothPlaces(): Promise<{ rs: RedisSessions; former: Created[]; refs: string[] }> {
    const before = process(1);
    const create = (rs: RedisSessions) => Promise.all(users.map((id) => rs.create({ app, id, ip })));
    const former = [...(await create(before)), ...(await create(before))];
    await putState({ shards: 4, former: 1 });
    const rs = process(4);
    const later = await create(rs);
    return { rs, former, refs: [...former, ...later].map(({ ref }) => ref).sort() };
  }

  test("the lists of adapters have each session once, whichever place it is in", async () => {
    const { rs, former, refs } = await inBothPlaces();
    const { index } = internalsOf(rs).sessions(app);
    expect(await index.isEmpty()).toBe(false);
    expect(await index.countSessions(0)).toBe(9);
    expect((await index.refs()).sort()).toEqual(refs);
    expect(await index.count()).toBe(9);
    expect((await index.header(former[0]?.ref as string))?.id).toBe('"alice"');
    expect((await index.headersOfUser('"bob"', { offset: 0, limit: 10 })).sessions).toHaveLength(3);
    const seen: string[] = [];
    for (let next: string | undefined = ""; next !== undefined; ) {
      const page: { sessions: { ref: string }[]; next: string | undefined } = await index.activeHeaders(next, 2);
      seen.push(...page.sessions.map(({ ref }) => ref));
      next = page.next;
    }
    expect(seen.sort()).toEqual(refs);
    await index.reach(performance.now() + 1000);
  });

  test("a sign-in ends the session that it replaces, with and without a limit", async () => {
    const { rs, former } = await inBothPlaces();
    const [alice, bob] = former as [Created, Created];
    await rs.create({ app, id: "alice", ip, replaces: alice.token });
    expect(await rs.get({ app, token: alice.token })).toBeNull();
    await rs.create({ app, id: "bob", ip, replaces: bob.token, maxPerUser: 2 });
    expect((await rs.soid({ app, id: "bob" })).sessions).toHaveLength(2);
    expect(await rs.get({ app, token: bob.token })).toBeNull();
  });

  test("sessions of connect-redis are taken over and imported", async () => {
    const { rs } = await inBothPlaces();
    const store = new RedisStore({ rs, app, prefix: "sess:" });
    const sids = ["a", "b", "c"];
    for (const sid of sids) {
      await t.db.set(`sess:${sid}`, JSON.stringify({ cookie: { originalMaxAge: null }, userId: "dora" }));
    }
    expect(await store.get("a")).toMatchObject({ userId: "dora" });
    expect(await store.importSessions({ dryRun: true })).toMatchObject({ imported: 2 });
    expect(await store.importSessions()).toMatchObject({ imported: 2, complete: true });
    for (const sid of sids) expect(await store.get(sid)).toMatchObject({ userId: "dora" });
    expect(await store.killsoid("dora")).toEqual({ kill: 3 });
  });
});

describe("two processes that move the same session", () => {
  const actions: Record<string, (rs: RedisSessions, session: Created) => Promise<unknown>> = {
    kill: (rs, { token }) => rs.kill({ app, token }),
    killsoid: (rs) => rs.killsoid({ app, id: "alice" }),
    killall: (rs) => rs.killall({ app }),
    "create at the limit": (rs) => rs.create({ app, id: "alice", ip, maxPerUser: 1 }),
    rotate: (rs, { token }) => rs.rotate({ app, token, grace: 0 }),
  };
  const cases = ["move-in", "move-out"].flatMap((step) => Object.keys(actions).map((name) => [step, name] as const));

  test.each(cases)("one stalls before %s: the %s of the other is not undone", async (step, name) => {
    const session = await t.create({ d: { n: 1 } });
    await putState({ shards: 4, former: 1 });
    const [slow, fast] = [process(4), process(1)];
    const stop = stopAt(slow, step);
    const reading = slow.get({ app, token: session.token });
    await stop.reached;
    await actions[name]?.(fast, session);
    stop.go();
    expect(await reading).toBeNull();
    expect(await fast.get({ app, token: session.token })).toBeNull();
    const stored = await readShards(t.db, app, 4);
    expect(stored.problems).toEqual([]);
    expect(stored.sessions).toHaveLength(name === "rotate" || name.startsWith("create") ? 1 : 0);
    expect(await t.db.keys("rs:{webapp}:*")).toEqual([]);
  });

  test.each(["move-in", "move-out"])("one stalls before %s: what the other writes is kept", async (step) => {
    const { token } = await t.create({ d: { n: 1, list: "a" } });
    await putState({ shards: 4, former: 1 });
    const [slow, fast] = [process(4), process(1)];
    const stop = stopAt(slow, step);
    const adding = slow.increment({ app, token, key: "n" });
    await stop.reached;
    expect(await fast.increment({ app, token, key: "n", by: 10 })).toEqual({ value: 11, applied: true });
    await fast.set({ app, token, d: { list: "b" } });
    stop.go();
    expect(await adding).toEqual({ value: 12, applied: true });
    expect(await fast.get({ app, token })).toMatchObject({ d: { n: 12, list: "b" } });
    expect((await readShards(t.db, app, 4)).problems).toEqual([]);
  });

  test("one stalls for longer than its timeout: it fails, and moves nothing any more", async () => {
    const { token } = await t.create();
    await putState({ shards: 4, former: 1 });
    const [slow, fast] = [process(4, { timeout: 200 }), process(1)];
    const stop = stopAt(slow, "move-out");
    const reading = slow.get({ app, token });
    await stop.reached;
    await sleep(300);
    stop.go();
    await reading.catch(() => {});
    expect(await fast.kill({ app, token })).toEqual({ kill: 1 });
    expect(await fast.get({ app, token })).toBeNull();
  });
});

describe("what leads to a session", () => {
  /** Moves the app with the command, or lets the call that follows move what it needs. */
  const ways = {
    "moved by the command": async (rs: RedisSessions) => {
      await reshard(rs, app, 4);
    },
    "moved by the next call": () => putState({ shards: 4, former: 1 }),
  };

  describe.each(Object.entries(ways))("%s", (_way, move) => {
    test("a redirect leads to the rotated session", async () => {
      const old = await t.create({ d: { n: 1 } });
      const next = await t.rs.rotate({ app, token: old.token, grace: 100 });
      await move(process(1));
      for (const which of [{ token: old.token }, { ref: old.ref }])
        expect(await process(4).get({ app, ...which })).toMatchObject({ ref: next?.ref, d: { n: 1 } });
    });

    test("a late request with a rotated token is no reuse; a later one is", async () => {
      const old = await t.create();
      const next = (await t.rs.rotate({ app, token: old.token, grace: 0 })) as Created;
      await t.rs.get({ app, token: next.token });
      await move(process(1));
      const rs = process(4);
      expect(await rs.get({ app, token: old.token })).toBeNull();
      expect(await rs.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
      for (const key of await t.db.keys("rs:*:rotated:*")) await t.db.del(key);
      expect(await rs.get({ app, token: old.token })).toBeNull();
      expect(await rs.get({ app, token: next.token })).toBeNull();
    });

    test("reuse is detected although the session's own token was not used since", async () => {
      const old = await t.create();
      const next = (await t.rs.rotate({ app, token: old.token, grace: 0 })) as Created;
      await t.rs.get({ app, token: next.token });
      for (const key of await t.db.keys("rs:*:rotated:*")) await t.db.del(key);
      await move(process(1));
      const rs = process(4);
      expect(await rs.get({ app, token: old.token })).toBeNull();
      expect(await rs.get({ app, token: next.token })).toBeNull();
    });

    test("a token that was rotated with confirm is valid until the new one is used", async () => {
      const old = await t.create();
      const next = (await t.rs.rotate({ app, token: old.token, grace: 0, confirm: true })) as Created;
      await move(process(1));
      const rs = process(4);
      expect(await rs.get({ app, token: old.token })).toMatchObject({ ref: next.ref });
      expect(await rs.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
      expect(await rs.get({ app, token: old.token })).toBeNull();
      // Nothing brings the redirect back.
      await reshard(rs, app, 4);
      expect(await rs.get({ app, token: old.token })).toBeNull();
      expect(await rs.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
    });
  });

  test("a token that was rotated with confirm stays useless when its redirect moves after the first use of the new one", async () => {
    const old = await t.create();
    const next = (await t.rs.rotate({ app, token: old.token, grace: 0, confirm: true })) as Created;
    await putState({ shards: 4, former: 1 });
    const rs = process(4);
    expect(await rs.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
    await reshard(rs, app, 4);
    expect(await rs.get({ app, token: old.token })).toBeNull();
    expect(await rs.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
  });

  test("the record of a family never moves before its session", async () => {
    const old = await t.create();
    const next = (await t.rs.rotate({ app, token: old.token, grace: 0, confirm: true })) as Created;
    await putState({ shards: 4, former: 1 });
    const [slow, fast] = [process(4), process(1)];
    // The session is the last that the command moves.
    const stop = stopAt(slow, "move-in");
    const moving = reshard(slow, app, 4);
    await stop.reached;
    expect(await t.db.keys("rs:{webapp.4.*:family:*")).toEqual([]);
    expect(await fast.get({ app, token: old.token })).toMatchObject({ ref: next.ref });
    stop.go();
    expect(await moving).toMatchObject({ complete: true });
    expect(await fast.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
  });
});

describe("sessions of connect-redis that are left", () => {
  test("stay barred, and a logout after the move bars them, too", async () => {
    const rs = process(1);
    const store = new RedisStore({ rs, app, prefix: "sess:" });
    const plant = (sid: string, userId: string) =>
      t.db.set(`sess:${sid}`, JSON.stringify({ cookie: { originalMaxAge: null }, userId }));
    await store.set("own", { cookie: { originalMaxAge: null }, userId: "alice" } as never);
    await store.get("nobody");
    await expect.poll(() => t.db.exists("rs:{webapp}:legacy")).toBe(1);
    await store.killsoid("alice");
    await plant("a", "alice");
    await plant("b", "bob");
    await reshard(rs, app, 4);
    expect(await keysOfShards(t.db, app, 1)).toEqual([]);
    expect(await store.get("a")).toBeNull();
    // An engine, which does not know the store, ends them.
    await process(4).killsoid({ app, id: "bob" });
    expect(await store.get("b")).toBeNull();
  });

  test("are barred by a logout right after the switch", async () => {
    const rs = process(1);
    const store = new RedisStore({ rs, app, prefix: "sess:" });
    await store.set("own", { cookie: { originalMaxAge: null }, userId: "alice" } as never);
    await store.get("nobody");
    await expect.poll(() => t.db.exists("rs:{webapp}:legacy")).toBe(1);
    await t.db.set("sess:b", JSON.stringify({ cookie: { originalMaxAge: null }, userId: "bob" }));
    await putState({ shards: 1, next: 4 });
    await sleep(2 * LEASE);
    await t.db.set("rs:{webapp}:fence:7", "1", "PX", 60_000);
    await process(4).killsoid({ app, id: "bob" });
    expect(await store.get("b")).toBeNull();
  });

  test("stay barred for a call while the app moves", async () => {
    const store = new RedisStore({ rs: process(1), app, prefix: "sess:" });
    await store.set("own", { cookie: { originalMaxAge: null }, userId: "bob" } as never);
    await store.killsoid("alice");
    await t.db.set("sess:a", JSON.stringify({ cookie: { originalMaxAge: null }, userId: "alice" }));
    await putState({ shards: 4, former: 1 });
    expect(await new RedisStore({ rs: process(4), app, prefix: "sess:" }).get("a")).toBeNull();
  });
});

describe("the index", () => {
  test("loses the entries of expired sessions, whose end is announced once", async () => {
    const rs = process(1, { events: true });
    const [gone, kept] = [await rs.create({ app, id: "alice", ip }), await rs.create({ app, id: "bob", ip })];
    const heard: SessionEvent[] = [];
    const listener = process(1, { events: true });
    const subscribed = new Promise((resolve) => listener.on("subscribed", resolve));
    for (const name of ["created", "changed", "rotated", "ended"] as const)
      listener.on(name, (event) => void heard.push(event));
    await subscribed;
    await t.db.del(`rs:{webapp}:s:${gone.ref}`);
    await reshard(rs, app, 4);
    expect(await keysOfShards(t.db, app, 1)).toEqual([]);
    const stored = await readShards(t.db, app, 4);
    expect(stored).toMatchObject({ problems: [], sessions: [kept.ref] });
    await expect.poll(() => heard.length).toBe(1);
    expect(heard).toMatchObject([{ kind: "ended", ref: gone.ref, reason: "expired" }]);
  });
});

describe("events", () => {
  test("of all shards are heard once, before, while and after the app moves, and none for a move", async () => {
    const rs = process(1, { events: true });
    const listener = process(1, { events: true });
    const heard: string[] = [];
    const subscribed = new Promise((resolve) => listener.on("subscribed", resolve));
    for (const name of ["created", "changed", "rotated", "ended"] as const)
      listener.on(name, ({ kind, ref }) => void heard.push(`${kind} ${ref}`));
    const sessions = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map((n) => rs.create({ app, id: `user${n}`, ip })));
    await subscribed;
    heard.length = 0;
    const expected: string[] = [];
    const change = async () => {
      for (const { token, ref } of sessions) {
        await rs.set({ app, token, d: { n: expected.length } });
        expected.push(`changed ${ref}`);
      }
    };
    let isOver = false;
    const changing = (async () => {
      while (!isOver) await change();
    })();
    // A listener looks each second.
    await reshard(rs, app, 4, { wait: 3000 });
    await sleep(3 * LEASE);
    isOver = true;
    await changing;
    await expect.poll(() => heard.length, { timeout: 5000 }).toBe(expected.length);
    expect(heard.sort()).toEqual(expected.sort());
  });
});

describe("the near cache", () => {
  test("serves nothing that another process has changed, before, while and after the app moves", async () => {
    const cached = process(1, { cachetime: 60 });
    const other = process(4, { events: true });
    await expect(other.get({ app, token: "x".repeat(64) })).resolves.toBeNull();
    const created = await Promise.all([0, 1, 2, 3].map((n) => cached.create({ app, id: `user${n}`, ip, d: { n: 0 } })));
    const read = () => Promise.all(created.map(({ token }) => cached.get({ app, token })));
    await expect.poll(async () => (await read()) && cached.cache.size, { timeout: 10_000 }).toBe(4);
    const moving = reshard(cached, app, 4, { wait: 3000 });
    await expect.poll(() => t.db.zscore("rs:apps", "{webapp}>")).toBe("4");
    let isOver = false;
    const writing = (async () => {
      for (let n = 1; !isOver; n++) {
        await Promise.all(created.map(({ token }) => other.set({ app, token, d: { n } })));
        // The message of a change may take a moment, but no value stays.
        await expect.poll(async () => (await read()).map((one) => one?.d?.n)).toEqual([n, n, n, n]);
      }
    })();
    expect(await moving).toMatchObject({ complete: true });
    await sleep(5 * LEASE);
    isOver = true;
    await writing;
    await expect.poll(async () => (await read()) && cached.cache.size, { timeout: 10_000 }).toBe(4);
  });
});

describe("the near cache", () => {
  /** Reads a session until it is served from memory. */
  async function cache(rs: RedisSessions, token: string): Promise<void> {
    await expect.poll(async () => (await rs.get({ app, token })) && rs.cache.size, { timeout: 10_000 }).toBe(1);
  }

  test("keeps nothing that it has read before the app moved, also if no call asks Redis meanwhile", async () => {
    const cached = process(1, { cachetime: 60 });
    const other = process(1, { events: true });
    const { token } = await cached.create({ app, id: "alice", ip, d: { n: 1 } });
    await cache(cached, token);
    let isOver = false;
    const reading = (async () => {
      for (; !isOver; await sleep(20)) await cached.get({ app, token });
    })();
    // The cache renews the lease each second.
    await reshard(other, app, 4, { wait: 3000 });
    isOver = true;
    await reading;
    await other.set({ app, token, d: { n: 2 } });
    await expect.poll(async () => (await cached.get({ app, token }))?.d).toEqual({ n: 2 });
  });

  test("is not used from the moment on when the app is about to move", async () => {
    const cached = process(1, { cachetime: 60 });
    const { token } = await cached.create({ app, id: "alice", ip, d: { n: 1 } });
    await cache(cached, token);
    await putState({ shards: 1, next: 4 });
    await expect.poll(() => cached.cache.size, { timeout: 5000 }).toBe(0);
    internalsOf(cached).setLeaseTime(60_000);
    await sleep(2 * LEASE);
    for (let i = 0; i < 3; i++) await cached.get({ app, token });
    await t.db.set("rs:{webapp}:fence:7", "1", "PX", 60_000);
    await process(4, { events: true }).set({ app, token, d: { n: 2 } });
    expect(await cached.get({ app, token })).toMatchObject({ d: { n: 2 } });
  });
});

describe("when Redis is out of memory", () => {
  test("sessions are found and ended while the app moves", async () => {
    const old = await t.create();
    const next = (await t.rs.rotate({ app, token: old.token, grace: 0 })) as Created;
    await putState({ shards: 4, former: 1 });
    const rs = process(4);
    await t.db.config("SET", "maxmemory", "1");
    try {
      expect(await rs.get({ app, token: next.token })).toMatchObject({ ref: next.ref });
      expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
    } finally {
      await t.db.config("SET", "maxmemory", "0");
    }
  });
});

describe.each(Object.keys(CLIENTS))("with %s", (name) => {
  test("the app moves", async () => {
    const { client, close } = openClient(name, t.redis.port);
    const rs = new RedisSessions({ client, wipe: 0 });
    const created = await Promise.all(
      Array.from({ length: 30 }, (_, n) =>
        rs.create({ app, id: `user${n}`, ip, d: { text: "x".repeat(n === 0 ? 500_000 : 1) } }),
      ),
    );
    await rs.rotate({ app, token: `${created[1]?.token}`, grace: 100 });
    expect(await reshard(rs, app, 4)).toMatchObject({ complete: true });
    internalsOf(rs).setLeaseTime(LEASE);
    const other = process(4);
    for (const { token } of created) expect(await other.get({ app, token })).not.toBeNull();
    expect(await keysOfShards(t.db, app, 1)).toEqual([]);
    await rs.quit();
    close();
  });
});

describe("two commands at once", () => {
  test("do no harm, and both are complete", async () => {
    const rs = process(1);
    const created = await Promise.all(
      Array.from({ length: 400 }, (_, n) => rs.create({ app, id: `user${n % 50}`, ip })),
    );
    const both = await Promise.all([reshard(process(1), app, 4), reshard(process(1), app, 4)]);
    expect(both).toMatchObject([{ complete: true }, { complete: true }]);
    const stored = await readShards(t.db, app, 4);
    expect(stored.problems).toEqual([]);
    expect(stored.sessions.sort()).toEqual(created.map(({ ref }) => ref).sort());
    expect(await keysOfShards(t.db, app, 1)).toEqual([]);
  });
});
