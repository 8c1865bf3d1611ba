import { afterEach, describe, expect, test, vi } from "vitest";
import { RedisStore } from "../../src/express-session/index.js";
import type { CreateOptions, Session } from "../../src/index.js";
import { withCookie } from "../express-session/support/stores.js";
import { useEngine } from "../support/engine.js";

const t = useEngine();
const app = "webapp";
const { now: realNow } = Date;

afterEach(() => void vi.restoreAllMocks());

/** Sets this process's clock ahead of the real one, which is Redis's. */
function ahead(ms: number): void {
  vi.spyOn(Date, "now").mockImplementation(() => realNow() + ms);
}

/** When a session ends, ms of Redis's clock. (PEXPIRETIME would tell, but Redis 6 does not have it.) */
async function endOf({ ref }: { ref: string }): Promise<number> {
  const [[, [seconds, micros]], [, left]] = (await t.db.multi().time().pttl(`rs:{${app}}:s:${ref}`).exec()) as [
    [null, [string, string]],
    [null, number],
  ];
  return Number(seconds) * 1000 + Number(micros) / 1000 + left;
}

/** Checks the session's `expires` against Redis: right to the second. */
async function expectRight(session: Session | null | undefined): Promise<void> {
  expect(Math.abs((session as Session).expires - (await endOf(session as Session)))).toBeLessThan(1000);
}

const HOUR = 3_600_000;

const CLOCKS: [string, number][] = [
  ["is that of Redis", 0],
  ["is an hour ahead", HOUR],
  ["is an hour behind", -HOUR],
];

const KINDS: [string, Partial<CreateOptions>][] = [
  ["a plain session", { ttl: 100 }],
  ["a no_resave session", { ttl: 100, no_resave: true }],
  ["a session with absolute", { ttl: 100, absolute: 103 }],
  ["a no_resave session with absolute", { ttl: 100, no_resave: true, absolute: 50 }],
  ["a large session", { ttl: 100, d: { text: "x".repeat(300_000) } }],
  ["a large session with absolute", { ttl: 100, absolute: 103, d: { text: "x".repeat(300_000) } }],
];

describe.each(CLOCKS)("if the clock of the server %s", (_clock, skew) => {
  describe.each(KINDS)("%s", (_kind, options) => {
    test("has its end in Redis as expires, before and after a touch, from every method", async () => {
      ahead(skew);
      const { token, ref } = await t.create(options);
      await expectRight(await t.rs.get({ app, token }));
      // The clock jumps, so the next read touches the session.
      ahead(skew + 5000);
      const touched = await t.rs.get({ app, token });
      expect(touched?.idle).toBe(5);
      for (const session of [
        touched,
        await t.rs.get({ app, token, touch: false }),
        await t.rs.get({ app, token }),
        await t.rs.set({ app, ref, d: { a: 1 } }),
        (await t.rs.soid({ app, id: "alice" })).sessions[0],
        (await t.rs.soapp({ app, dt: 7200 })).sessions[0],
      ]) {
        await expectRight(session);
      }
      ahead(skew);
      const written = await t.rs.set({ app, token, d: { b: 2 } });
      await expectRight(written);
      const rotated = await t.rs.rotate({ app, token });
      await expectRight(await t.rs.get({ app, token: `${rotated?.token}` }));
    });
  });

  test("is right for a session that grows to a large one", async () => {
    ahead(skew);
    const { token } = await t.create({ ttl: 100, d: { text: "x".repeat(200_000) } });
    await expectRight(await t.rs.set({ app, token, d: { more: "x".repeat(200_000) } }));
    await expectRight(await t.rs.get({ app, token }));
    await expectRight(await t.rs.get({ app, token, touch: false }));
  });

  test("is right for a session of RedisStore, after a save, a touch and a change of its cookie", async () => {
    ahead(skew);
    const store = new RedisStore({ rs: t.rs, app, ttl: 100 });
    const session = withCookie({ userId: "alice" });
    for (const use of [
      () => store.set("sid", session as never),
      () => store.touch("sid", session as never),
      () => store.set("large", withCookie({ userId: "alice", text: "x".repeat(300_000) }) as never),
    ]) {
      await use();
      for (const listed of (await store.soid("alice")).sessions) await expectRight(listed as never);
    }
  });
});

describe("two servers whose clocks differ", () => {
  test.each([
    ["a small session", {}],
    ["a session that is too long for SET", { text: "x".repeat(5000) }],
    ["a large session", { text: "x".repeat(300_000) }],
  ])("see the same expires when they use %s in turn", async (_kind, d) => {
    const { token } = await t.create({ ttl: 100, d: { a: 1, ...d } });
    for (const skew of [HOUR, 0, -HOUR, HOUR, 0]) {
      ahead(skew);
      await expectRight(await t.rs.get({ app, token }));
      await expectRight(await t.rs.get({ app, token }));
      await expectRight(await t.rs.get({ app, token, touch: false }));
    }
    const session = await t.rs.get({ app, token });
    expect(session?.r).toBe(11);
    expect(JSON.stringify(session?.d)).toBe(JSON.stringify({ a: 1, ...d }));
  });

  test("rewrite a session once, and then change its numbers in place", async () => {
    const { token, ref } = await t.create({ ttl: 100, d: { text: "x".repeat(5000) } });
    for (const skew of [HOUR, 0]) {
      ahead(skew);
      await t.rs.get({ app, token });
    }
    ahead(HOUR);
    await t.db.config("RESETSTAT");
    await t.rs.get({ app, token });
    const stats = await t.db.info("commandstats");
    // One for the flags, and one for the numbers.
    expect(stats).toMatch(/cmdstat_setrange:calls=2,/);
    expect(stats).not.toMatch(/cmdstat_set:/);
    await expectRight(await t.rs.get({ app, ref }));
  });
});

test("returns the end of a read that comes within a second of the last touch", async () => {
  const { token } = await t.create({ ttl: 100 });
  const first = await t.rs.get({ app, token });
  expect((await t.rs.get({ app, token }))?.expires).toBe(first?.expires);
});

test("stores nothing more for a session if the clocks agree", async () => {
  const { token, ref } = await t.create({ ttl: 100 });
  ahead(100);
  await t.rs.get({ app, token });
  expect((await t.db.get(`rs:{${app}}:s:${ref}`))?.split("\n")[3]).toBe("100");
});

test("returns Infinity for a session of RedisStore that never ends", async () => {
  const store = new RedisStore({ rs: t.rs, app, disableTTL: true });
  await store.set("sid", withCookie({ userId: "alice" }) as never);
  expect((await store.soid("alice")).sessions).toMatchObject([{ ttl: 0, expires: Number.POSITIVE_INFINITY }]);
});

test("ends a session of RedisStore never if its cookie no longer expires, whatever the clock is", async () => {
  ahead(HOUR);
  const store = new RedisStore({ rs: t.rs, app, ttl: 100 });
  await store.set("sid", withCookie({ userId: "alice" }) as never);
  const endless = new RedisStore({ rs: t.rs, app, disableTTL: true });
  const loaded = await endless.get("sid");
  await endless.set("sid", Object.assign(loaded as object, { userId: "bob" }) as never);
  expect(await t.db.pttl(`rs:{${app}}:s:~sid`)).toBe(-1);
});
