import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { readStored } from "../support/index-check.js";
import { startRedis, type TestRedis } from "../support/redis.js";

const ip = "127.0.0.1";

let redis: TestRedis;
let plain: Redis;
let rs: RedisSessions;
let app: string;
let tests = 0;

beforeAll(async () => {
  redis = await startRedis();
  plain = redis.client();
  rs = new RedisSessions({ client: redis.client(), wipe: 0 });
});

beforeEach(() => {
  app = `app${++tests}`;
});

afterAll(() => redis.stop());

const key = (name: string) => `rs:{${app}}:${name}`;

/** As if the session had last been used two seconds ago: the next use prolongs it. */
async function rest(...refs: string[]): Promise<void> {
  await Promise.all(refs.map((ref) => plain.hincrby(key(`s:${ref}`), "la", -2000)));
}

/** Makes the wiper look at every session that stands in its queue. */
async function makeDue(): Promise<void> {
  for (const entry of await plain.zrange(key("expiry"), "0", "-1")) await plain.zadd(key("expiry"), 1, entry);
}

async function twoSessions() {
  const first = await rs.create({ app, id: "alice", ip });
  const second = await rs.create({ app, id: "bob", ip, no_resave: true });
  return { first, second, refs: [first.ref, second.ref] };
}

const indexes = ["active", "users", "expiry", "owners"];

describe.each(indexes)("when %s is lost", (name) => {
  test("using the sessions writes it anew", async () => {
    const { first, second, refs } = await twoSessions();
    await plain.del(key(name));
    await rest(...refs);
    await rs.get({ app, token: first.token });
    await rs.set({ app, token: second.token, d: { a: 1 } });
    expect(await readStored(plain, app)).toMatchObject({ problems: [], entries: 8 });
  });

  test("a single entry of it comes back with the next use", async () => {
    const { first } = await twoSessions();
    await plain.zrem(key(name), first.ref, '"alice"', `"alice"${first.ref}`);
    expect((await readStored(plain, app)).problems).toHaveLength(1);
    await rest(first.ref);
    await rs.get({ app, token: first.token });
    expect((await readStored(plain, app)).problems).toEqual([]);
  });

  test("a session can be rotated and killed", async () => {
    const { first, second } = await twoSessions();
    await plain.del(key(name));
    const rotated = await rs.rotate({ app, token: first.token });
    expect(await rs.kill({ app, token: rotated?.token as string })).toEqual({ kill: 1 });
    expect(await rs.kill({ app, token: second.token })).toEqual({ kill: 1 });
    expect(await readStored(plain, app)).toMatchObject({ sessions: [], entries: 0 });
  });

  test("killsoid and killall come to an end", async () => {
    const { refs } = await twoSessions();
    await plain.del(key(name));
    await rs.killsoid({ app, id: "alice" });
    await rs.killall({ app });
    await rest(...(await readStored(plain, app)).sessions);
    for (const ref of refs) await rs.get({ app, ref });
    await rs.killall({ app });
    expect(await readStored(plain, app)).toMatchObject({ sessions: [], entries: 0 });
  });
});

// The wiper's own queue is not among them: a session that it lost comes back with its next use.
test.each(["active", "users", "owners"])("the wiper writes %s anew for sessions that nobody uses", async (name) => {
  await twoSessions();
  await plain.del(key(name));
  await makeDue();
  expect(await rs.wipe()).toEqual({ wiped: 0 });
  expect((await readStored(plain, app)).problems).toEqual([]);
});

