import type { Redis } from "ioredis";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { internalsOf } from "../../src/engine/internals.js";
import { RedisStore } from "../../src/express-session/index.js";
import { RedisSessions } from "../../src/index.js";
import { parseAnnouncement } from "../../src/sessions/announcement.js";
import { refOf } from "../../src/sessions/token.js";
import { useEngine } from "../support/engine.js";
import { everyMethod } from "../support/every-method.js";

const t = useEngine({ events: true });
const app = "webapp";
let listener: Redis;
const messages: string[] = [];

beforeAll(async () => {
  listener = t.redis.client();
  listener.on("message", (_channel, message) => messages.push(message));
  await listener.subscribe("rs:{webapp}:changes");
});

beforeEach(() => {
  messages.length = 0;
});

/** Returns the messages that were announced by now, each as its changes. */
async function announced() {
  // The answer comes after all messages that were published before.
  await listener.ping();
  return messages.splice(0).map((message) => parseAnnouncement(message).changes);
}

async function newSession(options = {}) {
  const created = await t.create(options);
  await announced();
  return created;
}

const which = (ref: string, id = "alice") => ({ ref, id });

describe("an engine with events", () => {
  test("announces a creation, with the time of Redis", async () => {
    const { ref } = await t.create();
    await listener.ping();
    const [seconds = ""] = await t.db.time();
    expect(parseAnnouncement(messages[0] ?? "")).toEqual({
      at: expect.any(Number),
      changes: [{ kind: "created", ...which(ref) }],
    });
    expect(Math.abs(parseAnnouncement(messages[0] ?? "").at / 1000 - Number(seconds))).toBeLessThan(2);
  });

  test.each([
    ["set", (token: string) => t.rs.set({ app, token, d: { cart: 1 } })],
    ["increment", (token: string) => t.rs.increment({ app, token, key: "n" })],
    ["setAll", () => t.rs.setAll({ app, id: "alice", d: { cart: 1 } })],
    ["touch with a ttl", (token: string) => t.rs.touch({ app, token, ttl: 60 })],
    ["confirm", (token: string) => t.rs.confirm({ app, token })],
    ["set of a large value", (token: string) => t.rs.set({ app, token, d: { text: "x".repeat(400_000) } })],
    ["set of many keys", (token: string) => t.rs.set({ app, token, d: Object.fromEntries(manyKeys) })],
  ])("announces a change by %s", async (_what, change) => {
    const { token, ref } = await newSession();
    await change(token);
    expect(await announced()).toEqual([[{ kind: "changed", ...which(ref) }]]);
  });

  test.each([
    ["get", (token: string) => t.rs.get({ app, token })],
    ["touch without a ttl", (token: string) => t.rs.touch({ app, token })],
    ["an increment that max refuses", (token: string) => t.rs.increment({ app, token, key: "n", max: 0 })],
    ["a list", () => t.rs.soid({ app, id: "alice" })],
    ["kill of a session that does not exist", () => t.rs.kill({ app, token: "x".repeat(64) })],
    ["set of a session that does not exist", () => t.rs.set({ app, token: "x".repeat(64), d: { a: 1 } })],
  ])("does not announce %s", async (_what, call) => {
    const { token } = await newSession();
    await call(token);
    expect(await announced()).toEqual([]);
  });

  test("announces a change of a large session once, also if room for flags must be made first", async () => {
    const { token, ref } = await newSession({ d: { text: "x".repeat(400_000) } });
    await t.rs.set({ app, token, d: { cart: 1 } });
    await t.rs.confirm({ app, token });
    expect(await announced()).toEqual([[{ kind: "changed", ...which(ref) }], [{ kind: "changed", ...which(ref) }]]);
  });

  test("announces a rotation with both refs, once if the call is repeated", async () => {
    const { token, ref } = await newSession();
    const rotated = await t.rs.rotate({ app, token, confirm: true });
    await t.rs.rotate({ app, token, confirm: true });
    expect(await announced()).toEqual([[{ kind: "rotated", ...which(ref), to: rotated?.ref }]]);
  });

  test("announces why a session ends: killed, replaced, limit", async () => {
    const first = await newSession();
    await t.rs.kill({ app, token: first.token });
    expect(await announced()).toEqual([[{ kind: "ended", ...which(first.ref), reason: "killed" }]]);

    const second = await newSession();
    const third = await t.create({ replaces: second.token });
    expect((await announced()).flat()).toEqual([
      { kind: "ended", ...which(second.ref), reason: "replaced" },
      { kind: "created", ...which(third.ref) },
    ]);

    const fourth = await t.create({ maxPerUser: 1 });
    expect((await announced()).flat()).toEqual([
      { kind: "ended", ...which(third.ref), reason: "limit" },
      { kind: "created", ...which(fourth.ref) },
    ]);
  });

  test("announces that a reused token has ended its session", async () => {
    const { token } = await newSession();
    const rotated = await t.rs.rotate({ app, token, grace: 0 });
    const newToken = `${rotated?.token}`;
    await t.rs.get({ app, token: newToken });
    await t.db.del(`rs:{webapp}:rotated:${refOf(token)}`, `rs:{webapp}:s:${refOf(token)}`);
    await announced();
    await t.rs.get({ app, token });
    expect(await announced()).toEqual([[{ kind: "ended", ...which(refOf(newToken)), reason: "reused" }]]);
  });

  test("announces a mass logout in one message for a hundred sessions", async () => {
    const created = await Promise.all(Array.from({ length: 250 }, () => t.create()));
    await announced();
    await t.rs.killsoid({ app, id: "alice" });
    const chunks = await announced();
    expect(chunks.map((chunk) => chunk.length).toSorted()).toEqual([100, 100, 50].toSorted());
    expect(
      chunks
        .flat()
        .map(({ ref }) => ref)
        .toSorted(),
    ).toEqual(created.map(({ ref }) => ref).toSorted());
  });

  test("announces an expired session when the wiper finds it, or a mass logout, and not twice", async () => {
    const wiped = await newSession();
    const met = await newSession({ id: "bob" });
    await t.db.del(`rs:{webapp}:s:${wiped.ref}`, `rs:{webapp}:s:${met.ref}`);
    await t.rs.killsoid({ app, id: "bob" });
    await t.db.zadd("rs:{webapp}:expiry", 0, `"alice"${wiped.ref}`);
    await t.rs.wipe();
    await t.rs.wipe();
    expect((await announced()).flat()).toEqual([
      { kind: "ended", ...which(met.ref, "bob"), reason: "expired" },
      { kind: "ended", ...which(wiped.ref), reason: "expired" },
    ]);
  });

  test("announces that a session has expired if someone ended it afterwards, and a mass logout finds its entry", async () => {
    const store = new RedisStore({ rs: t.rs, app });
    await store.set("sid", { cookie: { originalMaxAge: null }, userId: "alice" });
    const ref = store.ref("sid");
    await announced();
    await t.db.del(`rs:{webapp}:s:${ref}`);
    await store.destroy("sid");
    expect(await announced()).toEqual([]);
    await t.rs.killsoid({ app, id: "alice" });
    await t.rs.wipe();
    expect((await announced()).flat()).toEqual([{ kind: "ended", ...which(ref), reason: "expired" }]);
  });

  test("announces the calls of one run in one message", async () => {
    const created = await Promise.all([newSession(), newSession({ id: "bob" }), newSession({ id: '"\n' })]);
    await Promise.all(created.map(({ token }) => t.rs.set({ app, token, d: { n: 1 } })));
    await announced();
    await Promise.all(created.map(({ token }) => t.rs.set({ app, token, d: { n: 2 } })));
    const changes = await announced();
    expect(changes.length).toBeLessThan(3);
    expect(changes.flat()).toEqual(
      created.map(({ ref }, i) => ({ kind: "changed", ...which(ref, ["alice", "bob", '"\n'][i]) })),
    );
  });

  test("works with every method, also after SCRIPT FLUSH", async () => {
    await t.db.script("FLUSH");
    await everyMethod(t.rs);
    expect(messages.length).toBeGreaterThan(10);
    // Neither data, addresses and devices nor tokens, which have 64 characters.
    expect(messages.join("\n")).not.toMatch(/cart|paid|127\.0\.0|Firefox|[A-Za-z0-9]{64}/);
  });

  test("appends the events to a stream if it has one, of about the given length", async () => {
    const rs = new RedisSessions({ client: t.db, wipe: 0, events: { stream: 100 } });
    const { ref, token } = await rs.create({ app, id: "alice", ip: "::1" });
    const rotated = await rs.rotate({ app, token });
    await rs.killall({ app });
    const entries = await t.db.xrange("rs:{webapp}:events", "-", "+");
    expect(entries.map(([, fields]) => fields)).toEqual([
      ["kind", "created", "ref", ref, "id", '"alice"', "detail", ""],
      ["kind", "rotated", "ref", ref, "id", '"alice"', "detail", rotated?.ref],
      ["kind", "ended", "ref", rotated?.ref, "id", '"alice"', "detail", "killed"],
    ]);
    for (let i = 0; i < 5; i++)
      await Promise.all(Array.from({ length: 100 }, () => rs.create({ app, id: "a", ip: "::1" })));
    expect(await t.db.pttl("rs:{webapp}:events")).toBeGreaterThan(29 * 86_400_000);
    // Redis trims whole nodes of a hundred entries.
    expect(await t.db.xlen("rs:{webapp}:events")).toBeLessThan(220);
  });
});

