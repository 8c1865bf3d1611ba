import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import type { RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { reshard, useProcesses } from "../support/reshard.js";

const t = useEngine();
const app = "webapp";
const ip = "203.0.113.7";

const { process } = useProcesses(t);

async function move(shards: number, former: number): Promise<void> {
  if (shards > 1) await t.db.zadd("rs:apps", shards, `{${app}}`);
  else await t.db.zrem("rs:apps", `{${app}}`);
  await t.db.zadd("rs:apps", former, `{${app}}<`, 1, `{${app}}!`);
}

describe("when Redis is out of memory", () => {
  test("a user with a large session is logged out while the app moves", async () => {
    const { token } = await t.create({ d: { text: "x".repeat(400_000) } });
    await move(4, 1);
    await t.db.config("SET", "maxmemory", "1");
    try {
      expect(await process(4).get({ app, token, touch: false })).not.toBeNull();
      expect(await process(4).killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
    } finally {
      await t.db.config("SET", "maxmemory", "0");
    }
  });
});

describe("the command", () => {
  test("takes up what a completed move has left, when it is run again", async () => {
    const rs = process(1);
    await rs.create({ app, id: "alice", ip });
    const { token, ref } = await rs.create({ app, id: "bob", ip });
    const text = await t.db.get(`rs:{webapp}:s:${ref}`);
    await t.db.del(`rs:{webapp}:s:${ref}`);
    await reshard(rs, app, 4);
    // SCAN has missed it, because its slot was moving to another node.
    await t.db.set(`rs:{webapp}:s:${ref}`, `${text}`, "EX", 3600);
    await reshard(rs, app, 4);
    expect(await process(4).get({ app, token })).toMatchObject({ id: "bob" });
  });

  test("moves an app of a client with a keyPrefix, and leaves other apps alone", async () => {
    const client = t.redis.client({ keyPrefix: "a*[b]:" });
    const rs = process(1, { client, namespace: "n-s" });
    const old = await rs.create({ app, id: 'a"}:{*\n\\😀', ip });
    const next = await rs.rotate({ app, token: old.token, grace: 100 });
    const other = await rs.create({ app: "webapp2", id: "alice", ip });
    await process(1).create({ app, id: "alice", ip });
    expect(await reshard(rs, app, 4)).toMatchObject({ moved: 1, complete: true });
    expect(await rs.get({ app, token: old.token })).toMatchObject({ ref: next?.ref, id: 'a"}:{*\n\\😀' });
    expect(await rs.get({ app: "webapp2", token: other.token })).toMatchObject({ id: "alice" });
    expect((await t.db.keys("a?\\[b\\]:n-s:{webapp}:*")).filter((key) => !/(fence|moved):.*$/.test(key))).toEqual([]);
    expect(await rs.killsoid({ app, id: 'a"}:{*\n\\😀' })).toEqual({ kill: 1 });
    expect(await process(1).soid({ app, id: "alice" })).toMatchObject({ sessions: [{ id: "alice" }] });
  });
});

describe("scripts", () => {
  test("are loaded again after SCRIPT FLUSH, while the app is about to move and moves", async () => {
    const rs = process(1);
    const { token } = await rs.create({ app, id: "alice", ip });
    await t.db.zadd("rs:apps", 4, `{${app}}>`);
    const other = process(1);
    await other.get({ app, token });
    await t.db.call("SCRIPT", "FLUSH");
    expect(await other.get({ app, token })).toMatchObject({ id: "alice" });
    await reshard(rs, app, 4, { wait: 0 });
    await t.db.call("SCRIPT", "FLUSH");
    expect(await other.get({ app, token })).toMatchObject({ id: "alice" });
  });
});

describe("a user with 1000 sessions", () => {
  test.each(["oldest", "idle"] as const)("signs in at the limit while they move: %s", async (overflow) => {
    const rs = process(1);
    const created = await Promise.all(Array.from({ length: 1000 }, () => rs.create({ app, id: "alice", ip })));
    await move(4, 1);
    const others = [process(1), process(4)];
    const more = await Promise.all(
      Array.from({ length: 6 }, (_, n) =>
        (others[n % 2] as RedisSessions).create({ app, id: "alice", ip, maxPerUser: 1000, overflow }),
      ),
    );
    const { sessions } = await rs.soid({ app, id: "alice" });
    expect(sessions).toHaveLength(1000);
    const refs = new Set(sessions.map(({ ref }) => ref));
    expect(more.every(({ ref }) => refs.has(ref))).toBe(true);
    expect(created.filter(({ ref }) => !refs.has(ref))).toHaveLength(6);
    await expect(rs.create({ app, id: "alice", ip, maxPerUser: 1000, overflow: "reject" })).rejects.toMatchObject({
      name: "tooManySessions",
    });
  });
});

describe("times", () => {
  test("of sessions with absolute, ttl 0 and maxAge are kept exactly", async () => {
    const rs = process(1);
    const created = [
      await rs.create({ app, id: "alice", ip, ttl: 100, absolute: 5000 }),
      await rs.create({ app, id: "alice", ip, no_resave: true, ttl: 4000 }),
      await rs.create({ app, id: "alice", ip, ttl: 86_400 * 300 }),
    ];
    const read = async () =>
      Promise.all(created.map(async ({ ref }) => (await t.db.keys(`rs:*:s:${ref}`)).map((key) => key)));
    const ends = async () =>
      Promise.all((await read()).flat().map((key) => t.db.call("PEXPIRETIME", key) as Promise<number>));
    const before = await ends();
    await reshard(rs, app, 4);
    const after = await ends();
    await reshard(rs, app, 1);
    const last = await ends();
    for (const [n, end] of before.entries()) {
      expect(Math.abs((after[n] as number) - end)).toBeLessThan(100);
      expect(Math.abs((last[n] as number) - end)).toBeLessThan(100);
    }
  });
});

describe("a RedisStore", () => {
  test("with anonymous sessions and odd ids, moved by its calls and by the command", async () => {
    const store = new RedisStore({ rs: process(1), app });
    const sids = ["a:b", "}:s:x", "%0A", "ü\n😀", "-", "x".repeat(200)];
    for (const sid of sids) await store.set(sid, { cookie: { originalMaxAge: 3_600_000 }, sid } as never);
    await move(4, 1);
    expect(await store.get("}:s:x")).toMatchObject({ sid: "}:s:x" });
    expect((await store.ids()).sort()).toEqual([...sids].sort());
    await reshard(process(1), app, 4);
    await reshard(process(1), app, 1);
    for (const sid of sids) expect(await store.get(sid)).toMatchObject({ sid });
    await store.clear();
    expect(await store.length()).toBe(0);
  });
});

describe("a Redis user with the documented rights", () => {
  test("makes every kind of call while the app moves", async () => {
    const page = readFileSync("docs/production.md", "utf8");
    const [, rights = ""] = /ACL SETUSER sessions on '>secret' ([^`]*)```/.exec(page) ?? [];
    const words = rights
      .replace(/[\\'\n]/g, " ")
      .split(" ")
      .filter(Boolean);
    await t.db.call("ACL", "SETUSER", "sessions", "on", ">secret", ...words);
    const rs = process(4, { client: t.redis.client({ username: "sessions", password: "secret" }) });
    const created = await Promise.all(
      Array.from({ length: 8 }, (_, n) => t.create({ id: `user${n}`, d: { text: "x".repeat(n === 0 ? 300_000 : 1) } })),
    );
    const old = await t.create({ id: "rotated" });
    await t.rs.rotate({ app, token: old.token, grace: 100 });
    await move(4, 1);
    expect(await rs.get({ app, token: old.token })).toMatchObject({ id: "rotated" });
    for (const { token } of created.slice(0, 2)) expect(await rs.set({ app, token, d: { n: 1 } })).not.toBeNull();
    expect((await rs.soid({ app, id: "user2" })).sessions).toHaveLength(1);
    expect(await rs.killsoid({ app, id: "user3" })).toEqual({ kill: 1 });
    expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(8);
    expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 8 });
    expect(await rs.killall({ app })).toEqual({ kill: 8 });
  });
});