describe("when a session is lost (evicted)", () => {
  test("no result shows it, and what meets its entries drops them", async () => {
    const { first, second } = await twoSessions();
    const lost = await rs.create({ app, id: "alice", ip });
    await plain.del(key(`s:${lost.ref}`));

    expect(await rs.get({ app, token: lost.token })).toBeNull();
    expect(await rs.set({ app, token: lost.token, d: { a: 1 } })).toBeNull();
    expect(await rs.rotate({ app, token: lost.token })).toBeNull();
    expect(await rs.kill({ app, token: lost.token })).toEqual({ kill: 0 });
    const shown = (await rs.soapp({ app, dt: 60 })).sessions.map(({ ref }) => ref);
    expect(shown.sort()).toEqual([first.ref, second.ref].sort());
    expect(await plain.zscore(key("active"), lost.ref)).toBeNull();
    expect((await rs.soid({ app, id: "alice" })).sessions.map(({ ref }) => ref)).toEqual([first.ref]);
    expect((await readStored(plain, app)).problems).toEqual([]);
  });

  test("soid drops the user with the last session", async () => {
    const { first } = await twoSessions();
    await plain.del(key(`s:${first.ref}`));
    expect(await rs.soid({ app, id: "alice" })).toEqual({ sessions: [] });
    expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
    expect((await readStored(plain, app)).problems).toEqual([]);
  });

  test("the wiper drops its entries and counts it", async () => {
    const { first } = await twoSessions();
    await plain.del(key(`s:${first.ref}`));
    await makeDue();
    expect(await rs.wipe()).toEqual({ wiped: 1 });
    expect((await readStored(plain, app)).problems).toEqual([]);
  });

  test("killsoid and killall drop its entries and do not count it", async () => {
    const made = await Promise.all(Array.from({ length: 250 }, () => rs.create({ app, id: "alice", ip })));
    await plain.del(made.slice(0, 120).map(({ ref }) => key(`s:${ref}`)));
    expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 130 });
    expect((await readStored(plain, app)).entries).toBe(0);

    const { first } = await twoSessions();
    await plain.del(key(`s:${first.ref}`));
    expect(await rs.killall({ app })).toEqual({ kill: 1 });
    expect((await readStored(plain, app)).entries).toBe(0);
  });
});

test("entries that no session ever had are dropped and keep nobody waiting", async () => {
  const { first } = await twoSessions();
  const stray = Array.from({ length: 150 }, (_, i) => `stray${i}`.padEnd(27, "x"));
  await plain.zadd(key("owners"), ...stray.flatMap((ref) => [0, `"alice"${ref}`]));
  await plain.zadd(key("expiry"), ...stray.flatMap((ref) => [1, `"alice"${ref}`]));
  await plain.zadd(key("expiry"), 2, "", 3, '"', 4, "no quotation marks");

  expect((await rs.soid({ app, id: "alice" })).sessions.map(({ ref }) => ref)).toEqual([first.ref]);
  await plain.zadd(key("owners"), ...stray.flatMap((ref) => [0, `"alice"${ref}`]));
  expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  await plain.zadd(key("active"), ...stray.flatMap((ref) => [Date.now(), ref]));
  expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(1);
  expect(await rs.killall({ app })).toEqual({ kill: 1 });
  expect(await readStored(plain, app)).toMatchObject({ sessions: [], entries: 0 });
});

test("killsoid does not end a session that stands under the wrong user", async () => {
  const { second } = await twoSessions();
  await plain.zadd(key("owners"), 0, `"alice"${second.ref}`);
  expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  expect((await rs.get({ app, token: second.token }))?.id).toBe("bob");
});

test("killsoid ends at once when the excepted session was rotated and has ended since", async () => {
  const { first } = await twoSessions();
  await rs.create({ app, id: "alice", ip });
  const rotated = await rs.rotate({ app, token: first.token, grace: 60 });
  await rs.kill({ app, ref: rotated?.ref as string });
  const commands = await redis.watch(async () => {
    expect(await rs.killsoid({ app, id: "alice", except: first.token })).toEqual({ kill: 1 });
  });
  expect(commands.length).toBeLessThan(10);
});

test("an app that was lost from rs:apps is wiped again a minute after", async () => {
  await twoSessions();
  await plain.del("rs:apps");
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + 61_000);
  try {
    const { ref } = await rs.create({ app, id: "alice", ip });
    await plain.del(key(`s:${ref}`));
    await makeDue();
    expect(await rs.wipe()).toEqual({ wiped: 1 });
  } finally {
    clock.mockRestore();
  }
});
