import { beforeEach, describe, expect, test } from "vitest";
import { type Created, RedisSessions } from "../../src/index.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";
import { editFields } from "../support/session-text.js";
import { endGrace, longAfter } from "./support/time-passes.js";

const t = useEngine();
const app = "webapp";
const key = (ref: string) => `rs:{webapp}:s:${ref}`;

async function rotate({ token }: Created, options: { grace?: number } = {}): Promise<Created> {
  return (await t.rs.rotate({ app, token, ...options })) as Created;
}

const use = ({ token }: Created) => t.rs.get({ app, token });

/** Expects that a session has ended because a token was reused, and that nothing is left of it in the index. */
async function expectEnded(current: Created): Promise<void> {
  expect(await t.db.get(key(current.ref))).toBe("> reused");
  expect(await use(current)).toBeNull();
  expect((await readStored(t.db, app)).entries).toBe(0);
}

describe("a rotated token that is used long after its grace", () => {
  let old: Created;
  let current: Created;

  beforeEach(async () => {
    old = await t.create();
    current = await rotate(old);
    await use(current);
    await longAfter(t.db, old.ref);
  });

  test.each([
    ["get", () => t.rs.get({ app, token: old.token })],
    ["get without touch", () => t.rs.get({ app, token: old.token, touch: false })],
    ["get with a fixed field", () => t.rs.get({ app, token: old.token, id: "alice" } as never)],
    ["set", () => t.rs.set({ app, token: old.token, d: { a: 1 } })],
    ["rotate", () => t.rs.rotate({ app, token: old.token })],
    ["rotate with confirm", () => t.rs.rotate({ app, token: old.token, confirm: true })],
  ])("ends the session with %s, which returns null", async (_method, call) => {
    expect(await call()).toBeNull();
    await expectEnded(current);
  });

  test("ends the session however often it was rotated since, and leaves the user's other sessions", async () => {
    const other = await t.create();
    const refs: string[] = [];
    for (let i = 0; i < 150; i++) {
      refs.push(current.ref);
      current = await rotate(current);
    }
    await use(current);
    await longAfter(t.db, ...refs);
    expect(await use(old)).toBeNull();
    expect(await t.db.get(key(current.ref))).toBe("> reused");
    expect((await t.rs.soid({ app, id: "alice" })).sessions).toMatchObject([{ ref: other.ref }]);
  });

  test("ends a session whose newest token was never used, if a later one was", async () => {
    const unused = await rotate(current);
    expect(await use(old)).toBeNull();
    await expectEnded(unused);
  });

  test("ends the thief's session, if the thief has rotated the token first", async () => {
    const stolen = current;
    const thief = await rotate(stolen, { grace: 0 });
    await t.rs.set({ app, token: thief.token, d: { transfer: 1000 } });
    await longAfter(t.db, stolen.ref);
    expect(await use(stolen)).toBeNull();
    await expectEnded(thief);
  });

  test("is found by its token only: the old ref ends nothing", async () => {
    expect(await t.rs.get({ app, ref: old.ref })).toBeNull();
    expect(await t.rs.kill({ app, ref: old.ref })).toEqual({ kill: 0 });
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });

  test("ends nothing in another app", async () => {
    expect(await t.rs.get({ app: "other", token: old.token })).toBeNull();
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });

  test("ends nothing if the session has ended before, and the tombstone does not say so", async () => {
    await t.rs.kill({ app, token: current.token });
    expect(await use(old)).toBeNull();
    expect(await t.db.get(key(current.ref))).toBeNull();
  });

  test("the tombstone lasts a day", async () => {
    await use(old);
    expect(await t.db.pttl(key(current.ref))).toBeGreaterThan(86_300_000);
    expect(await t.db.pttl(key(current.ref))).toBeLessThanOrEqual(86_400_000);
  });
});

