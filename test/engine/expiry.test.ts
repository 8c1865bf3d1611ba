import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { RedisSessions } from "../../src/index.js";
import { readStored } from "../support/index-check.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { editFields, readFields } from "../support/session-text.js";

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

afterEach(() => vi.restoreAllMocks());

afterAll(() => redis.stop());

const key = (name: string) => `rs:{${app}}:${name}`;
const sessionKey = (ref: string) => key(`s:${ref}`);

/** Sets the last use to two seconds ago, so that the next use prolongs the session. */
const rest = (ref: string) => editFields(plain, sessionKey(ref), { la: { add: -2000 } });

/** Returns the time by Redis's clock, in ms. */
async function redisTime(): Promise<number> {
  return milliseconds((await plain.time()) as unknown as [string, string]);
}

function milliseconds([seconds, micros]: [string, string]): number {
  return Number(seconds) * 1000 + Number(micros) / 1000;
}

/** When a session ends by Redis's own clock, ms. (PEXPIRETIME would tell, but Redis 6 does not have it.) */
async function endOf(ref: string): Promise<number> {
  const [[, time], [, left]] = (await plain.multi().time().pttl(sessionKey(ref)).exec()) as [
    [null, [string, string]],
    [null, number],
  ];
  return milliseconds(time) + left;
}

/** The API's shortest ttl is 10 s; this makes 0.4 s of it. Returns when the session ends by Redis's clock. */
async function shorten(ref: string, ttl = 0.4): Promise<number> {
  await editFields(plain, sessionKey(ref), { ttl });
  await plain.pexpire(sessionKey(ref), ttl * 1000);
  return endOf(ref);
}

async function expire(...refs: string[]): Promise<void> {
  await Promise.all(refs.map((ref) => plain.pexpire(sessionKey(ref), 1)));
  while ((await plain.exists(refs.map(sessionKey))) > 0) await sleep(1);
}

/** Uses the session until it is gone, and checks that it was there until `end` and no longer. */
async function useUntilGone(end: number, use: () => Promise<unknown>): Promise<void> {
  for (;;) {
    const before = await redisTime();
    const found = await use();
    const after = await redisTime();
    // Redis keeps time in whole milliseconds.
    if (found === null) return expect(after).toBeGreaterThanOrEqual(end - 3);
    expect(before).toBeLessThan(end + 3);
    await sleep(5);
  }
}

test("a session ends exactly ttl after its last use, or after its creation if it is no_resave", async () => {
  const used = await rs.create({ app, id: "alice", ip, ttl: 10 });
  const rested = await rs.create({ app, id: "alice", ip, ttl: 10 });
  const fixed = await rs.create({ app, id: "alice", ip, ttl: 10, no_resave: true });
  const born = await redisTime();
  await sleep(3000);
  expect(await rs.get({ app, token: used.token })).not.toBeNull();
  expect(await rs.get({ app, token: fixed.token })).not.toBeNull();
  expect(await rs.get({ app, token: rested.token, touch: false })).not.toBeNull();
  await sleep(born + 10_010 - (await redisTime()));
  const refs = (await rs.soid({ app, id: "alice" })).sessions.map(({ ref }) => ref);
  expect(refs).toEqual([used.ref]);
});

test.each([
  ["get", (token: string) => rs.get({ app, token })],
  ["set", (token: string) => rs.set({ app, token, d: { a: 1 } })],
])("a no_resave session ends on time in spite of use (%s)", async (_name, use) => {
  const { token, ref } = await rs.create({ app, id: "alice", ip, no_resave: true });
  const end = await shorten(ref);
  await useUntilGone(end, async () => {
    // Each use would prolong it.
    await rest(ref);
    return use(token);
  });
});

test("reading with touch: false does not prolong a session", async () => {
  const { token, ref } = await rs.create({ app, id: "alice", ip });
  await rest(ref);
  const end = await shorten(ref);
  const index = await plain.zrange(key("active"), "0", "-1", "WITHSCORES");
  await useUntilGone(end, () => rs.get({ app, token, touch: false }));
  expect(await plain.zrange(key("active"), "0", "-1", "WITHSCORES")).toEqual(index);
});

test("listing sessions does not prolong them", async () => {
  const { ref } = await rs.create({ app, id: "alice", ip });
  await rest(ref);
  const end = await shorten(ref);
  await rs.soapp({ app, dt: 60 });
  await useUntilGone(end, async () => (await rs.soid({ app, id: "alice" })).sessions[0] ?? null);
});

describe.each([
  ["reading", (token: string) => rs.get({ app, token })],
  ["writing", (token: string) => rs.set({ app, token, d: { a: 1 } })],
])("%s", (_name, use) => {
  test("prolongs a session to its whole ttl", async () => {
    const { token, ref } = await rs.create({ app, id: "alice", ip, ttl: 100 });
    await plain.pexpire(sessionKey(ref), 50_000);
    await rest(ref);
    await use(token);
    expect(await plain.pttl(sessionKey(ref))).toBeGreaterThan(90_000);
    expect(await plain.pttl(sessionKey(ref))).toBeLessThanOrEqual(100_000);
  });

  test("prolongs at most once a second", async () => {
    const { token, ref } = await rs.create({ app, id: "alice", ip, ttl: 100 });
    await rest(ref);
    await use(token);
    const { la } = await readFields(plain, sessionKey(ref));
    // Back to the clock's pace: however slow this machine is, the next use comes within the second.
    vi.spyOn(Date, "now").mockReturnValue(Number(la) + 999);
    await plain.pexpire(sessionKey(ref), 50_000);
    await use(token);
    expect((await readFields(plain, sessionKey(ref))).la).toBe(la);
    expect(await plain.pttl(sessionKey(ref))).toBeLessThanOrEqual(50_000);
    vi.spyOn(Date, "now").mockReturnValue(Number(la) + 1000);
    await use(token);
    expect((await readFields(plain, sessionKey(ref))).la).toBe(`${Number(la) + 1000}`);
    expect(await plain.pttl(sessionKey(ref))).toBeGreaterThan(90_000);
  });
});