const manyKeys = Array.from({ length: 700 }, (_, i) => [`k${i}`, i] as const);

describe("a RedisStore with events", () => {
  const cookie = { originalMaxAge: 60_000 };

  test("announces saves, and no touch that changes nothing", async () => {
    const store = new RedisStore({ rs: t.rs, app });
    await store.set("sid", { cookie, cart: 1 } as never);
    expect(await announced()).toEqual([[{ kind: "created", ref: "~sid", id: "" }]]);
    const session = await store.get("sid");
    await store.touch("sid", session as never);
    expect(await announced()).toEqual([]);
    await store.set("sid", Object.assign(session as object, { cart: 2 }) as never);
    await store.set("sid", { cookie, userId: "alice" } as never);
    await store.destroy("sid");
    expect(await announced()).toEqual([
      [{ kind: "changed", ref: "~sid", id: "" }],
      [{ kind: "changed", ref: "~sid", id: "alice" }],
      [{ kind: "ended", ref: "~sid", id: "alice", reason: "killed" }],
    ]);
  });

  test("announces that a sign-in has ended the oldest session", async () => {
    const store = new RedisStore({ rs: t.rs, app, maxPerUser: 1 });
    for (const sid of ["one", "two"]) await store.set(sid, { cookie, userId: "alice" } as never);
    expect((await announced()).flat()).toEqual([
      { kind: "created", ref: "~one", id: "alice" },
      { kind: "ended", ref: "~one", id: "alice", reason: "limit" },
      { kind: "created", ref: "~two", id: "alice" },
    ]);
  });

  test("announces that a session which is saved again had expired before", async () => {
    const store = new RedisStore({ rs: t.rs, app });
    await store.set("sid", { cookie } as never);
    await t.db.del("rs:{webapp}:s:~sid");
    await store.set("sid", { cookie } as never);
    expect((await announced()).flat().map(({ kind }) => kind)).toEqual(["created", "ended", "created"]);
  });
});