describe("a rotated token ends no session", () => {
  test("during its grace", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await use(current);
    expect(await use(old)).toMatchObject({ ref: current.ref });
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });

  test("for a minute after its grace, when late requests may arrive; but they find no session", async () => {
    const old = await t.create();
    const current = await rotate(old, { grace: 20 });
    await use(current);
    const mark = await t.db.pttl(`rs:{webapp}:rotated:${old.ref}`);
    expect(mark).toBeGreaterThan(75_000);
    expect(mark).toBeLessThanOrEqual(80_000);
    await endGrace(t.db, old.ref);
    expect([await use(old), await t.rs.rotate({ app, token: old.token })]).toEqual([null, null]);
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });

  test("for a minute after the first use of the new token, if that came late", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await longAfter(t.db, old.ref);
    await use(current);
    expect(await use(old)).toBeNull();
    expect(await use(current)).toMatchObject({ ref: current.ref });
  });

  test("if the new token was never used, because its answer was lost", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await longAfter(t.db, old.ref);
    expect(await use(old)).toBeNull();
    expect(await t.rs.get({ app, ref: current.ref, touch: false })).not.toBeNull();
  });

  test("if only the server has read the session by its new ref", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await longAfter(t.db, old.ref);
    await t.rs.set({ app, ref: current.ref, d: { role: "admin" } });
    expect(await use(old)).toBeNull();
    expect(await t.rs.get({ app, ref: current.ref })).not.toBeNull();
  });

  test("around a rotation with 1,000 overlapping requests in two tabs", async () => {
    const old = await t.create();
    const tabs = (token: string, count: number) =>
      Array.from({ length: count }, (_, i) =>
        i % 3 === 0 ? t.rs.set({ app, token, d: { [`tab${i % 2}`]: i } }) : t.rs.get({ app, token }),
      );
    const before = tabs(old.token, 300);
    const rotations = [t.rs.rotate({ app, token: old.token }), t.rs.rotate({ app, token: old.token })];
    const during = tabs(old.token, 300);
    const [current, second] = (await Promise.all(rotations)) as [Created, null];
    expect(second).toBeNull();
    const after = [...tabs(current.token, 200), ...tabs(old.token, 200)];
    for (const session of await Promise.all([...before, ...during, ...after])) {
      expect(session).toMatchObject({ id: "alice" });
    }
    await endGrace(t.db, old.ref);
    await Promise.all(tabs(old.token, 100));
    expect(await use(current)).toMatchObject({ ref: current.ref });
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("if it is an unknown token of the family's form", async () => {
    const { token } = await t.create();
    expect(await t.rs.get({ app, token: token.slice(0, 22) + "x".repeat(42) })).toBeNull();
    expect(await t.rs.get({ app, token })).not.toBeNull();
  });
});

describe("the new token", () => {
  test("shares its first 22 characters with the old one, and no other", async () => {
    const old = await t.create();
    const tokens = [old.token];
    for (let i = 0, last = old; i < 200; i++) {
      last = await rotate(last);
      tokens.push(last.token);
    }
    expect(new Set(tokens.map((token) => token.slice(0, 22))).size).toBe(1);
    for (let at = 22; at < 64; at++) expect(new Set(tokens.map((token) => token[at])).size).toBeGreaterThan(40);
  });
});

describe("a token that is rotated before its first use", () => {
  test("counts as used", async () => {
    const old = await t.create();
    const middle = await rotate(old);
    const current = await rotate(middle);
    await longAfter(t.db, old.ref, middle.ref);
    expect(await use(old)).toBeNull();
    await expectEnded(current);
  });
});

describe("kill with a rotated token, after its grace", () => {
  test.each([
    ["in the minute after", endGrace],
    ["later", longAfter],
  ] as const)("ends the session %s", async (_when, pass) => {
    const old = await t.create();
    const current = await rotate(old);
    await use(current);
    await pass(t.db, old.ref);
    expect(await t.rs.kill({ app, token: old.token })).toEqual({ kill: 1 });
    expect(await use(current)).toBeNull();
    expect(await t.rs.kill({ app, token: old.token })).toEqual({ kill: 0 });
    expect((await readStored(t.db, app)).entries).toBe(0);
  });

  test.each(["oldest", "reject"] as const)(
    "create with it as `replaces` ends the session, with %s",
    async (overflow) => {
      const old = await t.create();
      const thief = await rotate(old);
      await use(thief);
      await endGrace(t.db, old.ref);
      const created = await t.create({ replaces: old.token, overflow, maxPerUser: 3 });
      expect(await use(thief)).toBeNull();
      expect((await t.rs.soid({ app, id: "alice" })).sessions).toMatchObject([{ ref: created.ref }]);
    },
  );
});