test("an expired session is in no result, even before the wiper runs", async () => {
  const { token, ref } = await rs.create({ app, id: "alice", ip });
  const other = await rs.create({ app, id: "bob", ip });
  await expire(ref);
  expect(await rs.get({ app, token })).toBeNull();
  expect(await rs.set({ app, token, d: { a: 1 } })).toBeNull();
  expect(await rs.rotate({ app, token })).toBeNull();
  expect(await rs.kill({ app, token })).toEqual({ kill: 0 });
  expect((await rs.soapp({ app, dt: 60 })).sessions.map((session) => session.ref)).toEqual([other.ref]);
  expect(await rs.soid({ app, id: "alice" })).toEqual({ sessions: [] });
  expect(await readStored(plain, app)).toMatchObject({ sessions: [other.ref], problems: [] });
});

test("killsoid and killall do not count expired sessions and drop their entries", async () => {
  const created = await Promise.all(["alice", "alice", "bob", "bob"].map((id) => rs.create({ app, id, ip })));
  const [first, , third] = created.map(({ ref }) => ref) as [string, string, string];
  await expire(first, third);
  expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  expect(await rs.killall({ app })).toEqual({ kill: 1 });
  expect((await readStored(plain, app)).entries).toBe(0);
});

test("the wiper drops expired sessions, updates the scores of living ones, and skips the others", async () => {
  // It also drops what earlier tests left.
  await rs.wipe();
  const expired = await rs.create({ app, id: "alice", ip });
  const prolonged = await rs.create({ app, id: "bob", ip, ttl: 100 });
  const resting = await rs.create({ app, id: "carol", ip, ttl: 100 });
  await expire(expired.ref);
  await plain.zadd(key("expiry"), 1, `"alice"${expired.ref}`, 2, `"bob"${prolonged.ref}`);
  const before = await plain.zscore(key("expiry"), `"carol"${resting.ref}`);

  expect(await rs.wipe()).toEqual({ wiped: 1 });
  expect(await rs.wipe()).toEqual({ wiped: 0 });
  expect(await readStored(plain, app)).toMatchObject({ problems: [], entries: 8 });
  expect(await plain.zscore(key("expiry"), `"carol"${resting.ref}`)).toBe(before);
  const due = Number(await plain.zscore(key("expiry"), `"bob"${prolonged.ref}`));
  expect(Math.abs(due - (await endOf(prolonged.ref)))).toBeLessThan(10);
});

test("the expiry zset is written at creation, not by reads and writes", async () => {
  const { token, ref } = await rs.create({ app, id: "alice", ip, ttl: 100 });
  const due = await plain.zscore(key("expiry"), `"alice"${ref}`);
  expect(Math.abs(Number(due) - (await endOf(ref)))).toBeLessThan(10);
  await rest(ref);
  await rs.get({ app, token });
  await rest(ref);
  await rs.set({ app, token, d: { a: 1 } });
  expect(await plain.zscore(key("expiry"), `"alice"${ref}`)).toBe(due);
});

test.each([-1, 1])("sessions end on time when the clock of the app server is %i h off", async (hours) => {
  const now = Date.now.bind(Date);
  vi.spyOn(Date, "now").mockImplementation(() => now() + hours * 3_600_000);
  const used = await rs.create({ app, id: "alice", ip, ttl: 600 });
  const expired = await rs.create({ app, id: "alice", ip, ttl: 600 });
  for (const { ref } of [used, expired]) {
    expect(Math.abs((await plain.pttl(sessionKey(ref))) - 600_000)).toBeLessThan(5000);
    const due = Number(await plain.zscore(key("expiry"), `"alice"${ref}`));
    expect(Math.abs(due - (await endOf(ref)))).toBeLessThan(5000);
  }
  await rest(used.ref);
  await plain.pexpire(sessionKey(used.ref), 100_000);
  await rs.get({ app, token: used.token });
  expect(Math.abs((await plain.pttl(sessionKey(used.ref))) - 600_000)).toBeLessThan(5000);

  expect(await rs.wipe()).toEqual({ wiped: 0 });
  expect((await rs.soid({ app, id: "alice" })).sessions).toHaveLength(2);
  await useUntilGone(await shorten(expired.ref), () => rs.get({ app, ref: expired.ref, touch: false }));
  await plain.zadd(key("expiry"), Math.floor(await redisTime()), `"alice"${expired.ref}`);
  expect(await rs.wipe()).toEqual({ wiped: 1 });
  expect((await readStored(plain, app)).problems).toEqual([]);
});
