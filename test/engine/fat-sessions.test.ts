import { describe, expect, test } from "vitest";
import { type Created, RedisSessions } from "../../src/index.js";
import { dump } from "../support/dump.js";
import { useEngine } from "../support/engine.js";
import { readStored } from "../support/index-check.js";

const t = useEngine();
const app = "webapp";

/** So many keys. */
function keys(count: number, value = 1): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, value]));
}

function engine(options = {}): RedisSessions {
  return new RedisSessions({ client: t.redis.client(), wipe: 0, ...options });
}

/** How many scripts were run during the call. */
async function countScripts(work: () => Promise<unknown>): Promise<number> {
  const commands = await t.redis.watch(work);
  return commands.filter(([name]) => /^eval/i.test(name ?? "")).length;
}

describe("maxKeys", () => {
  const hint = "raise maxKeys, or store less: several values under one key";

  test("is 1000 by default: create and set refuse more and write nothing", async () => {
    await expect(t.create({ d: keys(1001) })).rejects.toMatchObject({
      name: "invalidValue",
      message: "d has more than 1000 keys",
      hint,
    });
    expect(await t.db.dbsize()).toBe(0);
    const { token } = await t.create({ d: keys(1000) });
    const before = await dump(t.db);
    await expect(t.rs.set({ app, token, d: { more: 1 } })).rejects.toMatchObject({
      name: "invalidValue",
      message: "The session's data would have more than 1000 keys",
      hint,
    });
    expect(await dump(t.db)).toEqual(before);
    expect((await t.rs.set({ app, token, d: { k0: 2, k1: null, more: 1 } }))?.d).toMatchObject({ k0: 2, more: 1 });
  });

  test("lets a session that has more keys be changed or made smaller", async () => {
    const { token } = await engine({ maxKeys: 5000 }).create({ app, id: "alice", ip: "::1", d: keys(1500) });
    expect((await t.rs.set({ app, token, d: { k0: 2 } }))?.d).toMatchObject({ k0: 2, k1: 1 });
    expect(Object.keys((await t.rs.set({ app, token, d: { k1: null, k2: null, new: 1 } }))?.d ?? {})).toHaveLength(
      1499,
    );
    await expect(t.rs.set({ app, token, d: { another: 1 } })).rejects.toMatchObject({ name: "invalidValue" });
  });

  test("also limits a change that is too large for one script", async () => {
    const rs = engine({ maxKeys: 1200 });
    const { token } = await rs.create({ app, id: "alice", ip: "::1", d: keys(900) });
    const others = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`n${i}`, 1]));
    await expect(rs.set({ app, token, d: others })).rejects.toMatchObject({ name: "invalidValue" });
    expect(await rs.get({ app, token })).toMatchObject({ w: 1, d: keys(900) });
  });
});