describe("an engine without events", () => {
  test("publishes nothing, in whatever script", async () => {
    const monitor = await t.redis.client().monitor();
    const commands: string[] = [];
    monitor.on("monitor", (_time: string, [command = ""]: string[]) => commands.push(command.toUpperCase()));
    const publications = async (rs: RedisSessions) => {
      commands.length = 0;
      await everyMethod(rs);
      await t.db.echo("end");
      await expect.poll(() => commands).toContain("ECHO");
      return commands.filter((command) => /PUBLISH|^X/.test(command)).length;
    };
    expect(await publications(new RedisSessions({ client: t.db, wipe: 0 }))).toBe(0);
    expect(await publications(t.rs)).toBeGreaterThan(10);
    monitor.disconnect();
  });
});

test("an engine whose client has a key prefix hears its own announcements only", async () => {
  const prefixed = new RedisSessions({ client: t.redis.client({ keyPrefix: "my:" }), wipe: 0, events: true });
  const refs: string[] = [];
  prefixed.on("created", ({ ref }) => refs.push(ref));
  const { ref } = await prefixed.create({ app, id: "alice", ip: "::1" });
  await t.create();
  const last = await prefixed.create({ app, id: "alice", ip: "::1" });
  await expect.poll(() => refs).toEqual([ref, last.ref]);
  await prefixed.quit();
});

test("the changes of an app are heard through the engine's subscriber", async () => {
  const { connection } = internalsOf(t.rs);
  const heard: string[] = [];
  let established = 0;
  const subscription = connection.subscriber.subscribe("rs:{webapp}:changes", {
    onMessage: (message) => heard.push(message),
    onEstablished: () => established++,
  });
  await expect.poll(() => subscription.epoch).toBeGreaterThan(0);
  await t.create();
  await expect.poll(() => heard.length).toBe(1);
  expect(established).toBe(1);
  await t.rs.quit();
  expect(subscription.epoch).toBe(0);
});
