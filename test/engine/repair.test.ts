import type { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type Created, RedisSessions } from "../../src/index.js";
import { readStored } from "../support/index-check.js";
import { startRedis, type TestRedis } from "../support/redis.js";
import { editFields } from "../support/session-text.js";

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

/** Sets the last use to a minute ago, so that the next use writes all index entries. */
async function rest(...refs: string[]): Promise<void> {
  await Promise.all(refs.map((ref) => editFields(plain, key(`s:${ref}`), { la: { add: -60_000 } })));
}

/** Makes the wiper look at every session in its queue. */
async function makeDue(): Promise<void> {
  for (const entry of await plain.zrange(key("expiry"), "0", "-1")) await plain.zadd(key("expiry"), 1, entry);
}

async function twoSessions() {
  const first = await rs.create({ app, id: "alice", ip });
  const second = await rs.create({ app, id: "bob", ip, no_resave: true });
  return { first, second, refs: [first.ref, second.ref] };
}

const indexes = ["active", "users", "expiry", "user-sessions"];

describe.each(indexes)("when %s is lost", (name) => {
  test("using the sessions writes it again", async () => {
    const { first, second, refs } = await twoSessions();
    await plain.del(key(name));
    await rest(...refs);
    await rs.get({ app, token: first.token });
    await rs.set({ app, token: second.token, d: { a: 1 } });
    expect(await readStored(plain, app)).toMatchObject({ problems: [], entries: 8 });
  });

  test("the next use restores a single entry", async () => {
    const { first } = await twoSessions();
    if (name === "user-sessions") await plain.hdel(key(name), '"alice"');
    else await plain.zrem(key(name), first.ref, '"alice"', `"alice"${first.ref}`);
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

  test("killsoid and killall return", async () => {
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

test("the next use restores a ref that is missing in the field of its user", async () => {
  const { first } = await twoSessions();
  const other = await rs.create({ app, id: "alice", ip });
  await plain.hset(key("user-sessions"), '"alice"', `\n${other.ref}\n`);
  expect((await readStored(plain, app)).problems).toEqual([`user-sessions lacks "alice"${first.ref}`]);
  await rest(first.ref);
  await rs.get({ app, token: first.token });
  expect(await plain.hget(key("user-sessions"), '"alice"')).toBe(`\n${other.ref}\n${first.ref}\n`);
  expect((await readStored(plain, app)).problems).toEqual([]);
});

// The wiper's own queue is not among them: a session that it lost comes back with its next use.
test.each(["active", "users", "user-sessions"])("the wiper writes %s again for unused sessions", async (name) => {
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

test("drops entries that never had a session, without delay", async () => {
  const { first } = await twoSessions();
  const stray = Array.from({ length: 150 }, (_, i) => `stray${i}`.padEnd(27, "x"));
  // Half of them in her field, and half in the overflow.
  async function ownStray(): Promise<void> {
    await plain.hset(key("user-sessions"), '"alice"', `+\n${[first.ref, ...stray.slice(0, 75)].join("\n")}\n`);
    await plain.zadd(key("user-sessions-overflow"), ...stray.slice(75).flatMap((ref) => [0, `"alice"${ref}`]));
  }
  await ownStray();
  await plain.zadd(key("expiry"), ...stray.flatMap((ref) => [1, `"alice"${ref}`]));
  await plain.zadd(key("expiry"), 2, "", 3, '"', 4, "no quotation marks");

  expect((await rs.soid({ app, id: "alice" })).sessions.map(({ ref }) => ref)).toEqual([first.ref]);
  await ownStray();
  expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  await plain.zadd(key("active"), ...stray.flatMap((ref) => [Date.now(), ref]));
  expect((await rs.soapp({ app, dt: 60 })).sessions).toHaveLength(1);
  expect(await rs.killall({ app })).toEqual({ kill: 1 });
  expect(await readStored(plain, app)).toMatchObject({ sessions: [], entries: 0 });
});

test("killsoid does not end a session that is listed under the wrong user", async () => {
  const { first, second } = await twoSessions();
  await plain.hset(key("user-sessions"), '"alice"', `\n${first.ref}\n${second.ref}\n`);
  expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill: 1 });
  expect((await rs.get({ app, token: second.token }))?.id).toBe("bob");
});

describe("a user with more sessions than one field holds", () => {
  const COUNT = 200;
  let created: Created[];
  let bob: Created;

  beforeEach(async () => {
    created = await Promise.all(Array.from({ length: COUNT }, () => rs.create({ app, id: "alice", ip })));
    bob = await rs.create({ app, id: "bob", ip });
  });

  const refsOf = (sessions: readonly { ref: string }[]) => sessions.map(({ ref }) => ref).sort();
  const overflowing = async () =>
    (await plain.zrange(key("user-sessions-overflow"), "0", "-1")).map((entry) => entry.slice('"alice"'.length));
  const listed = async () => `${await plain.hget(key("user-sessions"), '"alice"')}`.split("\n").slice(1, -1);

  async function expectAll(): Promise<void> {
    const { sessions } = await rs.soid({ app, id: "alice" });
    expect(sessions).toHaveLength(created.length);
    expect(refsOf(sessions)).toEqual(refsOf(created));
    expect((await readStored(plain, app)).problems).toEqual([]);
  }

  async function useAll(): Promise<void> {
    await rest(...refsOf([...created, bob]));
    // Newest first: the overflow before the field.
    for (const { token } of [bob, ...created.toReversed()]) expect(await rs.get({ app, token })).not.toBeNull();
  }

  /** Ends everything by the user's name and by the app's. */
  async function expectNothingLeft(kill: number): Promise<void> {
    expect(await rs.killsoid({ app, id: "alice" })).toEqual({ kill });
    expect(await rs.soid({ app, id: "alice" })).toEqual({ sessions: [] });
    expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 1 });
    expect(await rs.killall({ app })).toEqual({ kill: 1 });
    // The records of rotated tokens expire on their own.
    const left = (await plain.keys(key("*"))).filter((name) => !/:(family|rotated):/.test(name));
    expect(left).toEqual([]);
  }

  test("has all of them listed, counted as one user, and ended, and nothing is left", async () => {
    expect((await overflowing()).length).toBeGreaterThan(0);
    expect((await listed()).length).toBeGreaterThan(100);
    await expectAll();
    expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 2 });
    await expectNothingLeft(COUNT);
  });

  test.each([
    ["her field", listed],
    ["the overflow", overflowing],
  ])("killsoid keeps the excepted session, which is in %s", async (_where, refs) => {
    const there = await refs();
    const spared = created.find(({ ref }) => there.includes(ref)) as Created;
    expect(await rs.killsoid({ app, id: "alice", except: spared.token })).toEqual({ kill: COUNT - 1 });
    expect(refsOf((await rs.soid({ app, id: "alice" })).sessions)).toEqual([spared.ref]);
    expect(await rs.activity({ app, dt: 60 })).toEqual({ activity: 2 });
    expect((await readStored(plain, app)).problems).toEqual([]);
    await expectNothingLeft(1);
  });

  test.each(["kill", "rotate"] as const)("%s of each, one by one, leaves nothing behind", async (how) => {
    for (const { token, ref } of created) {
      const at = how === "kill" ? token : (await rs.rotate({ app, token, grace: 0 }))?.token;
      expect(await rs.kill({ app, token: `${at}` })).toEqual({ kill: 1 });
      // A rotated one is marked for a while.
      expect(await plain.del(key(`s:${ref}`))).toBe(how === "kill" ? 0 : 1);
    }
    expect((await readStored(plain, app)).problems).toEqual([]);
    await expectNothingLeft(0);
  });

  test("using the sessions does not move them", async () => {
    const before = [await listed(), await overflowing()];
    await useAll();
    expect([await listed(), await overflowing()]).toEqual(before);
    await expectAll();
  });

  test("a session of the overflow is listed once, also when it is used after her field has room again", async () => {
    for (const ref of (await listed()).slice(0, 60)) {
      await rs.kill({ app, ref });
      created = created.filter((one) => one.ref !== ref);
    }
    await useAll();
    await expectAll();
    await expectNothingLeft(COUNT - 60);
  });

  test.each(["user-sessions", "user-sessions-overflow"])(
    "when %s is lost, using the sessions writes it again",
    async (name) => {
      await plain.del(key(name));
      expect((await readStored(plain, app)).problems).not.toEqual([]);
      await useAll();
      await expectAll();
    },
  );

  test("the next use restores an entry that is missing in the overflow", async () => {
    const [lost] = await overflowing();
    await plain.zrem(key("user-sessions-overflow"), `"alice"${lost}`);
    expect((await readStored(plain, app)).problems).toEqual([`user-sessions lacks "alice"${lost}`]);
    await useAll();
    await expectAll();
    await expectNothingLeft(COUNT);
  });

  test("her field alone comes back when it was lost, and what is in the overflow does, too", async () => {
    await plain.hdel(key("user-sessions"), '"alice"');
    await useAll();
    await expectAll();
    await expectNothingLeft(COUNT);
  });

  test.each(["user-sessions", "user-sessions-overflow"])(
    "the wiper writes %s again for unused sessions",
    async (name) => {
      await plain.del(key(name));
      await makeDue();
      expect(await rs.wipe()).toEqual({ wiped: 0 });
      await expectAll();
      await expectNothingLeft(COUNT);
    },
  );

  test.each(["kill", "wipe", "soid"])("what meets sessions that were lost drops their entries (%s)", async (how) => {
    const gone = [...(await listed()).slice(0, 140), ...(await overflowing()).slice(0, 40)];
    await plain.del(gone.map((ref) => key(`s:${ref}`)));
    created = created.filter(({ ref }) => !gone.includes(ref));
    if (how === "wipe") {
      await makeDue();
      expect(await rs.wipe()).toEqual({ wiped: gone.length });
    }
    if (how !== "kill") await expectAll();
    await expectNothingLeft(created.length);
  });
});

test("killsoid ends at once when the excepted session was rotated and has ended since", async () => {
  const { first } = await twoSessions();
  await rs.create({ app, id: "alice", ip });
  const rotated = await rs.rotate({ app, token: first.token, grace: 60 });
  await rs.kill({ app, ref: rotated?.ref as string });
  const commands = await redis.watch(async () => {
    expect(await rs.killsoid({ app, id: "alice", except: first.token })).toEqual({ kill: 1 });
  });
  expect(commands.length).toBeLessThan(12);
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

test("what a server with a clock that is ahead repairs, the wiper looks at all the same", async () => {
  const { token, ref } = await rs.create({ app, id: "alice", ip });
  await plain.del(...indexes.map(key));
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 3 * 3_600_000);
  await rs.get({ app, token });
  vi.restoreAllMocks();
  await plain.pexpire(key(`s:${ref}`), 0);
  expect(await rs.wipe()).toEqual({ wiped: 1 });
  expect(await readStored(plain, app)).toMatchObject({ problems: [], entries: 0 });
});