describe("a change that is too large for one script", () => {
  const big = "x".repeat(300_000);

  test("is applied to a large session and returns the session", async () => {
    const { token } = await t.create({ d: { a: 1, big, b: "딸기" }, device: "Firefox" });
    expect(await t.rs.get({ app, token })).toMatchObject({ r: 1, w: 1, d: { a: 1, big, b: "딸기" } });
    expect(await t.rs.set({ app, token, d: { a: 2, b: null, c: "🍓" } })).toMatchObject({
      r: 2,
      w: 2,
      device: "Firefox",
      d: { a: 2, big, c: "🍓" },
    });
    for (let r = 2; r <= 12; r++) expect(await t.rs.get({ app, token })).toMatchObject({ r, w: 2, idle: 0 });
    // Made small, it goes on as any other.
    expect(await t.rs.set({ app, token, d: { big: null } })).toMatchObject({ w: 3, d: { a: 2, c: "🍓" } });
    expect(await t.rs.set({ app, token, d: { a: 3 } })).toMatchObject({ r: 13, w: 4, d: { a: 3, c: "🍓" } });
    expect((await readStored(t.db, app)).problems).toEqual([]);
  });

  test("is applied to a thousand keys", async () => {
    const { token } = await t.create({ d: keys(1000) });
    expect((await t.rs.set({ app, token, d: keys(1000, 2) }))?.d).toEqual(keys(1000, 2));
    expect(await t.rs.get({ app, token })).toMatchObject({ w: 2, d: keys(1000, 2) });
  });

  test("loses no concurrent update, and counts each one", async () => {
    const { token } = await t.create({ d: { big } });
    const engines = [engine(), engine(), engine()];
    await Promise.all(
      engines.flatMap((rs, e) => Array.from({ length: 5 }, (_, i) => rs.set({ app, token, d: { [`e${e}.${i}`]: i } }))),
    );
    const session = await t.rs.get({ app, token });
    expect(Object.keys(session?.d ?? {})).toHaveLength(16);
    expect(session?.w).toBe(16);
    // The losers' texts do not wait for their TTL.
    expect(await t.db.keys("rs:{webapp}:new:*")).toEqual([]);
  });

  test("keeps the order of the changes of one process", async () => {
    const { token } = await t.create({ d: { big } });
    const seen = await Promise.all(Array.from({ length: 20 }, (_, n) => t.rs.set({ app, token, d: { n } })));
    expect(seen.map((session) => session?.d?.n)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  test("does not revive a session that was killed in between, and keeps the expiry of a no_resave session", async () => {
    for (let round = 0; round < 10; round++) {
      const { token } = await t.create({ d: { big } });
      await Promise.all([t.rs.set({ app, token, d: { a: 1 } }), engine().kill({ app, token })]);
      expect(await t.rs.get({ app, token })).toBeNull();
    }
    const { token, ref } = await t.create({ d: { big }, no_resave: true, ttl: 100 });
    await t.db.pexpire(`rs:{webapp}:s:${ref}`, 50_000);
    await t.rs.set({ app, token, d: { a: 1 } });
    expect(await t.db.pttl(`rs:{webapp}:s:${ref}`)).toBeLessThanOrEqual(50_000);
  });
});

describe("calls on large sessions that are made together", () => {
  const fat = "x".repeat(200_000);

  async function createFat(count: number): Promise<Created[]> {
    const created = [];
    for (let i = 0; i < count; i++) created.push(await t.create({ d: { fat, n: -1 } }));
    return created;
  }

  test("are spread over several runs, and each is answered with its own session", async () => {
    const created = await createFat(30);
    await t.rs.get({ app, token: created[0]?.token as string });
    let answers: unknown[] = [];
    const reads = await countScripts(async () => {
      answers = await Promise.all(created.map(({ token }) => t.rs.get({ app, token })));
    });
    expect(answers).toEqual(created.map(({ ref }) => expect.objectContaining({ ref })));
    expect(reads).toBeGreaterThanOrEqual(8);
    await t.rs.set({ app, token: created[0]?.token as string, d: { n: 0 } });
    const writes = await countScripts(() =>
      Promise.all(created.map(({ token }, n) => t.rs.set({ app, token, d: { n } }))),
    );
    expect(writes).toBeGreaterThanOrEqual(10);
    const after = await Promise.all(created.map(({ token }) => t.rs.get({ app, token, touch: false })));
    // Each was done once.
    expect(after.map((session) => session?.d?.n)).toEqual(created.map((_, n) => n));
    expect(after.map((session) => session?.w)).toEqual(created.map((_, n) => (n === 0 ? 3 : 2)));
  });

  test("keep the order of the calls on one session, even if some are not executed", async () => {
    const created = await createFat(12);
    const [first] = created as [Created];
    await t.rs.set({ app, token: first.token, d: { n: 0 } });
    await t.rs.get({ app, token: first.token });
    const seen: Promise<(number | undefined)[]>[] = [];
    for (let n = 0; n < 5; n++) {
      const round = created.map(({ token }) => t.rs.set({ app, token, d: { n } }));
      const reads = created.map(({ token }) => t.rs.get({ app, token }));
      seen.push(Promise.all([...round, ...reads].map(async (one) => (await one)?.d?.n as number)));
      // Half of the rounds are in flight together, half in a later turn.
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await Promise.all(seen)).toEqual([0, 1, 2, 3, 4].map((n) => Array.from({ length: 24 }, () => n)));
  });
});