describe("the record of a family", () => {
  const record = async () => (await t.db.keys("rs:{webapp}:family:*"))[0] as string;

  test("costs under 200 bytes with the flag of the session, and no more for further rotations", async () => {
    const old = await t.create();
    const before = Number(await t.db.memory("USAGE", key(old.ref)));
    const costs: number[] = [];
    for (let i = 0, current = old; i < 3; i++) {
      current = await rotate(current);
      await use(current);
      const session = Number(await t.db.memory("USAGE", key(current.ref)));
      // A TTL has an entry of its own: 24 bytes and its share of a hash table.
      costs.push(session - before + Number(await t.db.memory("USAGE", await record())) + 40);
    }
    expect(costs[0]).toBeGreaterThan(100);
    expect(costs[0]).toBeLessThan(200);
    expect(new Set(costs).size).toBe(1);
  });

  test.each([
    ["ttl", { ttl: 1000 }, 2_000_000],
    ["absolute", { ttl: 1000, absolute: 5000 }, 5_000_000],
    ["no_resave", { ttl: 1000, no_resave: true }, 1_000_000],
  ] as const)("lives as long as the session may, with %s", async (_what, options, ms) => {
    const old = await t.create(options);
    const current = await rotate(old);
    for (const call of [async () => {}, () => use(current)]) {
      await call();
      const left = await t.db.pttl(await record());
      expect(left).toBeGreaterThan(ms - 5000);
      expect(left).toBeLessThanOrEqual(ms);
    }
  });

  test("is prolonged by the first use in each half ttl, and by no other", async () => {
    const current = await rotate(await t.create({ ttl: 1000 }));
    await use(current);
    const left = async () => t.db.pttl(await record());
    for (const call of [
      () => t.rs.get({ app, token: current.token }),
      () => t.rs.set({ app, token: current.token, d: { a: 1 } }),
    ]) {
      await t.db.pexpire(await record(), 1_100_000);
      await editFields(t.db, key(current.ref), { la: Date.now() - 500_000 });
      const commands = await t.redis.watch(call);
      expect(commands.map(([name]) => name)).toEqual(["evalsha", "pexpire"]);
      expect(await left()).toBeGreaterThan(1_900_000);
    }
    expect(await t.redis.watch(() => use(current))).toHaveLength(1);
    // Polling does not prolong the session, so it does not prolong the record either.
    await editFields(t.db, key(current.ref), { la: Date.now() - 500_000 });
    expect(await t.redis.watch(() => t.rs.get({ app, token: current.token, touch: false }))).toHaveLength(1);
  });

  test.each([
    ["its token", (one: Created) => ({ token: one.token })],
    ["its ref", (one: Created) => ({ ref: one.ref })],
  ])("lives as long as the session may after touch has set another ttl, by %s", async (_name, which) => {
    for (const no_resave of [false, true]) {
      await t.db.flushdb();
      const current = await rotate(await t.create({ ttl: 1000, no_resave }));
      await use(current);
      await t.rs.touch({ app, ...which(current), ttl: 9000 });
      await use(current);
      const left = await t.db.pttl(await record());
      expect(left).toBeGreaterThan((no_resave ? 9000 : 18_000) * 1000 - 5000);
    }
  });

  test("is written again by the first use of a token, if it was evicted", async () => {
    const old = await t.create();
    const current = await rotate(old);
    await t.db.del(await record());
    await use(current);
    expect(await t.db.get(await record())).toBe(current.ref);
  });
});

describe("a large session", () => {
  test.each([
    ["with room for flags", false],
    ["without it, as an older version has left it", true],
  ])("is rotated %s, and reuse ends it", async (_what, isOld) => {
    const old = await t.create({ d: { text: "x".repeat(500_000) } });
    if (isOld)
      await t.db.set(key(old.ref), `${await t.db.get(key(old.ref))}`.replace(/ +\n/, "\n"), "KEEPTTL" as never);
    const current = await rotate(old);
    expect((await use(current))?.d?.text).toHaveLength(500_000);
    await longAfter(t.db, old.ref);
    expect(await use(old)).toBeNull();
    await expectEnded(current);
  });
});

describe("the cost in commands", () => {
  test("is one for each use but the first of a new token", async () => {
    const current = await rotate(await t.create());
    await use(current);
    for (const call of [
      () => use(current),
      () => t.rs.set({ app, token: current.token, d: { a: 1 } }),
      () => t.rs.rotate({ app, token: current.token }),
    ])
      expect((await t.redis.watch(call)).map(([name]) => name)).toEqual(["evalsha"]);
  });

  test("is two for a token without a session", async () => {
    // With an app that is not registered, the call also checks that it has no session in several shards.
    await t.create();
    const commands = await t.redis.watch(() => t.rs.get({ app, token: "x".repeat(64) }));
    expect(commands.map(([name]) => name)).toEqual(["evalsha", "mget"]);
  });
});

test("a use succeeds if Redis cannot record that it was the first of a new token", async () => {
  const current = await rotate(await t.create());
  await t.db.acl("SETUSER", "narrow", "on", "nopass", "+@all", "~rs:apps", "~rs:{webapp}:s:*", "~rs:{webapp}:[aeu]*");
  const rs = new RedisSessions({ client: t.redis.client({ username: "narrow", password: "any" }), wipe: 0 });
  expect(await rs.get({ app, token: current.token })).toMatchObject({ ref: current.ref });
});

test("rotate and first uses work when Redis is out of memory", async () => {
  const old = await t.create();
  const current = await rotate(old);
  await t.db.config("SET", "maxmemory", "1");
  try {
    expect(await use(current)).not.toBeNull();
    const next = await rotate(current);
    expect(await rotate(next)).not.toBeNull();
  } finally {
    await t.db.config("SET", "maxmemory", "0");
  }
  await longAfter(t.db, old.ref, current.ref);
  expect(await use(old)).toBeNull();
  expect((await readStored(t.db, app)).entries).toBe(0);
});
